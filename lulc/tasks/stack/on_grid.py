"""A scene read on the grid of another one.

Where both share their pixels, apart from an offset, values are copied. A scene on any other grid, or in another CRS, is
interpolated: each pixel's centre is projected exactly (no approximating transformer) and interpolated bilinearly, one
pixel at a time. The result therefore does not depend on the windows into which the scene is cut.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.bands import Radiometry
from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.scene.clouds import ClearScene
from lulc.io.scene.source import Raster
from lulc.projection import Floats, GridProjection, bounding_window, inside

Planes = NDArray[np.float32]

_REFLECTANCE = Radiometry(quantification=1.0)

_MOST_PIXELS = 1 << 20
"""Largest window of another scene that is held at once, pixels; more is read in parts."""

_MOST_POSITIONS = 1 << 18
"""Largest number of pixels that are interpolated at once."""

_LEAST_WEIGHT = 0.5
"""Least weight of valid neighbours that an interpolated pixel needs."""


@dataclass(frozen=True)
class _SharedPixels:
    """A scene that shares its pixels with the other grid, apart from an offset.

    Attributes:
        scene: The scene.
        names: Bands and indices to read.
        shift: Rows and columns to add to a position on the other grid.
    """

    scene: ClearScene
    names: tuple[str, ...]
    shift: tuple[int, int] = (0, 0)

    @property
    def radiometry(self) -> Radiometry:
        """Conversion of the values of `raw` to reflectance."""
        return self.scene.scene.radiometry

    def raw(self, window: Window) -> Raster:
        """Values of a window of the other grid as the scene holds them, and where they are clear.

        Returns:
            Values (names, height, width), which `radiometry` converts, and bool (height, width), False where the scene
            has no data, shows clouds or does not reach. What lies in invalid pixels is not defined.

        Raises:
            StorageError: A block cannot be read.
        """
        there, held = self._there(window)
        if held == there:
            return self.scene.read(self.names, there)
        data = np.zeros((len(self.names), window.height, window.width), self.scene.scene.dtype)
        valid = np.zeros((window.height, window.width), dtype=bool)
        if held.shape.size:
            data[:, *held.slices(there)], valid[held.slices(there)] = self.scene.read(self.names, held)
        return Raster(data, valid)

    def whole(self, window: Window) -> Planes:
        """Values of a window of the other grid: float32 (names, height, width), NaN where the scene has no data.

        Raises:
            StorageError: A block cannot be read.
        """
        there, held = self._there(window)
        if held == there:
            return self.scene.reflectance(self.names, there)
        planes = np.full((len(self.names), window.height, window.width), np.nan, np.float32)
        if held.shape.size:
            planes[:, *held.slices(there)] = self.scene.reflectance(self.names, held)
        return planes

    def at(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Planes:
        """Values at pixels of the other grid: float32 (names, pixels), NaN where the scene has no data.

        Raises:
            StorageError: A block cannot be read.
        """
        rows, cols = rows + self.shift[0], cols + self.shift[1]
        found = inside(rows.astype(np.float64), cols.astype(np.float64), self.scene.grid.shape)
        values = np.full((len(self.names), rows.size), np.nan, np.float32)
        if found.any():
            window = bounding_window(rows[found], cols[found], self.scene.grid.shape)
            planes = self.scene.reflectance(self.names, window)
            values[:, found] = planes[:, rows[found] - window.row, cols[found] - window.col]
        return values

    def _there(self, window: Window) -> tuple[Window, Window]:
        """The window on the scene's own grid, and the part of it that the scene holds."""
        row, col = window.row + self.shift[0], window.col + self.shift[1]
        there = Window(row, col, window.height, window.width)
        return there, there.intersection(self.scene.grid.window)


@dataclass(frozen=True)
class _OtherGrid:
    """A scene on a grid of its own, with the methods of `_SharedPixels`."""

    scene: ClearScene
    names: tuple[str, ...]
    projection: GridProjection

    @property
    def radiometry(self) -> Radiometry:
        return _REFLECTANCE

    def raw(self, window: Window) -> Raster:
        planes = self.whole(window)
        return Raster(planes, ~np.isnan(planes[0]))

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


Donor = _SharedPixels | _OtherGrid
"""A scene read on the grid of another one."""


def donor(scene: ClearScene, first: ClearScene, names: tuple[str, ...]) -> Donor:
    """A scene, read on the grid of the first.

    Raises:
        InputError: The scene cannot be projected onto that grid, or does not overlap it.
    """
    if scene.grid.same_as(first.grid):
        return _SharedPixels(scene, names)
    for one in (scene, first):
        if one.grid.crs is None or one.grid.gcps:
            raise InputError(
                f"{one.info.name} has no CRS and transform, and the scenes do not share a grid",
                "warp it to a map projection first",
            )
    projection = GridProjection(first.grid, scene.grid, f"{first.info.name} and {scene.info.name}")
    if not projection.meets():
        raise InputError(f"{scene.info.name} lies outside {first.info.name}", "give scenes of one place")
    if projection.shift is not None:
        return _SharedPixels(scene, names, projection.shift)
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
