"""Where the pixels of a cube lie: axes by their role, the CRS from wherever tools write it, a transform that is checked."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from affine import Affine
from rasterio.crs import CRS
from rasterio.transform import from_origin

from lulc.errors import InputError, UsageError, raised_as
from lulc.grid import Grid, Shape, map_points, parse_crs
from lulc.io.scene.cube.axis import Coordinates, axis_of

Axis = Literal["x", "y"]

_STANDARD_NAMES: dict[str, Axis] = {
    "projection_x_coordinate": "x",
    "projection_y_coordinate": "y",
    "longitude": "x",
    "latitude": "y",
    "grid_longitude": "x",
    "grid_latitude": "y",
}
_UNITS: dict[Axis, re.Pattern[str]] = {
    "x": re.compile(r"degrees?_?(e|east)", re.IGNORECASE),
    "y": re.compile(r"degrees?_?(n|north)", re.IGNORECASE),
}
_NAMES: dict[Axis, re.Pattern[str]] = {
    "x": re.compile(r"(x|xc|rlon|lon|long|longitude|eastings?|cols?|columns?|width)(_\w+)?", re.IGNORECASE),
    "y": re.compile(r"(y|yc|rlat|lat|latitude|northings?|rows?|lines?|height)(_\w+)?", re.IGNORECASE),
}
_DEGREES: dict[Axis, re.Pattern[str]] = {
    "x": re.compile(r"(lon|long|longitude)(_\w+)?", re.IGNORECASE),
    "y": re.compile(r"(lat|latitude)(_\w+)?", re.IGNORECASE),
}
_LIMITS: dict[Axis, float] = {"x": 360.0, "y": 90.0}

_WKT, _CODES = ("crs_wkt", "spatial_ref", "proj:wkt2"), ("epsg", "proj:epsg", "proj:code", "epsg_code", "EPSG")
_CRS_NAMES = (*_WKT, *_CODES, "crs", "CRS", "proj4", "proj4text", "proj4_string")
"""Attributes and scalar coordinates in which rioxarray, GDAL, odc-stac, stackstac, openEO, Xee and EOPF state a CRS."""

_ALIGNED = 1e-3
"""Share of a pixel by which a stored transform may differ from the axes."""


def role_of(variable: xr.DataArray, dimension: str) -> Axis | None:
    """Which map axis a dimension is: by what its coordinate says of itself, else by its name; None when neither tells."""
    attributes = variable.coords[dimension].attrs if dimension in variable.coords else {}
    if role := _STANDARD_NAMES.get(str(attributes.get("standard_name", ""))):
        return role
    axis, units = str(attributes.get("axis", "")).lower(), str(attributes.get("units", ""))
    said = next((role for role in _NAMES if axis == role or _UNITS[role].fullmatch(units)), None)
    return said or next((role for role, pattern in _NAMES.items() if pattern.fullmatch(dimension)), None)


def grid_of_plane(plane: xr.DataArray, dataset: xr.Dataset, path: Path) -> Grid:
    """Grid of a (row, column) array.

    The axes decide; a stored transform that agrees with them is taken instead, because it is exact to the last bit.
    So is one half a pixel away: then the axes give corners of pixels (stackstac). Cutting a dataset leaves an old
    transform behind, and that agrees in neither way.

    Raises:
        InputError: Coordinates that are no numbers, unevenly spaced or in units that the CRS does not have, or a CRS
            that cannot be understood.
    """
    shape = Shape(*plane.shape)
    mapping = _grid_mapping(plane)
    if not all(name in plane.coords for name in plane.dims):
        return Grid(None, Affine.identity(), shape)
    crs = _crs(plane, mapping, dataset, path)
    y, x = (axis_of(plane, str(name), crs, path) for name in plane.dims)
    stored = list(_stored_transforms({} if mapping is None else mapping.attrs, plane.attrs, dataset.attrs))
    axes = _transform_of_axes(x, y, stored)
    if axes is None:
        return Grid(None, Affine.identity(), shape)
    tolerance = max(x.rounding / abs(axes.a), y.rounding / abs(axes.e), _ALIGNED)
    agrees = (each for each in stored if _agrees(each, axes, shape, tolerance))
    return Grid(crs, next(agrees, axes), shape)


def _agrees(stored: Affine, axes: Affine, shape: Shape, tolerance: float) -> bool:
    """True where a stored transform lies where the axes do, or half a pixel from it along both."""
    corners = np.array([[0, 0], [shape.width, shape.height]], float).T
    away = np.abs(np.subtract(map_points(~axes, *map_points(stored, *corners)), corners))
    return bool((away < tolerance).all() or (np.abs(away - 0.5) < tolerance).all())


def _grid_mapping(plane: xr.DataArray) -> xr.DataArray | None:
    """The variable that describes the map projection (CF conventions)."""
    named = str(plane.encoding.get("grid_mapping", plane.attrs.get("grid_mapping", ""))).partition(":")[0].strip()
    name = next((name for name in (named, "spatial_ref", "crs") if name in plane.coords), None)
    return None if name is None else xr.DataArray(plane.coords[name])


def _stored_transforms(*places: Mapping[Any, Any]) -> Iterator[Affine]:
    """GDAL's GeoTransform and what rasterio calls a transform, as text or as an array; anything else says nothing."""
    for attributes in places:
        for name, made in (("GeoTransform", Affine.from_gdal), ("transform", _affine)):
            stated = attributes.get(name, "")
            try:
                listed = re.split(r"[\s,]+", stated.strip()) if isinstance(stated, str) else stated
                numbers = [float(each) for each in listed]
                transform: Affine = made(*numbers)
            except (TypeError, ValueError):
                continue
            if np.isfinite(numbers).all() and transform.a and transform.e and not (transform.b or transform.d):
                yield transform


def _affine(*numbers: float) -> Affine:
    """From 6 numbers in the order of rasterio, or 9 of which the last row says nothing."""
    if len(numbers) not in {6, 9}:
        raise ValueError(numbers)
    return Affine(*numbers[:6])


def _transform_of_axes(x: Coordinates, y: Coordinates, stored: list[Affine]) -> Affine | None:
    """From coordinates of pixel centres. A single row or column is as large as the stored pixel, else square."""
    across, down = x.step, y.step
    if stored:
        across, down = across or stored[0].a, down or stored[0].e
    if across is None and down is None:
        return None
    across, down = across or abs(down or 0.0), down or -abs(across or 0.0)
    transform: Affine = from_origin(x.first - across / 2, y.first - down / 2, across, -down)
    return transform


def _crs(plane: xr.DataArray, mapping: xr.DataArray | None, dataset: xr.Dataset, path: Path) -> CRS | None:
    for text in _stated_crs(plane, mapping, dataset):
        with raised_as(
            InputError, f"{path}: its CRS {text[:60]!r} is not understood", "write EPSG:N or WKT", UsageError
        ):
            return parse_crs(f"EPSG:{text}" if text.isdigit() else text)
    return _crs_of_parameters(mapping) or (CRS.from_epsg(4326) if _in_degrees(plane) else None)


def _stated_crs(plane: xr.DataArray, mapping: xr.DataArray | None, dataset: xr.Dataset) -> Iterator[str]:
    """What the grid mapping, scalar coordinates, the variable and the dataset say, in this order."""
    scalars = {str(name): value.item() for name, value in plane.coords.items() if value.ndim == 0}
    eopf = dataset.attrs.get("other_metadata")
    for place in (
        {} if mapping is None else mapping.attrs,
        scalars,
        plane.attrs,
        dataset.attrs,
        {"proj:code": eopf.get("horizontal_CRS_code", "")} if isinstance(eopf, Mapping) else {},
    ):
        for name in _CRS_NAMES:
            value = place.get(name)
            if isinstance(value, int | float | np.number) and np.isfinite(value) and value:
                yield str(int(value))
            elif isinstance(value, str) and value.strip():
                yield value.strip()


def _crs_of_parameters(mapping: xr.DataArray | None) -> CRS | None:
    """From the numbers of a CF grid mapping; None when they are not enough."""
    import pyproj
    from pyproj.exceptions import CRSError

    if mapping is None or "grid_mapping_name" not in mapping.attrs:
        return None
    try:
        return CRS.from_wkt(pyproj.CRS.from_cf(mapping.attrs).to_wkt())
    except (CRSError, KeyError, ValueError, TypeError):
        return None


def _in_degrees(plane: xr.DataArray) -> bool:
    """True when the axes say that they are longitude and latitude: CF needs no grid mapping then."""
    rows, columns = map(str, plane.dims)
    return _is_degrees(plane, rows, "y") and _is_degrees(plane, columns, "x")


def _is_degrees(plane: xr.DataArray, name: str, axis: Axis) -> bool:
    coordinate = plane.coords[name]
    said = _UNITS[axis].fullmatch(str(coordinate.attrs.get("units", ""))) or _DEGREES[axis].fullmatch(name)
    return bool(said) and bool(np.abs(coordinate.to_numpy()).max() <= _LIMITS[axis])
