"""Ground area of pixels: nominal where a projection all but keeps areas, on the ellipsoid where it does not."""

from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError

SQUARE_METRES_PER_HECTARE = 10_000.0

_NEARLY = 0.005
"""UTM, in and near its zone, and national grids stretch areas by less than this share. Their pixels count as what their
side says, as users expect of a 10 m pixel. Mercator in any guise, plate carree and polar stereographic do not pass."""

_LOOKED_AT = 9
"""Columns of a row, and rows of a raster, that stand for all of them."""


def row_areas_ha(crs: CRS, transform: Affine, height: int, width: int) -> NDArray[np.float64]:
    """Ground area of a pixel of each row, the mean over columns, hectares: float64 (height,).

    Where the area is not nominal, pixels are laid out in an equal-area projection of WGS 84 (PROJ: Lambert azimuthal
    around the raster, cylindrical for degrees) and their corners give it.

    Args:
        crs: Of the raster.
        transform: From pixel corners (column, row) to its coordinates.
        height: Rows.
        width: Columns.

    Returns:
        NaN where it cannot be known: off the Earth, or in a system without units of length.
    """
    if not height or not width:
        return np.full(height, np.nan)
    nominal = _nominal(crs, transform)
    ground = None if nominal is None else _on_ellipsoid(crs, transform, _spread(height), width)
    if nominal is not None and (ground is None or np.nanmax(np.abs(ground / nominal - 1), initial=0) < _NEARLY):
        return np.full(height, nominal)
    found = _on_ellipsoid(crs, transform, np.arange(height), width)
    return np.full(height, np.nan) if found is None else found


def _nominal(crs: CRS, transform: Affine) -> float | None:
    """Hectares from the pixel's sides; None in degrees and where the system states no unit of length."""
    if crs.is_geographic:
        return None
    try:
        metres = crs.linear_units_factor[1]
    except CRSError:  # of a drawing's own system
        return None
    return float(abs(transform.determinant) * metres**2 / SQUARE_METRES_PER_HECTARE)


def _on_ellipsoid(crs: CRS, transform: Affine, rows: NDArray[np.int64], width: int) -> NDArray[np.float64] | None:
    """Hectares (rows,), the mean over columns; NaN where undefined, None where the CRS has no place on Earth."""
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        degrees = Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True)
        lon, lat = degrees.transform(*_placed(transform, np.array(width / 2), np.array(rows.mean() + 0.5)))
        if not np.isfinite([lon, lat]).all():
            return None
        plane = f"+proj=cea +lon_0={lon}" if crs.is_geographic else f"+proj=laea +lat_0={lat} +lon_0={lon}"
        flat = Transformer.from_crs(crs.to_wkt(), f"{plane} +ellps=WGS84 +units=m", always_xy=True)
        columns = _spread(width)
        corners = [
            flat.transform(*_placed(transform, columns + right, rows[:, None] + down))
            for right, down in ((0, 0), (1, 0), (1, 1), (0, 1))
        ]
    except (CRSError, ProjError):
        return None
    return _mean_finite(_polygon_areas(np.array(corners)) / SQUARE_METRES_PER_HECTARE)


def _placed(transform: Affine, columns: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Map coordinates (2, ...) of pixel corners; columns and rows are broadcast."""
    matrix = np.array(transform).reshape(3, 3)
    return np.tensordot(
        matrix[:2], np.stack([*np.broadcast_arrays(columns, rows), np.ones(np.broadcast(columns, rows).shape)]), 1
    )


def _polygon_areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas by the shoelace formula: (corners, xy, rows, columns) to (rows, columns); infinities give NaN."""
    corners = np.where(np.isfinite(corners), corners, np.nan)
    x, y = (corners - corners[0])[:, 0], (corners - corners[0])[:, 1]
    twice = np.sum(x * np.roll(y, -1, axis=0) - np.roll(x, -1, axis=0) * y, axis=0)
    return np.asarray(np.abs(twice) / 2)


def _mean_finite(areas: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(areas)
    count = known.sum(axis=1)
    total = np.where(known, areas, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _spread(count: int) -> NDArray[np.int64]:
    """A few pixels from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).round().astype(np.int64))
