"""The first pass over a map: which of its patches are below the unit, and what becomes of them.

Strips are read and cut into pieces in threads, and join in order. The second pass cuts the same strips again, from the same classes, so a
piece has the same number there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Shape, Window
from lulc.run import Run
from lulc.tasks.clean.groups import Counts, Groups
from lulc.tasks.clean.options import CleanOptions
from lulc.tasks.clean.pieces import StripPieces
from lulc.tasks.clean.source import MapToClean
from lulc.tasks.clean.sweep import Strip, Sweep
from lulc.tasks.clean.unit import UnitAreas
from lulc.threads import in_order
from lulc.tiling import BLOCK

STRIP_PIXELS = 6_000_000
"""Pixels of a strip, about: a row of blocks of a whole tile. A map that is wider has a row of its blocks."""


def strip_windows(shape: Shape) -> Iterator[Window]:
    """Windows of whole rows, as many as whole blocks have, from top to bottom."""
    rows = BLOCK * max(1, STRIP_PIXELS // (BLOCK * max(shape.width, 1)))
    for row in range(0, shape.height, rows):
        yield Window(row, 0, min(rows, shape.height - row), shape.width)


@dataclass
class UnitPass:
    """What becomes of the patches below the unit.

    Attributes:
        source: The map.
        options: How.
        areas: Areas of its pixels, and the unit.
    """

    source: MapToClean
    options: CleanOptions
    areas: UnitAreas
    _groups: Groups = field(init=False)

    def __post_init__(self) -> None:
        self._groups = Groups(len(self.source.legend), self.areas.least, majority=self.options.mmu_by == "majority")

    @property
    def counts(self) -> Counts:
        """What was found."""
        return self._groups.counts

    def run(self, threads: int, run: Run, whole: int) -> None:
        """Decide all.

        Args:
            threads: Strips that are read at once.
            run: Its progress advances after each strip.
            whole: Pixels of all passes.

        Raises:
            LulcError: Reading failed, or Interrupted.
        """
        sweep, done = Sweep(self._groups, corners=self.options.corners), 0
        for strip in in_order(self._strip, strip_windows(self.source.grid.shape), threads):
            sweep.feed(strip)
            done += strip.pieces.codes.size
            run.tick(done, whole)
        sweep.end()

    def applied(self, strip: int, window: Window, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The classes of a strip after the unit, from those before it: uint8 (height, width)."""
        return self._pieces(window, classes).with_classes(self._groups.verdicts.of_strip(strip))

    def _strip(self, window: Window) -> Strip:
        by_majority = self.options.mmu_by == "majority"
        bands = self.source.classes(window)[None] if by_majority else self.source.bands(window)
        pieces = self._pieces(window, bands[0].astype(np.uint8, copy=False))
        sums = np.zeros((0, pieces.count), np.int64) if by_majority else pieces.sums(bands[1:])
        return Strip(pieces, sums, *pieces.touches())

    def _pieces(self, window: Window, classes: NDArray[np.uint8]) -> StripPieces:
        return StripPieces(classes, window.row, self.areas.part(window), self.options.corners)
