"""How much of each pixel a polygon covers, exactly: exactextract's fractions."""

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


class PixelFrame:
    """The pixels of a window, of which polygons cover parts.

    Args:
        window: In the grid that polygons are on.
    """

    def __init__(self, window: Window) -> None:
        # Rows grow downwards, exactextract's y upwards.
        self._flipped = np.array([1.0, -1.0])
        extent = (window.col, -window.row_end, window.col_end, -window.row)
        self._pixels = NumPyRasterSource(np.zeros((window.height, window.width), np.uint8), *extent)

    def covered_by(self, shape: shapely.Geometry) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which pixels a polygon covers, and how much of each.

        Args:
            shape: Valid (Multi)Polygon, not empty; x columns and y rows of the grid, from its upper left corner.

        Returns:
            int64 (m,) positions in the window, row by row; float64 (m,) fractions, above 0 up to 1. exactextract
            computes them to 24 bits.
        """
        upright = shapely.transform(shape, lambda xy: xy * self._flipped)
        (found,) = exact_extract(self._pixels, _Single(shapely.to_wkb(upright)), ["cell_id", "coverage"])
        cells, fractions = (found["properties"][name] for name in ("cell_id", "coverage"))
        return np.asarray(cells, np.int64), np.asarray(fractions, np.float64)
