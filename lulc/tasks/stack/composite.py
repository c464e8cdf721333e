"""Several scenes as one, on the grid of the first: the rules of a composite."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Window
from lulc.indices import spectral_index
from lulc.io.scene.clouds import ClearScene
from lulc.tasks.stack.on_grid import Planes, donor


class Composite:
    """Several scenes as one, on the grid of the first. Each pixel comes from the first scene in order that has it.

    Args:
        scenes: The scenes; the first gives the grid.
        names: Bands and indices to read, which every scene has.
        order: Indices into `scenes` in order of precedence; None keeps the order given.

    Raises:
        InputError: A scene cannot be projected onto the grid of the first, or does not overlap it.
    """

    def __init__(self, scenes: Sequence[ClearScene], names: Sequence[str], order: Sequence[int] | None = None) -> None:
        self.names = tuple(names)
        donors = [donor(scene, scenes[0], self.names) for scene in scenes]
        self._dates = [(position + 1, donors[position]) for position in order or range(len(donors))]

    @property
    def scenes(self) -> int:
        """Number of scenes."""
        return len(self._dates)

    def read(self, window: Window) -> tuple[Planes, NDArray[np.uint8]]:
        """Composite a window inside the grid.

        Returns:
            Reflectance and index values, float32 (names, height, width), NaN where no scene has data; and the number of
            the scene of each pixel, uint8 (height, width), 0 where no scene has data.

        Raises:
            StorageError: A block cannot be read.
        """
        number, date = self._dates[0]
        planes = date.whole(window)
        source = np.where(np.isnan(planes[0]), 0, number).astype(np.uint8)
        for number, date in self._dates[1:]:
            rows, cols = np.nonzero(source == 0)
            if rows.size == 0:
                break
            values = date.at(rows + window.row, cols + window.col)
            found = ~np.isnan(values[0])
            planes[:, rows[found], cols[found]] = values[:, found]
            source[rows[found], cols[found]] = number
        return planes, source


_MOST_VALUES = 1 << 24
"""Largest number of values of all dates held at once (64 MiB). More dates are read in narrower strips of a window."""

_NDVI = spectral_index("NDVI")


class _AllDates(ABC):
    """Several scenes, each read at every pixel on the grid of the first.

    Args:
        scenes: The scenes; the first gives the grid.
        names: Bands and indices to read, which every scene has.

    Raises:
        InputError: A scene cannot be projected onto the grid of the first, or does not overlap it.
    """

    def __init__(self, scenes: Sequence[ClearScene], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._dates = [donor(scene, scenes[0], self.names) for scene in scenes]

    @property
    def scenes(self) -> int:
        """Number of scenes, which is also the largest value of the channel `source`."""
        return len(self._dates)

    def read(self, window: Window) -> tuple[Planes, NDArray[np.uint8]]:
        """Composite a window inside the grid.

        Returns:
            Reflectance and index values, float32 (names, height, width), NaN where no scene has data; and the channel
            `source`, uint8 (height, width), 0 where no scene has data.

        Raises:
            StorageError: A block cannot be read.
        """
        planes = np.empty((len(self.names), window.height, window.width), np.float32)
        source = np.empty((window.height, window.width), np.uint8)
        for strip in _strips(window, self.scenes * len(self.names)):
            slices = strip.slices(window)
            planes[:, *slices], source[slices] = self._reduce(strip)
        return planes, source

    @abstractmethod
    def _reduce(self, strip: Window) -> tuple[Planes, NDArray[np.uint8]]:
        """As `read`, for a window that all dates fit into memory for."""


class Median(_AllDates):
    """The median over the dates with data, band by band. Of an even number it is the mean of the two middle values.

    The channel `source` counts the dates used.
    """

    def _reduce(self, strip: Window) -> tuple[Planes, NDArray[np.uint8]]:
        values = np.stack([date.whole(strip) for date in self._dates])
        values.sort(axis=0)  # NaN comes last
        dates = (~np.isnan(values)).sum(axis=0)
        low, high = np.maximum(dates - 1, 0) // 2, dates // 2
        high = np.minimum(high, len(values) - 1)
        middle = np.take_along_axis(values, np.stack([low, high]), axis=0)
        return (middle[0] + middle[1]) / np.float32(2), dates[0].astype(np.uint8)


class MaxNdvi(_AllDates):
    """All bands from the date of the largest NDVI; the first date in a tie.

    The channel `source` is the number of that date.

    The names include B04 and B08. A date whose NDVI is undefined (both bands 0) yields to every other date.
    """

    def _reduce(self, strip: Window) -> tuple[Planes, NDArray[np.uint8]]:
        planes = np.full((len(self.names), strip.height, strip.width), np.nan, np.float32)
        source = np.zeros((strip.height, strip.width), np.uint8)
        largest = np.full((strip.height, strip.width), -np.inf, np.float32)
        for number, date in enumerate(self._dates, start=1):
            values = date.whole(strip)
            ndvi = _NDVI(dict(zip(self.names, values, strict=True)))
            ndvi = np.where(np.isnan(ndvi), -np.inf, ndvi)
            better = ~np.isnan(values[0]) & ((ndvi > largest) | (source == 0))
            planes[:, better] = values[:, better]
            largest[better], source[better] = ndvi[better], number
        return planes, source


def clear_fractions(scenes: Sequence[ClearScene], names: Sequence[str], windows: Iterable[Window]) -> list[float]:
    """Fraction of the first scene's grid that is clear and valid in each scene, 0..1, counted over all pixels.

    Args:
        scenes: The scenes; the first gives the grid.
        names: Bands and indices that must have data.
        windows: Windows that cover each pixel of the grid once.

    Raises:
        InputError: A scene cannot be projected onto the grid of the first, or does not overlap it.
        StorageError: A block cannot be read.
    """
    donors = [donor(scene, scenes[0], tuple(names)) for scene in scenes]
    clear = np.zeros(len(donors), np.int64)
    for window in windows:
        for number, date in enumerate(donors):
            clear[number] += np.count_nonzero(~np.isnan(date.whole(window)[0]))
    return [float(count) / scenes[0].grid.shape.size for count in clear]


def _strips(window: Window, depth: int) -> Iterator[Window]:
    """Cut a window into strips of rows, so that `depth` values per pixel stay under the limit."""
    height = max(1, _MOST_VALUES // max(1, depth * window.width))
    for row in range(window.row, window.row_end, height):
        yield Window(row, window.col, height, window.width).intersection(window)
