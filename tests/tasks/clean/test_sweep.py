"""The minimum mapping unit against a plain loop over whole arrays, and the same bytes for any strips."""

import heapq
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lulc.io.product.areas import PixelAreas
from lulc.tasks.clean.groups import Groups
from lulc.tasks.clean.pieces import StripPieces
from lulc.tasks.clean.sweep import Strip, Sweep
from lulc.tasks.clean.unit import MinimumUnit, UnitAreas

DISCS = {4: ndimage.generate_binary_structure(2, 1), 8: np.ones((3, 3))}
SLACK = 1e-9


def swept(codes, activations, areas, *, corners=False, majority=False, heights=(512,)):
    """The classes that a sweep gives, in strips of these heights in turn, and the counts."""
    kinds = 250 if activations is None else len(activations)
    groups = Groups(kinds, areas.least, majority=majority)
    sweep, strips, row = Sweep(groups, corners=corners), [], 0
    while row < len(codes):
        end = min(row + heights[len(strips) % len(heights)], len(codes))
        part = UnitAreas(areas.rows[row:end], areas.last[row:end], areas.width, areas.least)
        pieces = StripPieces(codes[row:end], row, part, corners)
        sums = np.zeros((0, pieces.count), np.int64) if majority else pieces.sums(activations[:, row:end])
        sweep.feed(Strip(pieces, sums, *pieces.touches()))
        strips.append(pieces)
        row = end
    sweep.end()
    verdicts = groups.verdicts
    return np.concatenate([one.with_classes(verdicts.of_strip(k)) for k, one in enumerate(strips)]), groups.counts


def neighbours(connectivity):
    return [(0, 1), (1, 0), *([(1, 1), (1, -1)] if connectivity == 8 else [])]


def pairs_of(labels, connectivity):
    """Labels of every two pixels that touch."""
    height, width = labels.shape
    for down, right in neighbours(connectivity):
        one = labels[: height - down, max(0, -right) : width - max(0, right)]
        other = labels[down:, max(0, right) : width + min(0, right)]
        yield from zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)


def by_plain_loop(codes, activations, hectares, minimum, *, connectivity=4, majority=False):
    """The rule as it is written, over the whole map: scipy labels the patches, a heap gives the smallest group its turn."""
    labels, count = np.zeros(codes.shape, np.int64), 0
    for code in np.unique(codes[codes != 255]):
        found, patches = ndimage.label(codes == code, DISCS[connectivity])
        labels[found > 0] = found[found > 0] + count
        count += patches
    flat, indices = labels.ravel(), np.arange(labels.size)
    members = {k: indices[flat == k] for k in range(1, count + 1)}
    area = {k: fsum(hectares.ravel()[pixels]) for k, pixels in members.items()}
    kind = {k: int(codes.ravel()[pixels[0]]) for k, pixels in members.items()}
    border = {k: {} for k in members}
    for one, other in pairs_of(labels, connectivity):
        if one and other and one != other:
            border[one][other] = border[one].get(other, 0) + 1
            border[other][one] = border[other].get(one, 0) + 1
    least = minimum * (1 - SLACK)
    small = {k for k in members if area[k] < least}
    found, queue = len(small), [(area[k], members[k][0], k) for k in small]
    heapq.heapify(queue)
    islands = []
    while queue:
        size, first, k = heapq.heappop(queue)
        if k not in members or (size, first) != (area[k], members[k][0]) or area[k] >= least:
            continue
        if not border[k]:
            islands.append(k)
            continue
        score = {}
        for other, length in border[k].items():
            total = length if majority else int(activations[kind[other] - 1].ravel()[members[k]].astype(int).sum())
            score[kind[other]] = score.get(kind[other], 0) + length if majority else total
        best = max(sorted(score), key=score.get)
        kind[k] = best
        for other in [n for n in border[k] if kind[n] == best]:
            members[k] = np.sort(np.concatenate([members[k], members.pop(other)]))
            area[k] = fsum(hectares.ravel()[members[k]])
            for n, length in border.pop(other).items():
                border[n].pop(other, None)
                if n != k:
                    border[k][n] = border[k].get(n, 0) + length
                    border[n][k] = border[n].get(k, 0) + length
        heapq.heappush(queue, (area[k], members[k][0], k))
    cleaned = codes.copy()
    for k, pixels in members.items():
        if k not in islands:
            cleaned.ravel()[pixels] = kind[k]
    return cleaned, found, len(islands)


def noisy(rng, height, width, kinds, grain=3, noise=0.2, holes=0.1):
    """Blocks of classes with noise and nodata, and activations that mostly agree: codes and steps."""
    blocks = rng.integers(1, kinds + 1, (height // grain + 1, width // grain + 1)).repeat(grain, 0).repeat(grain, 1)
    codes = blocks[:height, :width].astype(np.uint8)
    moved = rng.random(codes.shape) < noise
    codes[moved] = rng.integers(1, kinds + 1, moved.sum())
    codes[rng.random(codes.shape) < holes] = 255
    steps = rng.integers(0, 60, (kinds, height, width)).astype(np.uint8)
    steps[:, codes == 255] = 255
    return codes, steps


def areas_of(rows_ha, width, minimum, last=1.0):
    columns = np.append(np.ones(width - 1), last)
    unit = MinimumUnit(minimum, "ha")
    return UnitAreas.of(unit, PixelAreas(rows_ha, columns), "map.tif"), np.outer(rows_ha, columns)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("majority", [False, True])
def test_the_rule_is_that_of_a_plain_loop(connectivity, majority):
    """300 random maps of all grains: classes, patches found and islands left."""
    rng = np.random.default_rng(connectivity + majority)
    changed = 0
    for _ in range(300):
        height, width, kinds = rng.integers(1, 40), rng.integers(1, 40), rng.integers(2, 7)
        codes, steps = noisy(rng, height, width, kinds, rng.integers(1, 6), rng.choice([0, 0.1, 0.5]), rng.choice([0, 0.1, 0.4]))
        rows_ha = rng.choice([np.full(height, 0.01), 0.01 + 0.002 * rng.random(height)], axis=0)
        minimum = float(rng.choice([0.01, 0.02, 0.05, 0.11, 0.5, 3, 100]))
        areas, hectares = areas_of(rows_ha, width, minimum, rng.choice([1, 0.4]))
        expected, patches, islands = by_plain_loop(codes, steps, hectares, minimum, connectivity=connectivity, majority=majority)
        for heights in ((1,), (7, 2), (64,)):
            found, counts = swept(codes, steps, areas, corners=connectivity == 8, majority=majority, heights=heights)
            np.testing.assert_array_equal(found, expected)
            assert (counts.patches, counts.islands) == (patches, islands)
        changed += np.count_nonzero(expected != codes)
    assert changed > 1000
