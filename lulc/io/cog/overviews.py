"""Reduced-resolution copies of the product, with the right rule for each band.

Each overview pixel stands for 2 x 2 pixels of the level below. Pixels without data are ignored.

* Class: the most frequent class. A tie goes to the class with the largest summed activation, then to the first met (row
  by row). It is the class of most of the ground, so it need not be the argmax of the mean activations.
* uint8 activations: the mean, rounded so that the bytes of a valid pixel still sum to 250. Running sums over the
  classes are rounded down and their differences taken. Every byte is less than 1 away from its mean, and a class absent
  from all four pixels stays 0.
* float32 activations: the mean.
* Extra bands: the mean of fractions, the most frequent of codes (the first met in a tie).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lulc.io.cog.assembly import CogLayout
from lulc.legend import NODATA_CODE

_VOTE = 10_000.0
"""Larger than the sum of four activations, so that one vote outweighs every activation."""


@dataclass(frozen=True)
class PixelTile:
    """Pixels of one tile, all bands.

    Attributes:
        level: 0 for full resolution, 1 for the first overview, and so on.
        row: Tile row.
        col: Tile column.
        data_byx: (bands, block, block) of the product's dtype; 255 beyond the level's edge.
    """

    level: int
    row: int
    col: int
    data_byx: NDArray[Any]


class OverviewBuilder:
    """Collects halved tiles in any order and returns each overview tile once all its parts have arrived.

    Only unfinished tiles are held in memory. With chunks in rows these are a few per level, whatever the size of the
    scene.

    Args:
        layout: Geometry of the product.
    """

    def __init__(self, layout: CogLayout) -> None:
        self._layout = layout
        self._partial: dict[tuple[int, int, int], NDArray[Any]] = {}
        self._missing: dict[tuple[int, int, int], int] = {}

    def place(self, level: int, row: int, col: int, halved_byx: NDArray[Any]) -> PixelTile | None:
        """Put a halved tile into the overview tile that covers it.

        Args:
            level: Level of the tile that was halved; not the last level.
            row: Its tile row.
            col: Its tile column.
            halved_byx: Result of `halve`, (bands, block/2, block/2) of the product's dtype.

        Returns:
            The overview tile when this was its last missing part, else None.
        """
        key, half = (level + 1, row // 2, col // 2), self._layout.block // 2
        if key not in self._partial:
            side = (self._layout.bands, self._layout.block, self._layout.block)
            self._partial[key] = np.full(side, NODATA_CODE, self._layout.dtype)
            self._missing[key] = self._parts(*key)
        top, left = row % 2 * half, col % 2 * half
        self._partial[key][:, top : top + half, left : left + half] = halved_byx
        self._missing[key] -= 1
        if self._missing[key]:
            return None
        del self._missing[key]
        return PixelTile(*key, self._partial.pop(key))

    def _parts(self, level: int, row: int, col: int) -> int:
        below = self._layout.tiles(level - 1)
        return min(2, below.height - 2 * row) * min(2, below.width - 2 * col)

    @property
    def pending(self) -> int:
        """Number of unfinished tiles in memory."""
        return len(self._partial)


def halve(data_byx: NDArray[Any], extra: Sequence[Literal["share", "code"]] = ()) -> NDArray[Any]:
    """Make the half-resolution copy of a product block.

    Args:
        data_byx: uint8 or float32 (bands, height, width) with even sides: class codes, then activations (or none), then
            extra bands. Every band of a pixel without data is 255.
        extra: Kind of each extra band.

    Returns:
        (bands, height/2, width/2) of the same dtype; 255 where none of the four pixels has data.
    """
    if (data_byx[0] == NODATA_CODE).all():
        return np.ascontiguousarray(data_byx[:, ::2, ::2])
    end = len(data_byx) - len(extra)
    quarters = _quarters(data_byx[0])
    empty = (quarters == NODATA_CODE).sum(axis=0, dtype=np.uint8)
    sums = _sums(data_byx[1:end], empty)
    halved = np.empty((data_byx.shape[0], *empty.shape), data_byx.dtype)
    halved[0] = _mode(quarters, sums)
    halved[1:end] = _means(sums, empty)
    for number, kind in enumerate(extra, end):
        if kind == "code":
            halved[number] = _mode(_quarters(data_byx[number]), sums[:0])
        else:
            halved[number] = _means(_sums(data_byx[number : number + 1], empty), empty)[0]
    if empty.any():
        halved[1:, empty == len(quarters)] = NODATA_CODE
    return halved


def _quarters(band_yx: NDArray[Any]) -> NDArray[Any]:
    """The four pixels under each pixel of the next level: (4, height/2, width/2)."""
    return np.stack([band_yx[top::2, left::2] for top in (0, 1) for left in (0, 1)])


def _sums(activations_kyx: NDArray[Any], empty: NDArray[np.uint8]) -> NDArray[Any]:
    """Sums over 2 x 2 pixels, ignoring those without data: uint16 or float32."""
    if activations_kyx.dtype != np.uint8:
        known = np.where(activations_kyx == NODATA_CODE, np.float32(0), activations_kyx)
        columns: NDArray[Any] = known[:, :, 0::2] + known[:, :, 1::2]
    else:
        pairs = np.ascontiguousarray(activations_kyx).view(np.uint16)  # two neighbours in one number
        columns = (pairs & 0xFF) + (pairs >> 8)
    sums: NDArray[Any] = columns[:, 0::2] + columns[:, 1::2]
    if sums.dtype == np.uint16 and empty.any():
        sums -= empty.astype(np.uint16) * np.uint16(NODATA_CODE)
    return sums


def _mode(quarters_4yx: NDArray[Any], sums_kyx: NDArray[Any]) -> NDArray[Any]:
    mode: NDArray[Any] = quarters_4yx[0].copy()
    mixed = np.flatnonzero((quarters_4yx[1:] != mode).any(axis=0))
    candidates = quarters_4yx.reshape(4, -1)[:, mixed]
    votes = (candidates[:, None] == candidates).sum(axis=0) * (candidates != NODATA_CODE)
    score = votes * _VOTE
    if len(sums_kyx):
        outputs = np.minimum(candidates, len(sums_kyx)).astype(np.intp) - 1
        score += sums_kyx.reshape(len(sums_kyx), -1)[outputs, mixed]
        score[candidates == NODATA_CODE] = -1
    mode.reshape(-1)[mixed] = np.take_along_axis(candidates, score.argmax(axis=0)[None], axis=0)[0]
    return mode


def _means(sums_kyx: NDArray[Any], empty: NDArray[np.uint8]) -> NDArray[Any]:
    """Means over the pixels with data; uint8 means still sum to 250. Undefined where no pixel has data."""
    if sums_kyx.dtype != np.uint16:
        return sums_kyx / np.maximum(4 - empty, 1).astype(np.float32)
    partly = (empty > 0) & (empty < 4)  # noqa: PLR2004 - of the four
    known = 4 - empty[partly]
    rounded = np.empty(sums_kyx.shape, np.uint8)
    running, below = np.zeros(empty.shape, np.uint16), np.zeros(empty.shape, np.uint16)
    for output, sums in zip(rounded, sums_kyx, strict=True):
        running += sums
        upto: NDArray[Any] = running >> 2
        upto[partly] = running[partly] // known
        np.subtract(upto, below, out=output, casting="unsafe")
        below = upto
    return rounded
