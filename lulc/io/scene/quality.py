"""Quality bands that come with a scene: SCL, the scene classification of Level-2A, and QA60, the cloud bits of Level-1C.

Their values are codes, so they are brought to the scene's grid by the nearest neighbour, never interpolated.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Grid, Window, map_points
from lulc.io.scene.source import Source

QUALITY_BANDS = ("SCL", "QA60")
"""Names by which quality bands are found."""

Label = tuple[int, int, str | None]
"""Number of a source, of a band in it, and what the band is called."""


def quality_name(label: str | None) -> str | None:
    """`SCL` or `QA60` when a label names it, alone or as in `T31TDH_20180101T105441_SCL_20m`; else None."""
    tokens = [token for token in re.split(r"[^A-Z0-9]+", (label or "").upper()) if token in QUALITY_BANDS]
    return tokens[0] if len(tokens) == 1 else None


@dataclass(frozen=True)
class QualityBand:
    """One quality band, read on the grid of the scene it belongs to.

    Attributes:
        source: Where it lies, on its own grid, which covers the same ground.
        band: Its number in the source, from 0.
        grid: The scene's grid.
    """

    source: Source
    band: int
    grid: Grid

    def read(self, window: Window) -> NDArray[np.uint16]:
        """Codes of the nearest pixels, uint16 (height, width), 0 where there is no data.

        Args:
            window: Inside the scene.

        Raises:
            StorageError: The input cannot be read there.
        """
        if self.source.grid.same_as(self.grid):
            return _codes(*self.source.read([self.band], window))
        rows, cols = self._nearest(window)
        part = Window(int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)
        codes = _codes(*self.source.read([self.band], part))
        return codes[rows - part.row][:, cols - part.col]

    def _nearest(self, window: Window) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the source that hold the centres of the window's rows and columns."""
        rows, cols = (np.arange(part.start, part.stop) + 0.5 for part in window.slices())
        back, shape = ~self.source.grid.transform, self.source.grid.shape
        _, there_rows = map_points(back, *map_points(self.grid.transform, np.full_like(rows, cols[0]), rows))
        there_cols, _ = map_points(back, *map_points(self.grid.transform, cols, np.full_like(cols, rows[0])))
        return (
            np.clip(np.floor(there_rows), 0, shape.height - 1).astype(np.intp),
            np.clip(np.floor(there_cols), 0, shape.width - 1).astype(np.intp),
        )


def _codes(planes: NDArray[np.generic], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
    codes: NDArray[np.uint16] = np.nan_to_num(planes[0].astype(np.float32)).astype(np.uint16)
    codes[~valid] = 0
    return codes


def quality_bands(sources: Sequence[Source], labels: Iterable[Label], grid: Grid) -> dict[str, QualityBand]:
    """Quality bands among the labels of a scene's sources, by name; the first of a name counts."""
    found: dict[str, QualityBand] = {}
    for number, band, label in labels:
        name = quality_name(label)
        if name:
            found.setdefault(name, QualityBand(sources[number], band, grid))
    return found
