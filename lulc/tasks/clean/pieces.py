"""Patches of a strip of rows: what of the map's patches lies in it, which parts are small, and what touches what.

A patch is a connected group of pixels of one class; a piece is its part in one strip, as far as it is connected there. Pieces that
reach the minimum mapping unit by themselves belong to large patches whatever follows. The others are numbered, in the order of
their first pixels, and known by their area, first pixel and summed activations.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lulc.io.product.runs import Indices, touching
from lulc.legend import NODATA_CODE
from lulc.tasks.clean.unit import Integers, UnitAreas

LARGE = -1
"""Number in place of a piece's, where a run belongs to a large patch."""

FINE = 1 << 20
"""Steps of an activation stored as float32, whose sums are whole numbers too."""

Codes = NDArray[np.uint8]


class Contacts(NamedTuple):
    """What touches what, each pair once.

    Attributes:
        first: One small piece.
        second: The other one.
        length: int64 pairs of pixels, one of each, that touch.
    """

    first: Indices
    second: Indices
    length: Integers


class Borders(NamedTuple):
    """Borders of small pieces with large patches, each pair once.

    Attributes:
        piece: The small piece.
        code: uint8 class of the large patch.
        length: int64 pairs of pixels that touch.
    """

    piece: Indices
    code: Codes
    length: Integers


class Line(NamedTuple):
    """Runs of one row, from left to right.

    Attributes:
        starts: First columns.
        ends: Columns after the last.
        codes: uint8 classes.
        piece: Numbers of their pieces, or `LARGE`.
    """

    starts: Indices
    ends: Indices
    codes: Codes
    piece: Indices


def components(count: int, first: Indices, second: Indices) -> tuple[int, Indices]:
    """How many groups `count` things fall into where pairs are of one group, and the group of each, (count,)."""
    joins = coo_array((np.ones(first.size, np.bool_), (first, second)), shape=(count, count))
    found, label = connected_components(joins, directed=False)
    return int(found), label.astype(np.intp, copy=False)


@dataclass(frozen=True, eq=False)
class StripPieces:
    """The pieces of a strip.

    Args:
        codes: uint8 (height, width), classes from 1, 255 without data.
        row: First row of the strip in the map.
        areas: Areas of the strip's pixels.
        corners: True where pixels touch that share a corner alone.
    """

    codes: Codes
    row: int
    areas: UnitAreas
    corners: bool

    @property
    def _pitch(self) -> int:
        """From a place to the one below it: a column behind each row parts its runs from those of the next."""
        return int(self.codes.shape[1]) + 1

    @cached_property
    def _runs(self) -> tuple[Indices, Indices, Codes]:
        """Starts and ends, counted row by row, and classes."""
        height, width = self.codes.shape
        table = np.full((height, width + 1), NODATA_CODE, np.uint8)
        table[:, :width] = self.codes
        places = table.ravel()
        turns = np.flatnonzero(places[1:] != places[:-1]) + 1
        starts, ends = np.concatenate([[0], turns]), np.concatenate([turns, [places.size]])
        has_data = places[starts] != NODATA_CODE
        return starts[has_data], ends[has_data], places[starts[has_data]]

    @cached_property
    def _pairs(self) -> tuple[Indices, Indices]:
        """Runs that touch in neighbouring rows."""
        return touching(*self._runs[:2], self._pitch, corners=self.corners)

    @cached_property
    def _labels(self) -> tuple[Indices, Integers, Indices]:
        """Piece of each run, or `LARGE`; area and first run of each small piece."""
        starts, ends, codes = self._runs
        above, below = self._pairs
        same = codes[above] == codes[below]
        count, label = components(starts.size, above[same], below[same])
        rows, columns = np.divmod(starts, self._pitch)
        area, first = np.zeros(count, np.int64), np.empty(count, np.intp)
        np.add.at(area, label, self.areas.of_runs(rows, columns, columns + ends - starts))
        first[label[::-1]] = np.arange(starts.size)[::-1]
        small = np.flatnonzero(area < self.areas.least)
        small = small[np.argsort(first[small])]
        number = np.full(count, LARGE, np.intp)
        number[small] = np.arange(small.size)
        return number[label], area[small], first[small]

    @property
    def count(self) -> int:
        """Number of small pieces."""
        return self._labels[1].size

    @property
    def sizes(self) -> Integers:
        """Areas of the small pieces: int64 (n,)."""
        return self._labels[1]

    @property
    def firsts(self) -> Integers:
        """First pixels of the small pieces, counted row by row in the map: int64 (n,)."""
        rows, columns = np.divmod(self._runs[0][self._labels[2]].astype(np.int64), self._pitch)
        return (rows + self.row) * (self._pitch - 1) + columns

    @property
    def classes(self) -> Codes:
        """Classes of the small pieces: uint8 (n,)."""
        return self._runs[2][self._labels[2]]

    def sums(self, activations: NDArray[Any]) -> Integers:
        """Summed activations of the small pieces, in steps: int64 (K, n).

        Args:
            activations: As stored, uint8 or float32 (K, height, width).
        """
        starts, ends, _ = self._runs
        inside = np.flatnonzero(self._labels[0] != LARGE)
        piece, row = self._labels[0][inside], starts[inside] // self._pitch
        total = np.zeros((len(activations), self.count), np.int64)
        cuts = np.column_stack([starts[inside] - row, ends[inside] - row]).ravel()  # without the parting column
        if not cuts.size:
            return total
        if cuts[-1] == self.codes.size:
            cuts = cuts[:-1]
        for plane, of_plane in zip(activations, total, strict=True):
            steps = plane if plane.dtype == np.uint8 else np.rint(plane * np.float32(FINE)).astype(np.int32)
            np.add.at(of_plane, piece, np.add.reduceat(steps.ravel(), cuts, dtype=np.int64)[::2])
        return total

    def touches(self) -> tuple[Contacts, Borders]:
        """Contacts of small pieces, and their borders with large patches, inside the strip."""
        starts, ends, codes = self._runs
        above, below = self._pairs
        left = np.flatnonzero(ends[:-1] == starts[1:])
        length = contact_length(
            starts[above], ends[above], starts[below] - self._pitch, ends[below] - self._pitch, corners=self.corners
        )
        first, second = np.concatenate([above, left]), np.concatenate([below, left + 1])
        lengths = np.concatenate([length, np.ones(left.size, np.int64)])
        other = codes[first] != codes[second]
        return sorted_contacts(
            (self._labels[0][first[other]], codes[first[other]]),
            (self._labels[0][second[other]], codes[second[other]]),
            lengths[other],
        )

    def line(self, row: int) -> Line:
        """The runs of one row of the strip."""
        starts, ends, codes = self._runs
        here = slice(*np.searchsorted(starts, [row * self._pitch, (row + 1) * self._pitch]))
        begin = row * self._pitch
        return Line(starts[here] - begin, ends[here] - begin, codes[here], self._labels[0][here])

    def with_classes(self, verdicts: Codes) -> Codes:
        """The strip's classes after the pieces have got theirs: uint8 (height, width).

        Args:
            verdicts: uint8 (n,) new class of each small piece; 0 leaves it as it is.
        """
        starts, ends, codes = self._runs
        decided = np.append(verdicts, np.uint8(0))[self._labels[0]]  # the last is that of `LARGE`
        moved = np.flatnonzero((decided != 0) & (decided != codes))
        cleaned = self.codes.copy()
        length = ends[moved] - starts[moved]
        begin = np.cumsum(length) - length
        row = starts[moved] // self._pitch
        places = np.repeat(starts[moved] - row - begin, length) + np.arange(length.sum())
        cleaned.ravel()[places] = np.repeat(decided[moved], length)
        return cleaned


def contact_length(
    starts: Indices, ends: Indices, other_starts: Indices, other_ends: Indices, *, corners: bool
) -> Integers:
    """Pairs of pixels that touch, of runs above and runs below in one count of columns: int64 (n,)."""
    total = np.zeros(starts.size, np.int64)
    for shift in (-1, 0, 1) if corners else (0,):
        common = np.minimum(ends, other_ends + shift) - np.maximum(starts, other_starts + shift)
        total += np.maximum(common, 0)
    return total


def sorted_contacts(
    one: tuple[Indices, Codes], other: tuple[Indices, Codes], length: Integers
) -> tuple[Contacts, Borders]:
    """Contacts and borders, each once, of things that touch: their numbers, or `LARGE`, and classes."""
    small = (one[0] != LARGE) & (other[0] != LARGE)
    low, high = np.minimum(one[0], other[0])[small], np.maximum(one[0], other[0])[small]
    pieces, codes, lengths = [], [], []
    for (number, _), (beside, code) in ((one, other), (other, one)):
        mixed = (number != LARGE) & (beside == LARGE)
        pieces.append(number[mixed])
        codes.append(code[mixed])
        lengths.append(length[mixed])
    return (
        Contacts(*each_once(low, high, length[small])),
        Borders(*each_once(np.concatenate(pieces), np.concatenate(codes), np.concatenate(lengths))),
    )


def each_once(first: Indices, second: NDArray[Any], length: Integers) -> tuple[Indices, NDArray[Any], Integers]:
    """Pairs, each once, with the sum of their lengths; ascending."""
    if not first.size:
        return first, second, length
    order = np.lexsort((second, first))
    first, second, length = first[order], second[order], length[order]
    new = np.flatnonzero(np.concatenate([[True], (first[1:] != first[:-1]) | (second[1:] != second[:-1])]))
    return first[new], second[new], np.add.reduceat(length, new)
