"""Simplified borders: neighbours share them, none crosses another, no patch is lost, and no cut of the work shows.

An arc is a border between two lattice points where three patches or more meet (nodes), or a whole ring without any. Nodes stay.
Every arc is simplified alone, after Visvalingam and Whyatt (1993, doi:10.1179/000870493786962263): the vertex whose triangle with
its neighbours is smallest goes first, while its triangle is no larger than the square of the tolerance.

A vertex stays when its triangle, borders included, holds a vertex of another arc, or one of its own arc from elsewhere. Vertices
are those of the borders that are not simplified, so no arc needs to know what became of another. This suffices: a border that
enters what was cut off must turn there, since it cannot cross the old border nor a straight line twice, and so has a vertex
there (de Berg, van Kreveld and Schirra 1998, doi:10.1559/152304098782383007, call it consistent).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.tasks.polygons.marks import Marks
from lulc.tasks.polygons.ragged import members, offsets
from lulc.tasks.polygons.rings import Rings

Numbers = NDArray[np.int64]
Places = NDArray[np.integer]

_SLACK = 1e-9
"""Of the size of a pixel, which comes out of a projection."""

_LEAST_OF_RING = 4
"""Vertices that a ring without nodes keeps: of a single pixel, all."""


class Simplifier:
    """Simplifies rings of one map.

    Args:
        marks: Of all lattice points that the rings reach.
        limit_px: Triangles of this area or less go, pixels.
    """

    def __init__(self, marks: Marks, limit_px: float) -> None:
        self._marks, self._limit = marks, 2 * limit_px * (1 + _SLACK)

    def simplified(self, rings: Rings) -> Rings:
        """The rings in their order, with fewer vertices."""
        outline = _Outline.of(rings, self._marks)
        arcs = _Arcs.of(outline)
        candidate = self._small(outline, np.arange(outline.rows.size))
        while (going := outline.least(candidate)).size:
            free = _free(outline, self._marks, going)
            candidate[going[~free]] = False
            going, done = arcs.affordable(going[free], outline)
            candidate[done] = False
            candidate[going] = False
            near = outline.remove(going)
            candidate[near] = self._small(outline, near)
        kept = outline.kept
        size = np.add.reduceat(kept, offsets(rings.size)[:-1], dtype=np.int64)
        return Rings(rings.patch, size, rings.points[:, kept]).rolled()

    def _small(self, outline: "_Outline", chosen: Places) -> NDArray[np.bool_]:
        return (outline.twice[chosen] <= self._limit) & ~outline.fixed[chosen]


@dataclass(frozen=True, slots=True, eq=False)
class _Outline:
    """Vertices of rings, and which of them still follow each other.

    Attributes:
        rows: int64 (n,) lattice rows.
        columns: int64 (n,) lattice columns.
        ring: int32 (n,) number of the ring of each.
        ends: int64 (rings + 1,) where each ring begins, and where the last ends.
        fixed: bool (n,) nodes.
        kept: bool (n,) what has not been removed.
        before: int32 (n,) the one before, of those that are kept.
        after: int32 (n,) the one after.
        twice: int64 (n,) twice the area of the triangle with both, pixels.
        lot: uint64 (n,) what decides between equal areas: a hash of the place, so it is one for both sides of a border.
    """

    rows: Numbers
    columns: Numbers
    ring: NDArray[np.int32]
    ends: Numbers
    fixed: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    before: NDArray[np.int32]
    after: NDArray[np.int32]
    twice: Numbers
    lot: NDArray[np.uint64]

    @classmethod
    def of(cls, rings: Rings, marks: Marks) -> "_Outline":
        rows, columns = rings.points.astype(np.int64)
        ends, number = offsets(rings.size), np.arange(rows.size, dtype=np.int32)
        before, after = number - 1, number + 1
        before[ends[:-1]], after[ends[1:] - 1] = ends[1:] - 1, ends[:-1]
        ring = np.repeat(np.arange(rings.size.size, dtype=np.int32), rings.size)
        fixed, kept = marks.nodes(rows, columns), np.ones(rows.size, np.bool_)
        lot = _mixed(rows.astype(np.uint64) << np.uint64(32) | columns.astype(np.uint64))
        outline = cls(rows, columns, ring, ends, fixed, kept, before, after, np.zeros(rows.size, np.int64), lot)
        outline.measure(number)
        return outline

    def measure(self, chosen: Places) -> None:
        """Compute the triangles of some vertices anew."""
        self.twice[chosen] = np.abs(_turn(self, self.before[chosen], chosen, self.after[chosen]))

    def least(self, candidate: NDArray[np.bool_]) -> Numbers:
        """The candidates with the smallest triangles among their neighbours: no two follow each other."""
        chosen = np.flatnonzero(candidate)
        smallest = np.ones(chosen.size, np.bool_)
        for other in (self.before[chosen], self.after[chosen]):
            less = (self.twice[chosen] < self.twice[other]) | (
                (self.twice[chosen] == self.twice[other]) & (self.lot[chosen] < self.lot[other])
            )
            smallest &= less | ~candidate[other]
        return chosen[smallest]

    def remove(self, chosen: Places) -> Places:
        """Remove vertices of which no two follow each other; those beside them, whose triangles have changed."""
        before, after = self.before[chosen], self.after[chosen]
        self.kept[chosen] = False
        self.after[before], self.before[after] = after, before
        near = np.concatenate([before, after])
        self.measure(near)
        return near


@dataclass(frozen=True, slots=True, eq=False)
class _Arcs:
    """Arcs of rings, and how many vertices each may lose.

    Attributes:
        number: int32 (n,) arc of each vertex; a node belongs to the arc that it begins.
        spare: int64 (arcs,) vertices between the nodes that may still go.
    """

    number: NDArray[np.int32]
    spare: Numbers

    @classmethod
    def of(cls, outline: _Outline) -> "_Arcs":
        node = np.flatnonzero(outline.fixed)
        upto = offsets(outline.fixed).astype(np.int32)
        begun, ended = upto[outline.ends[:-1]][outline.ring], upto[outline.ends[1:]][outline.ring]
        number = np.where(upto[1:] > begun, upto[1:], ended) - np.int32(1)
        number = np.where(begun == ended, outline.ring + np.int32(node.size), number)
        inside = np.bincount(number[~outline.fixed], minlength=node.size + outline.ends.size - 1)
        least = np.full(inside.size, _LEAST_OF_RING)
        least[: node.size] = _least_between_nodes(outline, node, number)
        return cls(number, inside - least)

    def affordable(self, chosen: Numbers, outline: _Outline) -> tuple[Numbers, Numbers]:
        """Which of some vertices go: all of an arc that can lose them, else the least; and which of them never go."""
        arc = self.number[chosen]
        spare = self.spare[arc]
        order = np.lexsort((outline.lot[chosen], outline.twice[chosen], arc))
        first = np.flatnonzero(np.diff(arc[order], prepend=-1))
        several = np.diff(first, append=chosen.size)
        together = np.empty(chosen.size, np.int64)
        together[order] = np.repeat(several, several)
        going = together <= spare
        going[order[first]] |= spare[order[first]] > 0
        np.subtract.at(self.spare, arc[going], 1)
        return chosen[going], chosen[spare <= 0]


def _least_between_nodes(outline: _Outline, node: Numbers, number: NDArray[np.int32]) -> Numbers:
    """Vertices that each arc between two nodes keeps besides them, (nodes,).

    Of two arcs between the same nodes one may become a straight line at most, or what lies between them would be lost. Such
    arcs lie on different sides of the line, and which side may become it is decided by the place of the nodes.
    """
    follows = np.roll(node, -1)
    last = np.append(outline.ring[node[1:]] != outline.ring[node[:-1]], True)[: node.size]
    first = np.flatnonzero(np.append(True, last[:-1]))[: np.count_nonzero(last)]
    follows[last] = node[first]
    edge = outline.rows * _next(outline.columns, outline) - _next(outline.rows, outline) * outline.columns
    area = np.zeros(node.size, np.int64)
    between = number < node.size
    np.add.at(area, number[between], edge[between])
    row, column, next_row, next_column = (
        part[which] for which in (node, follows) for part in (outline.rows, outline.columns)
    )
    area += next_row * column - row * next_column
    area = np.where((row < next_row) | ((row == next_row) & (column < next_column)), area, -area)
    side = np.where((row + column + next_row + next_column) & 1, area > 0, area < 0)
    straight = side & (row != next_row) & (column != next_column)  # a line of pixel edges may be another border
    loop = (row == next_row) & (column == next_column)
    return np.where(loop, _LEAST_OF_RING - 1, np.where(straight, 0, 1))


def _next(values: Numbers, outline: _Outline) -> Numbers:
    """Of each vertex, the value of the one that follows it in the ring that is not simplified."""
    followed = np.roll(values, -1)
    followed[outline.ends[1:] - 1] = values[outline.ends[:-1]]
    return followed


def _turn(outline: _Outline, one: Places, two: Places, three: Places) -> Numbers:
    """Twice the signed area of triangles of vertices."""
    down, right = outline.rows[two] - outline.rows[one], outline.columns[two] - outline.columns[one]
    return down * (outline.columns[three] - outline.columns[one]) - right * (outline.rows[three] - outline.rows[one])


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection that scatters numbers: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ numbers >> np.uint64(shift)) * np.uint64(factor)
    return numbers ^ numbers >> np.uint64(31)


def _free(outline: _Outline, marks: Marks, chosen: Numbers) -> NDArray[np.bool_]:
    """Which vertices have triangles that hold no vertex but those of their own piece of border."""
    free = outline.twice[chosen] <= 1  # half a pixel holds no fourth lattice point
    doubtful = np.flatnonzero(~free)
    found = _vertices_inside(outline, marks, chosen[doubtful]) - 3
    free[doubtful[found == 0]] = True
    several = doubtful[found > 0]
    free[several] = _own_inside(outline, chosen[several]) == found[found > 0]
    return free


def _vertices_inside(outline: _Outline, marks: Marks, chosen: Numbers) -> Numbers:
    """How many vertices of whatever border the triangles of some vertices hold, with their own three."""
    corners = np.stack([outline.before[chosen], chosen, outline.after[chosen]])
    rows, columns = outline.rows[corners], outline.columns[corners]
    top, tall = rows.min(axis=0), np.ptp(rows, axis=0) + 1
    triangle, row = np.repeat(np.arange(chosen.size), tall), members(top, tall)
    left, right = _span(rows[:, triangle], columns[:, triangle], row)
    wide = np.maximum(right - left + 1, 0)
    marked = marks.vertices(np.repeat(row, wide), members(left, wide))
    return np.bincount(np.repeat(triangle, wide)[marked], minlength=chosen.size)


def _span(rows: Numbers, columns: Numbers, row: Numbers) -> tuple[Numbers, Numbers]:
    """First and last lattice column of triangles, (3, n), in one lattice row each, (n,)."""
    left, right = np.full(row.size, np.iinfo(np.int64).max), np.full(row.size, -1)
    for one, two in ((0, 1), (1, 2), (2, 0)):
        drop = rows[two] - rows[one]
        crossed = (drop != 0) & (np.minimum(rows[one], rows[two]) <= row) & (row <= np.maximum(rows[one], rows[two]))
        drop = np.where(crossed, drop, 1)
        along = (columns[two] - columns[one]) * (row - rows[one])
        left = np.where(crossed, np.minimum(left, columns[one] - -along // drop), left)
        right = np.where(crossed, np.maximum(right, columns[one] + along // drop), right)
    return left, right


def _own_inside(outline: _Outline, chosen: Numbers) -> Numbers:
    """How many vertices that were removed between their neighbours the triangles of some vertices hold."""
    before, after = outline.before[chosen], outline.after[chosen]
    start = outline.ends[outline.ring[chosen]]
    length = outline.ends[outline.ring[chosen] + 1] - start
    between = (after - before - 1) % length
    triangle = np.repeat(np.arange(chosen.size), between)
    step = members(before - start + 1, between)
    own = start[triangle] + step % length[triangle]
    one, two, three = before[triangle], chosen[triangle], after[triangle]
    sides = np.stack([_turn(outline, one, two, own), _turn(outline, two, three, own), _turn(outline, three, one, own)])
    inside = ((sides >= 0).all(axis=0) | (sides <= 0).all(axis=0)) & (own != two)
    return np.bincount(triangle[inside], minlength=chosen.size)
