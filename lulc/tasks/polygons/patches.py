"""The 4-connected patches of a strip of rows, found from its runs, and what is summed over their pixels.

A run is what follows in a row with one class. Runs are far fewer than pixels, and hold all that a patch needs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.legend import NODATA_CODE
from lulc.tasks.polygons.strips import Strip

NONE = -1
"""Number of the patch of a pixel without data."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What is counted of patches, in whole numbers, so that no sum depends on its order.

    Attributes:
        pixels: int64 (n,) pixels.
        area: int64 (n,) ground in the unit of `Strip.area`.
        activation: int64 (n,) activations of the class given, in the unit of `Strip.activation`.
        flagged: int64 (n,) pixels under clouds or shadows.
        last: int64 (n,) number of the last pixel, row by row.
    """

    pixels: Numbers
    area: Numbers
    activation: Numbers
    flagged: Numbers
    last: Numbers

    @classmethod
    def none(cls, count: int) -> "Sums":
        """Those of patches without a pixel."""
        counted = np.zeros((4, count), np.int64)
        return cls(counted[0], counted[1], counted[2], counted[3], np.full(count, -1, np.int64))

    def add(self, others: "Sums", number: NDArray[np.integer]) -> None:
        """Add what was counted of parts to the patches of these numbers, (parts,)."""
        for name in ("pixels", "area", "activation", "flagged"):
            np.add.at(getattr(self, name), number, getattr(others, name))
        np.maximum.at(self.last, number, others.last)

    def of(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> "Sums":
        """Those of some patches."""
        counted = self.pixels[chosen], self.area[chosen], self.activation[chosen], self.flagged[chosen]
        return Sums(*counted, self.last[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """The patches of a strip and of the row above it.

    Attributes:
        code: uint8 (n,) class of each.
        sums: What was counted of them in the strip; the row above was counted before.
        at_pixel: int32 (rows + 1, width) number of the patch of each pixel, -1 without data.
    """

    code: NDArray[np.uint8]
    sums: Sums
    at_pixel: NDArray[np.int32]


def find_patches(codes: NDArray[np.uint8], carried: NDArray[np.int32], strip: Strip) -> Patches:
    """Find the patches of a strip.

    Args:
        codes: uint8 (rows + 1, width) class codes of the row above the strip and of the strip, 255 without data.
        carried: int32 (width,) number of the patch of each pixel of the row above, as it was found with the rows
            before, -1 without data; pixels of one number belong together, wherever they meet.
        strip: The rows themselves.
    """
    starts = np.ones(codes.shape, np.bool_)
    np.not_equal(codes[:, 1:], codes[:, :-1], out=starts[:, 1:])
    first = np.flatnonzero(starts)
    run = np.cumsum(starts.ravel(), dtype=np.int32).reshape(codes.shape) - 1
    code_of_run = codes.ravel()[first]
    meeting = (codes[1:] == codes[:-1]) & (starts[1:] | starts[:-1]) & (codes[1:] != NODATA_CODE)
    above = int(np.searchsorted(first, codes.shape[1]))
    pairs = np.concatenate([[run[:-1][meeting], run[1:][meeting]], _known(carried[first[:above]])], axis=1)
    number, count = _joined(code_of_run != NODATA_CODE, pairs)
    code = np.zeros(count, np.uint8)
    code[number[number != NONE]] = code_of_run[number != NONE]
    sums = Sums.none(count)
    _count(sums, strip, first[above:] - codes.shape[1], number[above:])
    return Patches(code, sums, number[run])


def _known(carried: NDArray[np.int32]) -> NDArray[np.int64]:
    """Pairs of runs of the row above that belong together, (2, pairs)."""
    order = np.argsort(carried, kind="stable")
    order = order[carried[order] != NONE]
    together = carried[order[1:]] == carried[order[:-1]]
    return np.stack([order[:-1][together], order[1:][together]])


def _joined(valid: NDArray[np.bool_], pairs: NDArray[np.integer]) -> tuple[NDArray[np.int32], int]:
    """Number of the patch of each run, int32 (runs,), -1 without data; how many there are."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(valid.size, valid.size))
    _, group = connected_components(links, directed=False)
    used = np.zeros(valid.size, np.int32)
    used[group[valid]] = 1
    renumbered = np.cumsum(used, dtype=np.int32) - 1
    return np.where(valid, renumbered[group], np.int32(NONE)), int(used.sum())


def _count(sums: Sums, strip: Strip, first: NDArray[np.int64], number: NDArray[np.int32]) -> None:
    """Count the runs of a strip that start at these pixels of it, into the patches of these numbers."""
    valid = number != NONE
    number = number[valid]
    ends = np.append(first[1:], strip.codes.size)
    counted = Sums(
        pixels=(ends - first)[valid],
        area=strip.area_of_runs(first, ends)[valid],
        activation=_sums_of_runs(strip.activation, first)[valid],
        flagged=_sums_of_runs(strip.flagged, first)[valid],
        last=(strip.row * strip.codes.shape[1] + ends - 1)[valid],
    )
    sums.add(counted, number)


def _sums_of_runs(values: NDArray[np.integer] | NDArray[np.bool_] | None, first: NDArray[np.int64]) -> Numbers:
    if values is None or not first.size:
        return np.zeros(first.size, np.int64)
    return np.add.reduceat(values.ravel(), first, dtype=np.int64)
