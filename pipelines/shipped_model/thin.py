"""Thin and small things painted on images, labelled as sharply as they are: rides, roads, streams and glades.

The teacher swallows what is narrower than some 40 m, and a student learns to. Here a thing of another class is put on an
image, mixed at its edges as a sensor would mix it, so its place is known to the pixel ("copy-paste", Ghiasi et al. 2021,
arXiv:2012.07177).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from data import BANDS, CLASSES, LABEL_NODATA, Patch
from numpy.typing import NDArray
from scipy import ndimage

THIN = "thin things"
"""Place of these images."""

SIDE = 128
COLOURS = ("water", "grass", "crops", "built", "bare")
"""Classes of what is painted."""

_COARSE = ("B05", "B06", "B07", "B11", "B12")
"""Bands of 20 m, which are blurred more."""

_SURE, _ENOUGH = 55, 200
"""Least probability of a pixel that lends its colour, percent, and how many of them an image must have."""

_ALL, _NONE = 0.65, 0.1
"""Covers above and below which a pixel has one label; between them it has none."""

_CERTAIN = 76
"""Label of what is painted, percent; the rest is spread evenly."""


def painted_things(patches: Sequence[Patch], count: int, random: np.random.Generator) -> Iterator[Patch]:
    """Images of patches with thin and small things on them; a thing has the colours of another patch of the same level."""
    lenders = _lenders(patches)
    hosts = [patch for patch in patches if min(patch.image.shape[1:]) >= SIDE]
    for number in range(count):
        host = hosts[random.integers(len(hosts))]
        image, percent = _square(host, random)
        for _ in range(int(random.integers(1, 5))):
            code = CLASSES.index(COLOURS[random.integers(len(COLOURS))])
            groups = lenders[host.level, code]
            colours = groups[random.integers(len(groups))]
            image, percent = _painted(image, percent, _cover(random), colours, code, random)
        yield Patch(THIN, f"{number:05d}", host.level, np.rint(image).astype(np.uint16), percent)


def _lenders(patches: Sequence[Patch]) -> dict[tuple[str, int], list[NDArray[np.uint16]]]:
    """Colours (9, n) of pixels whose class is sure, by level and class; one entry for each patch that has enough."""
    found: dict[tuple[str, int], list[NDArray[np.uint16]]] = {}
    for patch in patches:
        for name in COLOURS:
            code = CLASSES.index(name)
            sure = patch.usable & (patch.percent[code] >= _SURE)
            if sure.sum() >= _ENOUGH:
                found.setdefault((patch.level, code), []).append(patch.image[:, sure])
    return found


def _square(patch: Patch, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    row, col = (int(random.integers(side - SIDE + 1)) for side in patch.image.shape[1:])
    part = (slice(None), slice(row, row + SIDE), slice(col, col + SIDE))
    percent = patch.percent[part].copy()
    percent[:, ~patch.usable[part[1:]]] = LABEL_NODATA
    return patch.image[part].astype(np.float32), percent


def _cover(random: np.random.Generator) -> NDArray[np.float64]:
    """Part of each pixel that a thing covers, 0..1: a strip across the image or a small rectangle, at any angle."""
    angle = random.uniform(0, np.pi)
    down, across = np.mgrid[:SIDE, :SIDE] - random.uniform(0, SIDE, 2)[:, None, None]
    along = down * np.sin(angle) + across * np.cos(angle)
    aside = down * np.cos(angle) - across * np.sin(angle)
    strip = random.random() < 0.6
    length, width = (2 * SIDE, random.uniform(1.2, 5)) if strip else random.uniform(3, 14, 2)
    inside: NDArray[np.float64] = np.clip(np.minimum(length / 2 - abs(along), width / 2 - abs(aside)) + 0.5, 0, 1)
    return inside


def _painted(
    image: NDArray[np.float32],
    percent: NDArray[np.uint8],
    cover: NDArray[np.float64],
    colours: NDArray[np.uint16],
    code: int,
    random: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Image and label with a thing on them; it is nowhere where there is no data."""
    base = colours[:, random.integers(colours.shape[1])].astype(np.float32)[:, None, None]
    grain = colours[:, random.integers(colours.shape[1], size=(SIDE, SIDE))]
    thing = base + 0.4 * (grain - base)
    blurred = {deviation: ndimage.gaussian_filter(cover, deviation) for deviation in (0.45, 0.9)}
    parts = np.stack([blurred[0.9 if band in _COARSE else 0.45] for band in BANDS])
    seen = (image != 0).any(axis=0)
    painted = np.where(seen, image * (1 - parts) + thing * parts, image).astype(np.float32)
    label = percent.copy()
    label[:, (cover > _NONE) & (cover < _ALL)] = LABEL_NODATA
    here = seen & (cover >= _ALL)
    label[:, here] = (100 - _CERTAIN) // (len(CLASSES) - 1)
    label[code, here] = _CERTAIN
    return painted, label
