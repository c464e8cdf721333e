"""Composites: several dates of one place become one image, by median or by the largest NDVI; and the order `best`.

The rule `first`, each pixel from the first date that has it, is `lulc.tasks.stack.fill.Composite`.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Window
from lulc.indices import spectral_index
from lulc.io.scene.clouds import ClearScene
from lulc.tasks.stack.fill import Planes, donor

_MOST_VALUES = 1 << 24
"""Values of all dates that are held at once, 64 MiB: more dates are read in narrower strips of a window."""

_NDVI = spectral_index("NDVI")


class _AllDates:
    """Several scenes read pixel by pixel on the grid of the first.

    Args:
        scenes: The first gives the grid.
        names: Bands and indices to read; every scene has them.

    Raises:
        InputError: A scene cannot be placed on the grid of the first, or does not meet it.
    """

    def __init__(self, scenes: Sequence[ClearScene], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._dates = [donor(scene, scenes[0], self.names) for scene in scenes]

    @property
    def scenes(self) -> int:
        """Number of scenes, which is also the largest value of the channel `source`."""
        return len(self._dates)

    def read(self, window: Window) -> tuple[Planes, NDArray[np.uint8]]:
        """Pixels of a window inside the grid.

        Returns:
            Reflectance and index values, float32 (name, row, column), NaN where no scene has data; and the channel
            `source`, uint8 (row, column), 0 where none.
        """
        planes = np.empty((len(self.names), window.height, window.width), np.float32)
        source = np.empty((window.height, window.width), np.uint8)
        for strip in _strips(window, self.scenes * len(self.names)):
            place = strip.slices(window)
            planes[:, *place], source[place] = self._reduce(strip)
        return planes, source

    def _reduce(self, strip: Window) -> tuple[Planes, NDArray[np.uint8]]:
        raise NotImplementedError


class Median(_AllDates):
    """The median of all dates that have a pixel, band by band; the mean of the two middle ones of an even number.

    `source` is the number of dates that the median was taken of.
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
    """All bands from the date whose NDVI is largest; the first of equals. `source` is the number of that date.

    Needs B04 and B08 among the names. A pixel whose NDVI has no value (both bands 0) gives way to every other date's.
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


def clear_shares(scenes: Sequence[ClearScene], names: Sequence[str], windows: Iterable[Window]) -> list[float]:
    """Share of the first scene's grid that each scene shows without clouds, 0..1, from every pixel.

    Args:
        scenes: The first gives the grid.
        names: Bands and indices that must have data.
        windows: Cover the grid, each pixel once.
    """
    donors = [donor(scene, scenes[0], tuple(names)) for scene in scenes]
    clear = np.zeros(len(donors), np.int64)
    for window in windows:
        for number, date in enumerate(donors):
            clear[number] += np.count_nonzero(~np.isnan(date.whole(window)[0]))
    return [float(count) / scenes[0].grid.shape.size for count in clear]


def _strips(window: Window, depth: int) -> Iterator[Window]:
    """A window cut into rows so that `depth` values per pixel stay under the limit."""
    height = max(1, _MOST_VALUES // max(1, depth * window.width))
    for row in range(window.row, window.row_end, height):
        yield Window(row, window.col, height, window.width).intersection(window)
