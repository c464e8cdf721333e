"""Is the place that a raster states one on Earth? One check for every raster that is read or written."""

import logging
import re
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform

from lulc.errors import InputError, UsageError
from lulc.grid import Grid, is_drawing, map_points, parse_crs, transformer

_EARTH_RADIUS_M = 6_378_137.0
_NEARLY_EARTH = 0.01
"""Ellipsoids and spheres in use for the Earth differ by less than this share; other bodies by far more."""

_log = logging.getLogger(__name__)

_SRS = re.compile(r"<SRS[^>]*>([^<]*)</SRS>")
_MOST_PAM_BYTES = 1 << 20
_DEGREES = CRS.from_epsg(4326)
_POLE = 90.0
_SAME_PIXEL = 1e-2
_GEOREFERENCE_ANEW = "georeference it anew, such as with gdal_edit.py -a_srs EPSG:N -a_ullr LEFT TOP RIGHT BOTTOM"
_CORRECT = "correct it, such as with gdal_edit.py -a_srs EPSG:N"


def check_georeference(grid: Grid, path: Path) -> None:
    """Refuse a raster whose georeference is not one; a raster without any passes.

    Raises:
        InputError: Pixels without a finite place or size, control points without a CRS, a CRS of another body, one
            without two axes, one that PROJ does not know, or coordinates that lie nowhere in it.
    """
    if not grid.sound:
        numbers = ", ".join(f"{value:g}" for value in tuple(grid.transform)[:6])
        raise InputError(
            f"{path}: its transform ({numbers}) gives pixels no place or size",
            "georeference it anew, such as with gdal_edit.py -a_ullr",
        )
    if grid.gcps and grid.gcps_crs is None:
        raise InputError(f"{path}: its control points have no CRS", "state it, such as with gdal_translate -a_srs")
    crs = grid.gcps_crs if grid.gcps else grid.crs
    if crs is None or _plainly_on_earth(crs, *_spread(grid)):
        return
    if flaw := _flaw_of_crs(crs.to_wkt()):
        raise InputError(f"{path}: its CRS {flaw}", _CORRECT)
    if not is_drawing(crs) and not _on_earth(places(crs, *_spread(grid))).any():
        raise InputError(f"{path}: none of its pixels lies on Earth in its CRS", _GEOREFERENCE_ANEW)


def warn_of_another_crs(grid: Grid, path: Path) -> None:
    """Warn where the `.aux.xml` beside a raster states another CRS than the raster: that of the raster counts.

    ArcGIS leaves one when a projection is defined anew, and GDAL then goes by it.
    """
    beside = path.with_name(f"{path.name}.aux.xml")
    if grid.crs is None or not beside.is_file():
        return
    with beside.open("rb") as file:
        stated = _SRS.search(file.read(_MOST_PAM_BYTES).decode(errors="replace"))
    try:
        other = None if stated is None else parse_crs(unescape(stated[1]).strip())
    except UsageError:
        other = None
    if other is not None and not same_place(grid, other):
        _log.warning("%s: %s states another CRS, which is left aside", path, beside.name)


def same_place(grid: Grid, crs: CRS | None) -> bool:
    """True when another CRS puts a grid's pixels where its own does, to a hundredth of a pixel.

    Two descriptions of one CRS may differ in names, so places are compared and not texts.
    """
    own = grid.gcps_crs if grid.gcps else grid.crs
    if own is None or crs is None or own == crs:
        return own == crs
    if any(_flaw_of_crs(each.to_wkt()) or is_drawing(each) for each in (own, crs)):
        return False
    x, y = _spread(grid)
    here, there = places(own, x, y), places(crs, x, y)
    known = _on_earth(here)
    size = max(np.ptp(x) / grid.shape.width, np.ptp(y) / grid.shape.height)
    beside = np.abs(places(own, x + size, y + size) - here)
    return bool((np.abs(there - here) <= _SAME_PIXEL * beside)[known].all())


def _plainly_on_earth(crs: CRS, x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """True where GDAL puts all points on Earth: the usual case, which spares a command the start of pyproj (0.1 s)."""
    if not (crs.is_projected or crs.is_geographic):
        return False
    try:
        with rasterio.Env():
            placed = transform(crs, _DEGREES, x.tolist(), y.tolist())
    except Exception:  # noqa: BLE001 - of another body, outside of its projection, ...: pyproj says what it is
        return False
    return bool(_on_earth(np.column_stack(placed)).all())


def places(crs: CRS, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitude and latitude, WGS 84 degrees: float64 (n, 2), infinite where undefined.

    Args:
        crs: Of the coordinates, one of the Earth.
        x: First coordinates, easting or longitude, (n,).
        y: Second coordinates, (n,).
    """
    return np.column_stack(_to_degrees(crs.to_wkt()).transform(x, y))


@lru_cache(maxsize=64)
def _to_degrees(wkt: str) -> Any:  # noqa: ANN401 - pyproj.Transformer
    return transformer(wkt, "EPSG:4326")


@lru_cache(maxsize=64)
def _flaw_of_crs(wkt: str) -> str:
    """What is wrong with a CRS, as the end of a sentence; empty when nothing is."""
    import pyproj
    from pyproj.exceptions import CRSError

    try:
        crs = pyproj.CRS.from_wkt(wkt)
        if crs.is_geocentric:
            return f"({crs.name}) is geocentric: pixels need two axes on the ground"
        if crs.ellipsoid and abs(crs.ellipsoid.semi_major_metre / _EARTH_RADIUS_M - 1) > _NEARLY_EARTH:
            return f"({crs.name}) is not one of the Earth"
        if crs.ellipsoid:
            _to_degrees(wkt)
        elif not is_drawing(CRS.from_wkt(wkt)):
            return f"({crs.name}) has no axes on the ground"
    except (CRSError, InputError):
        return f"({wkt[:60]}) is not known to PROJ"
    return ""


def _spread(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of nine points: corners, middles of the sides, and the middle; or the control points."""
    if grid.gcps:
        points = np.array(grid.control_points())
        return points[:, 2], points[:, 3]
    rows, columns = np.meshgrid(
        np.array([0, 0.5, 1]) * grid.shape.height, np.array([0, 0.5, 1]) * grid.shape.width, indexing="ij"
    )
    return map_points(grid.transform, columns.ravel(), rows.ravel())


def _on_earth(degrees: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isfinite(degrees).all(axis=1) & (np.abs(degrees[:, 1]) <= _POLE)
