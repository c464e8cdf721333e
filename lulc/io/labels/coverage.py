"""How much of each pixel a polygon covers, exactly: exactextract's fractions, each held against the polygon's area.

exactextract 0.3 ends the process over points that repeat or lie within rounding of a pixel's edge, and now and then takes
a whole pixel for its opposite where an edge passes a pixel's corner. So polygons come snapped to a fine lattice, and where
the fractions of a window do not add up to the area, GEOS cuts the polygon pixel by pixel instead.
"""

from collections.abc import Iterator

import numpy as np
import shapely
from exactextract import exact_extract
from exactextract.feature import Feature, FeatureSource
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray

from lulc.grid import Window


class _Polygon(Feature):  # type: ignore[misc] # its base is compiled
    """One polygon without attributes, as exactextract takes it."""

    def __init__(self, wkb: bytes) -> None:
        super().__init__()
        self._wkb = wkb

    def geometry(self) -> bytes:
        """As WKB."""
        return self._wkb

    def fields(self) -> list[str]:
        """None."""
        return []


class _Single(FeatureSource):  # type: ignore[misc] # its base is compiled
    """A source of one polygon."""

    def __init__(self, wkb: bytes) -> None:
        super().__init__()
        self._wkb = wkb

    def __iter__(self) -> Iterator[_Polygon]:
        yield _Polygon(self._wkb)

    def count(self) -> int:
        """One."""
        return 1

    def srs_wkt(self) -> None:
        """None: its coordinates are pixels."""
        return


SNAP_PX = 2.0**-20
"""Polygons have their corners at multiples of this, pixels (`shapely.set_precision`)."""

_SLACK, _SLACK_OF_PIXEL = 1e-4, 1e-7
"""How far fractions of 24 bits may be off in all, and each, pixels."""

_QUARTERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


class PixelFrame:
    """The pixels of a window, of which polygons cover parts.

    Args:
        window: In the grid that polygons are on.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._box = shapely.box(window.col, window.row, window.col_end, window.row_end)
        # Rows grow downwards, exactextract's y upwards.
        self._flipped = np.array([1.0, -1.0])
        extent = (window.col, -window.row_end, window.col_end, -window.row)
        self._pixels = NumPyRasterSource(np.zeros((window.height, window.width), np.uint8), *extent)

    def covered_by(self, shape: shapely.Geometry) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which pixels a polygon covers, and how much of each.

        Args:
            shape: Valid (Multi)Polygon, not empty, with corners at multiples of `SNAP_PX`; x columns and y rows of the
                grid, from its upper left corner.

        Returns:
            int64 (m,) positions in the window, row by row, each once; float64 (m,) fractions, above 0 up to 1.
        """
        upright = shapely.transform(shape, lambda xy: xy * self._flipped)
        (found,) = exact_extract(self._pixels, _Single(shapely.to_wkb(upright)), ["cell_id", "coverage"])
        cells, fractions = (found["properties"][name] for name in ("cell_id", "coverage"))
        inside = shape if shapely.covered_by(shape, self._box) else shapely.intersection(shape, self._box)
        if abs(fractions.sum() - inside.area) > _SLACK + _SLACK_OF_PIXEL * len(fractions):
            return self.cut_by(shape)
        return np.asarray(cells, np.int64), np.asarray(fractions, np.float64)

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
