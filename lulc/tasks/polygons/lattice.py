"""Borders of patches on the lattice of pixel corners, found strip by strip.

A lattice point is a vertex where borders turn or meet. It is one for all patches around it, so neighbours share every vertex of
their common border. A dart is the way of a border into a vertex, with its patch on the left. Darts follow each other into
chains. A chain that leaves the strip is continued by one of a later strip: both know the edge between them by its key.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.legend import NODATA_CODE
from lulc.tasks.polygons.chains import UNPAIRED, Chains, Keys
from lulc.tasks.polygons.marks import Marks
from lulc.tasks.polygons.patches import NONE, Patches
from lulc.tasks.polygons.ragged import offsets
from lulc.tasks.polygons.succession import END, Succession

_N, _E, _S, _W = range(4)
"""Half-edges of a lattice point, clockwise. Each stands for the quadrant clockwise of it too: NE, SE, SW, NW."""

_SIDES = 4
_CROSSING = 15
"""All four half-edges."""

_TWO = 2
_UP, _RIGHT, _DOWN, _LEFT = range(4)
"""Ways along an edge. Its key is that of its upper or left vertex, and the way."""


def _exits() -> NDArray[np.int8]:
    """Half-edge by which a border leaves a point, by the half-edges there are (bits) and that by which it comes: (16, 4).

    It is the next one clockwise: the quadrants between are those of the patch on its left.
    """
    table = np.zeros((_CROSSING + 1, _SIDES), np.int8)
    for edges in range(_CROSSING + 1):
        for side in range(_SIDES):
            clockwise = [(side + turn) % _SIDES for turn in range(1, _SIDES + 1)]
            table[edges, side] = next((exit_ for exit_ in clockwise if edges >> exit_ & 1), side)
    return table


_EXITS = _exits()


@dataclass(frozen=True, slots=True, eq=False)
class _Vertices:
    """Vertices of a strip, row by row.

    Attributes:
        key: int64 (n,) row * (columns + 1) + column in the whole map.
        points: int32 (2, n) rows and columns there.
        edges: uint8 (n,) half-edges, as bits.
        patch: int32 (n, 4) patches in the quadrants, -1 without data.
    """

    key: Keys
    points: NDArray[np.int32]
    edges: NDArray[np.uint8]
    patch: NDArray[np.int32]

    @classmethod
    def of(cls, row: int, codes: NDArray[np.uint8], patch_at: NDArray[np.int32]) -> "_Vertices":
        """Vertices between the rows of pixels with these codes, the first of them in this lattice row."""
        sides = ((0, 0), (1, 1))
        padded = np.pad(codes, sides, constant_values=NODATA_CODE)
        nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
        north, east, south, west = nw != ne, ne != se, sw != se, nw != sw
        found = np.flatnonzero((north ^ south) | (east ^ west) | (north & east))
        columns = codes.shape[1] + 1
        rows, cols = np.divmod(found, columns)
        edges = np.zeros(found.size, np.uint8)
        for bit, side in enumerate((north, east, south, west)):
            edges |= side.ravel()[found].view(np.uint8) << bit
        around = np.pad(patch_at, sides, constant_values=NONE)
        corners = ((0, 1), (1, 1), (1, 0), (0, 0))
        patch = np.stack([around[rows + down, cols + right] for down, right in corners], axis=1)
        return cls(found + row * columns, np.stack([rows + row, cols]).astype(np.int32), edges, patch)

    def has(self, side: int) -> NDArray[np.bool_]:
        """Which of them have a half-edge."""
        return (self.edges >> side & 1).view(np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """What the edges of the vertices of a strip lead to.

    Attributes:
        goal: int32 (n, 4) vertex at the other end of each half-edge, -1 outside the strip.
        key: int64 (n, 4) key of its upper or left vertex.
    """

    goal: NDArray[np.int32]
    key: Keys

    @classmethod
    def of(cls, vertices: _Vertices, upper: Keys) -> "_Edges":
        """Edges of a strip.

        Args:
            vertices: Its vertices.
            upper: int64 (columns + 1,) key of the vertex above each edge that comes from the strip before; those that leave
                this strip take their place.
        """
        count = vertices.key.size
        numbers = np.arange(count, dtype=np.int32)
        columns = vertices.points[1]
        narrow = columns.astype(np.uint16) if upper.size <= 1 << 16 else columns  # a radix sort, five times as fast
        by_column = np.argsort(narrow, kind="stable")
        goes_down = vertices.has(_S)
        meets = (columns[by_column[1:]] == columns[by_column[:-1]]) & goes_down[by_column[:-1]]
        above, below = by_column[:-1][meets], by_column[1:][meets]
        goal = np.full((count, _SIDES), NONE, np.int32)
        goal[above, _S], goal[below, _N] = below, above
        goal[:, _E], goal[:, _W] = numbers + 1, numbers - 1  # where there is such a half-edge
        key = np.empty((count, _SIDES), np.int64)
        key[:, _E] = key[:, _S] = vertices.key
        key[1:, _W] = vertices.key[:-1]
        key[:, _N] = np.where(goal[:, _N] == NONE, upper[columns], vertices.key[goal[:, _N]])
        leaving = goes_down & (goal[:, _S] == NONE)
        upper[columns[leaving]] = vertices.key[leaving]
        return cls(goal, key)


_COMES = np.array([_DOWN, _LEFT, _UP, _RIGHT])
"""The way along a half-edge into its vertex."""

_LEAVES = np.array([_UP, _RIGHT, _DOWN, _LEFT])
"""The way along it out of its vertex."""


@dataclass(frozen=True, slots=True, eq=False)
class _Darts:
    """Ways of borders into the vertices of a strip.

    Attributes:
        number: int32 (4 n,) number of the dart into each of n vertices by each half-edge, -1 where there is none.
        vertex: int64 (darts,) vertex of each.
        side: int64 (darts,) half-edge by which it comes.
        leaving: int64 (darts,) half-edge by which its border leaves.
        patch: int32 (darts,) patch on its left.
        undecided: bool (darts,) another patch of its class lies across the vertex, and later rows may join the two.
    """

    number: NDArray[np.int32]
    vertex: NDArray[np.int64]
    side: NDArray[np.int64]
    leaving: NDArray[np.int64]
    patch: NDArray[np.int32]
    undecided: NDArray[np.bool_]

    @classmethod
    def of(cls, vertices: _Vertices, patches: Patches, going_on: NDArray[np.bool_]) -> "_Darts":
        exists = (vertices.edges[:, None] >> np.arange(_SIDES, dtype=np.uint8) & 1).view(np.bool_)
        dart = np.flatnonzero(exists & (vertices.patch != NONE))
        number = np.full(exists.size, NONE, np.int32)
        number[dart] = np.arange(dart.size, dtype=np.int32)
        vertex, side = dart >> 2, dart & 3
        patch, edges = vertices.patch.ravel()[dart], vertices.edges[vertex]
        across = np.where(edges == _CROSSING, vertices.patch.ravel()[dart ^ 2], NONE)
        touching = across == patch
        leaving = np.where(touching, side - 1 & 3, _EXITS[edges, side])  # rings touch there, none runs through it twice
        other = (across != NONE) & ~touching
        undecided = other & going_on[patch] & going_on[across] & (patches.code[across] == patches.code[patch])
        return cls(number, vertex, side, leaving, patch, undecided)

    def following(self, edges: _Edges) -> NDArray[np.int32]:
        """Number of the dart that follows each, -1 outside the strip and where it is undecided."""
        goal = edges.goal[self.vertex, self.leaving].astype(np.int64)
        known = (goal != NONE) & ~self.undecided
        return np.where(known, self.number[goal << 2 | self.leaving ^ 2], np.int32(END))


class Lattice:
    """Borders of one map, found from top to bottom.

    Args:
        width: Columns of the map.
        marks: Where its vertices are marked; None marks none.
    """

    def __init__(self, width: int, marks: Marks | None = None) -> None:
        self._marks = marks
        self._upper = np.zeros(width + 1, np.int64)

    def chains(self, row: int, codes: NDArray[np.uint8], patches: Patches, going_on: NDArray[np.bool_]) -> Chains:
        """The borders on the lattice rows between some rows of pixels.

        Args:
            row: The first lattice row.
            codes: uint8 (rows + 1, width) of the row of pixels above it and of those below.
            patches: Of these pixels.
            going_on: bool (n,) patches that may go on in later strips.
        """
        vertices = _Vertices.of(row, codes, patches.at_pixel)
        if self._marks:
            self._marks.add(row, codes.shape[0] - 1, vertices.points, np.bitwise_count(vertices.edges) > _TWO)
        edges = _Edges.of(vertices, self._upper)
        darts = _Darts.of(vertices, patches, going_on)
        found = Succession.of(darts.following(edges))
        ends = offsets(found.size)
        head, tail = found.order[ends[:-1]], found.order[ends[1:] - 1]
        first, last, way = darts.vertex[head], darts.vertex[tail], darts.leaving[tail]
        return Chains(
            patch=darts.patch[head].astype(np.int64),
            start=edges.key[first, darts.side[head]] << 2 | _COMES[darts.side[head]],
            end=edges.key[last, way] << 2 | _LEAVES[way],
            pair=np.where(darts.undecided[tail], vertices.key[last] << 1 | darts.side[tail] & 1, UNPAIRED),
            size=found.size,
            points=vertices.points[:, darts.vertex[found.order]],
        )
