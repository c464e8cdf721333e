"""Patches of a map traced from top to bottom: whole ones are handed out, open ones are kept."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.legend import NODATA_CODE
from lulc.tasks.polygons.chains import Chains
from lulc.tasks.polygons.lattice import Lattice
from lulc.tasks.polygons.marks import Marks
from lulc.tasks.polygons.patches import NONE, Patches, Sums, find_patches
from lulc.tasks.polygons.rings import Rings
from lulc.tasks.polygons.strips import Strip


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """Patches that are whole, in the order of their last pixels, row by row.

    Attributes:
        code: uint8 (n,) class of each.
        sums: What was counted of them.
        chains: Their borders; `Chains.patch` counts from 0 in this order.
    """

    code: NDArray[np.uint8]
    sums: Sums
    chains: Chains

    def of(self, chosen: NDArray[np.bool_]) -> "Traced":
        """Some of the patches."""
        number = np.cumsum(chosen) - 1
        chains = self.chains.of(np.flatnonzero(chosen[self.chains.patch]))
        return Traced(self.code[chosen], self.sums.of(chosen), chains.with_patch(number[chains.patch]))

    def parts(self, vertices: int) -> "Iterator[Traced]":
        """The patches in parts of so many vertices, or of one patch; none when there is no patch."""
        size = np.zeros(self.code.size, np.int64)
        np.add.at(size, self.chains.patch, self.chains.size)
        part = (np.cumsum(size) - size) // vertices
        for number in np.unique(part):
            yield self.of(part == number)

    def rings(self) -> Rings:
        """Their rings, patch by patch, the outer one first."""
        return Rings.closed(self.chains).ordered()


class Tracer:
    """Traces the patches of one map.

    The order of the patches and all that is told of them depends on the map alone, not on its strips. What is kept is the row
    above, and borders of patches that may go on.

    Args:
        width: Columns of the map.
        marks: Where the vertices of its borders are marked; None marks none.
    """

    def __init__(self, width: int, marks: Marks | None = None) -> None:
        self._lattice = Lattice(width, marks)
        self._above = np.full(width, NODATA_CODE, np.uint8)
        self._carried = np.full(width, NONE, np.int32)
        self._sums = Sums.none(0)
        self._pieces: list[list[Chains]] = []

    def add(self, strip: Strip) -> Traced:
        """Trace the next rows; patches that end above the last of them are whole."""
        codes = np.concatenate([self._above[None], strip.codes])
        patches = find_patches(codes, self._carried, strip)
        heirs = np.empty(len(self._pieces), np.int64)
        known = self._carried != NONE
        heirs[self._carried[known]] = patches.at_pixel[0][known]
        patches.sums.add(self._sums, heirs)
        below = patches.at_pixel[-1]
        going_on = np.zeros(patches.code.size, np.bool_)
        going_on[below[below != NONE]] = True
        chains = self._lattice.chains(strip.row, codes, patches, going_on)
        whole = self._whole(patches, going_on, chains, heirs)
        self._keep(patches, going_on, chains, heirs)
        self._above = strip.codes[-1].copy()
        return whole

    def finish(self, row: int) -> Traced:
        """The patches that reach the last row of the map; `row` is the one below it."""
        nothing = np.full((1, self._above.size), NODATA_CODE, np.uint8)
        return self.add(Strip(row, nothing, np.zeros((2, 1), np.int64)))

    def _whole(self, patches: Patches, going_on: NDArray[np.bool_], chains: Chains, heirs: NDArray[np.int64]) -> Traced:
        ended = np.flatnonzero(~going_on)
        ended = ended[np.argsort(patches.sums.last[ended])]
        number = np.full(going_on.size, NONE, np.int64)
        number[ended] = np.arange(ended.size)
        here = chains.of(np.flatnonzero(~going_on[chains.patch]))
        parts = [here.with_patch(number[here.patch])]
        for heir, pieces in zip(heirs, self._pieces, strict=True):
            if not going_on[heir]:
                parts += [piece.with_patch(np.full_like(piece.patch, number[heir])) for piece in pieces]
        return Traced(patches.code[ended], patches.sums.of(ended), Chains.joined(parts))

    def _keep(self, patches: Patches, going_on: NDArray[np.bool_], chains: Chains, heirs: NDArray[np.int64]) -> None:
        kept = np.flatnonzero(going_on)
        number = np.full(going_on.size, NONE, np.int64)
        number[kept] = np.arange(kept.size)
        here = chains.of(np.flatnonzero(going_on[chains.patch]))
        pieces: list[list[Chains]] = [[part] for part in here.with_patch(number[here.patch]).by_patch(kept.size)]
        for heir, before in zip(heirs, self._pieces, strict=True):
            if going_on[heir]:
                pieces[number[heir]] += before
        below = patches.at_pixel[-1]
        self._pieces, self._sums = pieces, patches.sums.of(kept)
        self._carried = np.full(below.size, NONE, np.int32)
        self._carried[below != NONE] = number[below[below != NONE]]
