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
    """Labels of patches that touch, and by how many pairs of pixels."""
    height, width = labels.shape
    found = []
    for down, right in neighbours(connectivity):
        one = labels[: height - down, max(0, -right) : width - max(0, right)]
        other = labels[down:, max(0, right) : width + min(0, right)]
        found.append(np.stack([one.ravel(), other.ravel()]))
    both = np.concatenate(found, axis=1)
    both = both[:, (both != 0).all(axis=0) & (both[0] != both[1])]
    pairs, counts = np.unique(both, axis=1, return_counts=True)
    return zip(*pairs.tolist(), counts.tolist(), strict=True)


class Patches:
    """Patches of a whole map as scipy labels them, with the pixels, class, area and neighbours of each."""

    def __init__(self, codes, hectares, connectivity):
        labels, count = np.zeros(codes.shape, np.int64), 0
        for code in np.unique(codes[codes != 255]):
            found, patches = ndimage.label(codes == code, DISCS[connectivity])
            labels[found > 0] = found[found > 0] + count
            count += patches
        flat, self.hectares = labels.ravel(), hectares.ravel()
        pixels = np.split(np.argsort(flat, kind="stable"), np.cumsum(np.bincount(flat, minlength=count + 1)))
        self.pixels = dict(enumerate(pixels[1:-1], start=1))
        self.area = {k: self.summed(inside) for k, inside in self.pixels.items()}
        self.kind = {k: int(codes.ravel()[inside[0]]) for k, inside in self.pixels.items()}
        self.border = {k: {} for k in self.pixels}
        for one, other, length in pairs_of(labels, connectivity):
            self.add_border(one, other, length)

    def summed(self, inside):
        """Hectares, in which five pixels of 0.004 and two of 0.01 are the same."""
        return round(fsum(self.hectares[inside]), 12)

    def add_border(self, one, other, length):
        self.border[one][other] = self.border[one].get(other, 0) + length
        self.border[other][one] = self.border[other].get(one, 0) + length

    def key(self, k):
        return self.area[k], self.pixels[k][0], k

    def best(self, k, activations, *, majority):
        """The class that a group takes."""
        score = {}
        for other, length in self.border[k].items():
            code = self.kind[other]
            total = length if majority else int(activations[code - 1].ravel()[self.pixels[k]].astype(int).sum())
            score[code] = score.get(code, 0) + length if majority else total
        return max(sorted(score), key=score.get)

    def swallow(self, k, other):
        """Let one group take in another."""
        self.pixels[k] = np.sort(np.concatenate([self.pixels[k], self.pixels.pop(other)]))
        self.area[k] = self.summed(self.pixels[k])
        for neighbour, length in self.border.pop(other).items():
            self.border[neighbour].pop(other)
            if neighbour != k:
                self.add_border(k, neighbour, length)


def by_plain_loop(codes, activations, hectares, minimum, *, connectivity=4, majority=False):
    """The rule as it is written, over the whole map: a heap gives the smallest group its turn, one after the other."""
    patches, least = Patches(codes, hectares, connectivity), minimum * (1 - SLACK)
    queue = [patches.key(k) for k, area in patches.area.items() if area < least]
    found, islands = len(queue), []
    heapq.heapify(queue)
    while queue:
        *_, k = key = heapq.heappop(queue)
        if k not in patches.pixels or key != patches.key(k) or patches.area[k] >= least:
            continue
        if not patches.border[k]:
            islands.append(k)
            continue
        patches.kind[k] = best = patches.best(k, activations, majority=majority)
        for other in [n for n in patches.border[k] if patches.kind[n] == best]:
            patches.swallow(k, other)
        heapq.heappush(queue, patches.key(k))
    cleaned = codes.copy()
    for k, pixels in patches.pixels.items():
        if k not in islands:
            cleaned.ravel()[pixels] = patches.kind[k]
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
    """Random maps of all grains, in several strips: classes, patches found and islands left."""
    rng = np.random.default_rng(connectivity + majority)
    changed = 0
    for _ in range(60):
        height, width, kinds = rng.integers(1, 40), rng.integers(1, 40), rng.integers(2, 7)
        grain, noise, holes = rng.integers(1, 6), rng.choice([0, 0.1, 0.5]), rng.choice([0, 0.1, 0.4])
        codes, steps = noisy(rng, height, width, kinds, grain, noise, holes)
        rows_ha = np.full(height, 0.01) if rng.random() < 0.5 else 0.01 + 0.002 * rng.random(height)
        minimum = float(rng.choice([0.01, 0.02, 0.05, 0.11, 0.5, 3, 100]))
        areas, hectares = areas_of(rows_ha, width, minimum, rng.choice([1, 0.4]))
        rule = {"connectivity": connectivity, "majority": majority}
        expected, patches, islands = by_plain_loop(codes, steps, hectares, minimum, **rule)
        for heights in ((1,), (7, 2), (64,)):
            found, counts = swept(codes, steps, areas, corners=connectivity == 8, majority=majority, heights=heights)
            np.testing.assert_array_equal(found, expected)
            assert (counts.patches, counts.islands) == (patches, islands)
        changed += np.count_nonzero(expected != codes)
    assert changed > 1000


@pytest.mark.parametrize("minimum", [0.1, 0.5, 25])
def test_a_map_of_real_forms_is_that_of_a_plain_loop(minimum):
    """Smooth fields: few large patches with ragged borders and specks, 240 x 320 pixels."""
    rng = np.random.default_rng(4)
    field = np.stack([ndimage.gaussian_filter(rng.normal(size=(240, 320)), 6) for _ in range(5)])
    field += 0.02 * rng.normal(size=field.shape)
    codes = (field.argmax(axis=0) + 1).astype(np.uint8)
    codes[:40, :60] = 255
    steps = rng.integers(0, 50, field.shape).astype(np.uint8)
    areas, hectares = areas_of(np.full(240, 0.01), 320, minimum)
    expected, patches, _ = by_plain_loop(codes, steps, hectares, minimum)
    found, counts = swept(codes, steps, areas, heights=(50,))
    np.testing.assert_array_equal(found, expected)
    assert counts.patches == patches > 50


@given(st.data())
@settings(max_examples=60)
def test_any_strips_give_the_same(data):
    height, width = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    noise, holes = data.draw(st.sampled_from([0, 0.2, 1])), data.draw(st.sampled_from([0, 0.1, 0.5]))
    codes, steps = noisy(rng, height, width, data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5)), noise, holes)
    minimum = data.draw(st.sampled_from([0.01, 0.02, 0.03, 0.07, 0.2, 1, 50]))
    areas, _ = areas_of(0.01 + 1e-4 * rng.random(height), width, minimum)
    rule = {"corners": data.draw(st.booleans()), "majority": data.draw(st.booleans())}
    whole, counts = swept(codes, steps, areas, heights=(height,), **rule)
    heights = data.draw(st.lists(st.integers(1, height), min_size=1, max_size=6))
    found, again = swept(codes, steps, areas, heights=heights, **rule)
    assert found.tobytes() == whole.tobytes()
    assert again == counts


def test_what_a_cleaned_map_holds_reaches_the_unit():
    """Every patch has the unit, apart from islands; what is large keeps its class; nodata is never filled."""
    rng = np.random.default_rng(8)
    codes, steps = noisy(rng, 120, 150, 4, 9, 0.2, 0.02)
    areas, _ = areas_of(np.full(120, 0.01), 150, 0.2)
    found, counts = swept(codes, steps, areas, heights=(32,))
    np.testing.assert_array_equal(found == 255, codes == 255)
    small = 0
    for code in range(1, 5):
        before, _ = ndimage.label(codes == code)
        size = np.bincount(before.ravel())
        large = (size[before] >= 20) & (before > 0)
        assert (found[large] == code).all()
        after, _ = ndimage.label(found == code)
        small += np.count_nonzero(np.bincount(after.ravel())[1:] < 20)
    assert small <= counts.island_patches
    again, _ = swept(found, steps, areas)
    np.testing.assert_array_equal(again, found)


def test_an_island_stays_and_is_counted():
    codes = np.full((9, 12), 255, np.uint8)
    codes[1:3, 1:3], codes[1, 1] = 1, 2  # 4 pixels of two classes
    codes[5:8, 5:9], codes[6, 6] = 3, 1  # 12 pixels, one of which is another class
    steps = np.full((3, 9, 12), 80, np.uint8)
    areas, _ = areas_of(np.full(9, 0.01), 12, 0.1)
    found, counts = swept(codes, steps, areas, heights=(2,))
    assert (counts.patches, counts.islands, counts.island_patches) == (3, 1, 2)
    np.testing.assert_array_equal(found[:4], codes[:4])
    assert (found[5:8, 5:9] == 3).all()


def test_ties_go_to_the_smallest_code_and_the_first_pixel():
    codes = np.array([[2, 2, 2, 3, 1, 1, 1]], np.uint8).repeat(1, 0)
    areas, _ = areas_of(np.full(1, 0.01), 7, 0.03)
    for majority in (False, True):
        found, _ = swept(codes, np.full((3, 1, 7), 83, np.uint8), areas, majority=majority)
        assert found.tolist() == [[2, 2, 2, 1, 1, 1, 1]]
    codes = np.array(
        [[1, 1, 1, 2, 3, 1, 1, 1]], np.uint8
    )  # the 2 has its turn first, and goes into what is likelier there
    steps = np.array([[[0] * 8], [[0] * 8], [[0, 0, 0, 250, 0, 0, 0, 0]]], np.uint8)
    areas, _ = areas_of(np.full(1, 0.01), 8, 0.03)
    assert swept(codes, steps, areas)[0].tolist() == [[1] * 8]
    assert swept(codes, 250 - steps[::-1], areas)[0].tolist() == [[1] * 8]


def test_float_activations_are_summed_as_whole_numbers():
    rng = np.random.default_rng(2)
    codes, steps = noisy(rng, 60, 70, 4, 5, 0.2, 0.05)
    steps[:, codes == 255] = 0
    areas, _ = areas_of(np.full(60, 0.01), 70, 0.3)
    expected, _ = swept(codes, steps, areas)
    for heights in ((1,), (60,), (13,)):
        found, _ = swept(codes, (steps / 256).astype(np.float32), areas, heights=heights)
        np.testing.assert_array_equal(found, expected)


def test_memory_holds_what_waits_at_the_line_alone():
    """However long a map is, patches are decided soon behind the sweep line."""
    rng = np.random.default_rng(3)
    groups, waiting = Groups(4, 40, majority=False), []
    sweep = Sweep(groups, corners=True)
    for row in range(0, 1600, 40):
        codes, steps = noisy(rng, 40, 100, 4, 3, 0.3, 0)
        part = UnitAreas(np.ones(40, np.int64), np.ones(40, np.int64), 100, 40)
        pieces = StripPieces(codes, row, part, corners=True)
        sweep.feed(Strip(pieces, pieces.sums(steps), *pieces.touches()))
        waiting.append(groups.size)
    sweep.end()
    assert max(waiting[20:]) < 1.5 * max(waiting[:20]) < 400
    assert (groups.size and not groups.alive.any()) or not groups.size
