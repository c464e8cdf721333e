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
from lulc.tasks.clean.unit import Integers, UnitAreas
from lulc.threads import in_order
from lulc.tiling import BLOCK

STRIP_PIXELS = 6_000_000
"""Pixels of a strip, about: a row of blocks of a whole tile. A map that is wider has a row of its blocks."""


MOST_RUNS = 1 << 19
"""Of what is joined at once, about. A strip of a real map of 10,980 columns has half of them, noise ten times as many."""


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
    _first_parts: list[int] = field(default_factory=lambda: [0])

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
        for parts in in_order(self._read, strip_windows(self.source.grid.shape), threads):
            self._first_parts.append(self._first_parts[-1] + len(parts))
            for part, sums in parts:
                sweep.feed(Strip(part, sums, *part.touches()))
                done += part.codes.size
                run.tick(done, whole)
        sweep.end()

    def applied(self, strip: int, window: Window, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The classes of a strip after the unit, from those before it: uint8 (height, width)."""
        parts = enumerate(self._parts(window, classes), self._first_parts[strip])
        return np.concatenate([part.with_classes(self._groups.verdicts.of_strip(number)) for number, part in parts])

    def _read(self, window: Window) -> list[tuple[StripPieces, Integers]]:
        """The parts of a strip, and the summed activations of their pieces."""
        by_majority = self.options.mmu_by == "majority"
        bands = self.source.classes(window)[None] if by_majority else self.source.bands(window)
        found = []
        for part in self._parts(window, bands[0].astype(np.uint8, copy=False)):
            rows = slice(part.row - window.row, part.row - window.row + len(part.codes))
            sums = np.zeros((0, part.count), np.int64) if by_majority else part.sums(bands[1:, rows])
            found.append((part, sums))
        return found

    def _parts(self, window: Window, classes: NDArray[np.uint8]) -> list[StripPieces]:
        """A strip in parts of whole rows that have few enough runs; nearly always one."""
        runs = np.cumsum(1 + np.count_nonzero(classes[:, 1:] != classes[:, :-1], axis=1)) // MOST_RUNS
        cuts = np.flatnonzero(np.diff(runs)) + 1
        parts = []
        for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), window.height], strict=True):
            rows = Window(window.row + start, 0, end - start, window.width)
            codes = classes[start:end].copy()  # no view, which would keep all bands of the strip
            parts.append(StripPieces(codes, rows.row, self.areas.part(rows), self.options.corners))
        return parts
