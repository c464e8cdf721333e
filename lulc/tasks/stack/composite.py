"""Several scenes as one, on the grid of the first: the rules of a composite, and how a scene is read on another's grid.

A scene may lie on another grid or in another CRS. Each pixel's centre is then projected exactly (no approximating
transformer) and interpolated bilinearly, one pixel at a time. The result therefore does not depend on the windows into
which the scene is cut.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.indices import spectral_index
from lulc.io.scene.clouds import ClearScene
from lulc.projection import Floats, GridProjection, bounding_window, inside

Planes = NDArray[np.float32]

_MOST_PIXELS = 1 << 20
"""Largest window of another scene that is held at once, pixels; more is read in parts."""

_MOST_POSITIONS = 1 << 18
"""Largest number of pixels that are interpolated at once."""

_LEAST_WEIGHT = 0.5
"""Least weight of valid neighbours that an interpolated pixel needs."""


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


@dataclass(frozen=True)
class _SameGrid:
    """A scene that shares its grid with the other one."""

    scene: ClearScene
    names: tuple[str, ...]

    def whole(self, window: Window) -> Planes:
        """Values of a window of the other grid: float32 (names, height, width), NaN where the scene has no data.

        Raises:
            StorageError: A block cannot be read.
        """
        return self.scene.reflectance(self.names, window)

    def at(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Planes:
        """Values at pixels of the other grid: float32 (names, pixels), NaN where the scene has no data.

        Raises:
            StorageError: A block cannot be read.
        """
        window = bounding_window(rows, cols, self.scene.grid.shape)
        planes = self.scene.reflectance(self.names, window)
        values: Planes = planes[:, rows - window.row, cols - window.col]
        return values


@dataclass(frozen=True)
class _OtherGrid:
    """A scene on a grid of its own, with the methods of `_SameGrid`."""

    scene: ClearScene
    names: tuple[str, ...]
    projection: GridProjection

    def whole(self, window: Window) -> Planes:
        values = np.empty((len(self.names), window.height, window.width), np.float32)
        height = max(1, _MOST_POSITIONS // window.width)  # positions of a whole window would take many times its pixels
        for top in range(0, window.height, height):
            part = Window(window.row + top, window.col, min(height, window.height - top), window.width)
            rows, cols = np.mgrid[part.slices()].reshape(2, -1)
            values[:, top : top + part.height] = self.at(rows, cols).reshape(-1, part.height, part.width)
        return values

    def at(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Planes:
        values = np.full((len(self.names), rows.size), np.nan, np.float32)
        there = self.projection.locate(rows.astype(np.float64), cols.astype(np.float64))
        found = np.nonzero(inside(*there, self.scene.grid.shape))[0]
        if found.size:
            values[:, found] = self._sample(there[0][found], there[1][found])
        return values

    def _sample(self, rows: Floats, cols: Floats) -> Planes:
        """Bilinear values at positions on the scene, in pixels counted from the centre of the first one."""
        top, left = np.floor(rows).astype(np.intp), np.floor(cols).astype(np.intp)
        corners = np.concatenate([top, top + 1]), np.concatenate([left, left + 1])
        window = bounding_window(*corners, self.scene.grid.shape)
        if rows.size > _MOST_POSITIONS or (window.shape.size > _MOST_PIXELS and rows.size > 1):
            return self._sample_in_halves(rows, cols, along_rows=window.height >= window.width)
        planes = self.scene.reflectance(self.names, window)
        return bilinear(planes, rows - window.row, cols - window.col)

    def _sample_in_halves(self, rows: Floats, cols: Floats, *, along_rows: bool) -> Planes:
        values = np.empty((len(self.names), rows.size), np.float32)
        for part in np.array_split(np.argsort(rows if along_rows else cols, kind="stable"), 2):
            values[:, part] = self._sample(rows[part], cols[part])
        return values


Donor = _SameGrid | _OtherGrid
"""A scene read on the grid of another one."""


def donor(scene: ClearScene, first: ClearScene, names: tuple[str, ...]) -> Donor:
    """A scene, read on the grid of the first.

    Raises:
        InputError: The scene cannot be projected onto that grid, or does not overlap it.
    """
    if scene.grid.same_as(first.grid):
        return _SameGrid(scene, names)
    for one in (scene, first):
        if one.grid.crs is None or one.grid.gcps:
            raise InputError(
                f"{one.info.name} has no CRS and transform, and the scenes do not share a grid",
                "warp it to a map projection first",
            )
    projection = GridProjection(first.grid, scene.grid, f"{first.info.name} and {scene.info.name}")
    if not projection.meets():
        raise InputError(f"{scene.info.name} lies outside {first.info.name}", "fill with a scene of the same place")
    return _OtherGrid(scene, names, projection)


def bilinear(planes: Planes, rows: Floats, cols: Floats) -> Planes:
    """Bilinear interpolation that ignores missing neighbours.

    Args:
        planes: Values, float32 (names, height, width); a pixel is missing where the first plane is NaN.
        rows: Rows of the positions, float64 (n,), counted from the centre of the first row.
        cols: Columns of the positions, float64 (n,), counted from the centre of the first column.

    Returns:
        float32 (names, n); NaN where missing neighbours make up more than half of the weight.
    """
    height, width = planes.shape[1:]
    top, left = np.floor(rows), np.floor(cols)
    total = np.zeros((planes.shape[0], rows.size))
    weights = np.zeros(rows.size)
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - np.abs(top + down - rows)) * (1 - np.abs(left + right - cols))
            row = np.clip(top + down, 0, height - 1).astype(np.intp)
            col = np.clip(left + right, 0, width - 1).astype(np.intp)
            values = planes[:, row, col]
            weight = np.where(np.isnan(values[0]), 0.0, weight)
            total += np.where(weight > 0, values, 0.0) * weight
            weights += weight
    enough = weights >= _LEAST_WEIGHT
    return np.where(enough, total / np.where(enough, weights, 1.0), np.nan).astype(np.float32)


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
