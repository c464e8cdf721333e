"""How much of each pixel a polygon covers, exactly: GDAL finds the pixels at its outline, GEOS cuts them.

exactextract is the usual tool, and the tests hold these fractions against it. Version 0.3 cannot be the engine: it ends the
process over some valid polygons with corners within rounding of a pixel's edge, and now and then takes a whole pixel for
its opposite. GEOS's fast clipping may go wrong there too, but says so or shows it: the fractions must add up to the
polygon's area, or squares are cut by its overlay instead.
"""

from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.errors import GEOSException

from lulc.grid import Window
from lulc.io.labels.zones import polygonal

_SNAP_PX = 2.0**-20

_SLACK_PX = 1e-6
"""How far the fractions of a window may be from the area of what they cover, pixels."""

_QUARTERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def snapped(shapes: Any) -> Any:  # noqa: ANN401 - of shapely, one or an array
    """Shapes with their corners at multiples of a millionth of a pixel, so slivers of rounding are gone.

    What is cut from them later has corners anywhere.
    """
    with np.errstate(all="ignore"):  # coordinates of 1e-300 would warn
        return shapely.set_precision(shapely.set_precision(shapes, _SNAP_PX), 0)


class PixelFrame:
    """The pixels of a window, of which polygons cover parts.

    Args:
        window: In the grid that polygons are on.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._box = shapely.box(window.col, window.row, window.col_end, window.row_end)

    def covered_by(self, shape: shapely.Geometry) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which pixels a polygon covers, and how much of each.

        Args:
            shape: Valid (Multi)Polygon, not empty, `snapped`; x columns and y rows of the grid, from its upper left corner.

        Returns:
            int64 (m,) positions in the window, row by row, each once; float64 (m,) fractions, above 0 up to 1.
        """
        part = shape
        if not shapely.covered_by(shape, self._box):
            part = polygonal(np.array([shapely.intersection(shape, self._box)], object))[0]
        if not part.area > 0:
            return np.zeros(0, np.int64), np.zeros(0)
        near = _window_around(part).intersection(self._window)
        try:
            fractions = _fractions(part, near)
        except GEOSException:  # of clipping, where corners all but meet
            return self.cut_by(part)
        if abs(fractions.sum() - part.area) > _SLACK_PX:
            return self.cut_by(part)
        rows, columns = np.nonzero(fractions)
        first = near.row - self._window.row, near.col - self._window.col
        return (rows + first[0]) * self._window.width + columns + first[1], fractions[rows, columns]

    def cut_by(self, shape: shapely.Geometry) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The same as `covered_by`, by GEOS: squares are cut into four until the polygon holds them, or they are pixels."""
        shapely.prepare(shape)
        table = np.zeros((self._window.height, self._window.width))
        side = 1 << (max(table.shape) - 1).bit_length()
        corners = np.zeros((1, 2), np.int64)
        while len(corners):
            corners = corners[shapely.intersects(shape, self._squares(corners, side))]
            whole = shapely.contains(shape, self._squares(corners, side))
            for row, col in corners[whole].tolist():
                table[row : row + side, col : col + side] = 1
            corners = corners[~whole]
            if side == 1:
                table[tuple(corners.T)] = shapely.area(shapely.intersection(self._squares(corners, 1), shape))
                break
            side //= 2
            corners = (corners[:, None] + side * _QUARTERS).reshape(-1, 2)
            corners = corners[(corners < table.shape).all(axis=1)]
        cells = np.flatnonzero(table)
        return cells, table.ravel()[cells]

    def _squares(self, corners: NDArray[np.int64], side: int) -> NDArray[np.object_]:
        """Squares of a side in pixels, from their rows and columns in the window."""
        top, left = corners[:, 0] + self._window.row, corners[:, 1] + self._window.col
        squares: NDArray[np.object_] = shapely.box(left, top, left + side, top + side)
        return squares


def _window_around(shape: shapely.Geometry) -> Window:
    """The pixels that a shape touches."""
    west, north, east, south = shape.bounds
    row, col = int(np.floor(north)), int(np.floor(west))
    return Window(row, col, int(np.ceil(south)) - row, int(np.ceil(east)) - col)


def _fractions(part: shapely.Geometry, window: Window) -> NDArray[np.float64]:
    """Covered fractions of the pixels of a window that holds a polygon: float64 (height, width)."""
    place = {"out_shape": (window.height, window.width), "transform": Affine(1, 0, window.col, 0, 1, window.row)}
    fractions: NDArray[np.float64] = rasterize([part], dtype=np.uint8, **place).astype(np.float64)
    outline = rasterize([part.boundary], all_touched=True, dtype=np.uint8, **place)
    rows, columns = np.nonzero(outline)
    pieces = [
        shapely.clip_by_rect(part, x, y, x + 1, y + 1)
        for x, y in zip((columns + window.col).tolist(), (rows + window.row).tolist(), strict=True)
    ]
    fractions[rows, columns] = np.minimum(shapely.area(pieces), 1)
    return fractions
