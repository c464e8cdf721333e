"""Where a stack lies, as variables by the CF conventions that xarray, rioxarray and GDAL read.

They are written here and not by rioxarray: importing it, with pandas and dask, takes a CPU second, as long as compressing four
megapixels of nine bands.
"""

from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from lulc.errors import InputError
from lulc.grid import Grid, map_points

SPATIAL_REF = "spatial_ref"
"""Name of the variable that holds the CRS and the transform."""


class Coordinate(NamedTuple):
    """A variable beside the channels.

    Attributes:
        dimensions: Names of its dimensions.
        values: Its values, one dimension each.
        attributes: Its attributes.
    """

    dimensions: tuple[str, ...]
    values: NDArray[Any]
    attributes: dict[str, Any]


def coordinates(grid: Grid) -> dict[str, Coordinate]:
    """Variables `y` and `x`, and `spatial_ref` of a grid with a CRS.

    Raises:
        InputError: The grid has no x and y coordinates (rotated, or placed by control points).
    """
    if grid.gcps or grid.rpcs is not None or not grid.transform.is_rectilinear or grid.transform.b:
        raise InputError(
            "a rotated scene, or one placed by control points, has no x and y coordinates", "write a .tif instead"
        )
    x, y = pixel_centres(grid)
    found = {"y": Coordinate(("y",), y, _axis(grid, "y")), "x": Coordinate(("x",), x, _axis(grid, "x"))}
    if grid.crs is not None:
        found[SPATIAL_REF] = Coordinate((), np.array(0, np.int64), _place(grid.crs, grid.transform))
    return found


def pixel_centres(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates x (width,) and y (height,) of the pixel centres of a grid that is not rotated."""
    columns, rows = np.arange(grid.shape.width) + 0.5, np.arange(grid.shape.height) + 0.5
    x, _ = map_points(grid.transform, columns, np.zeros_like(columns))
    _, y = map_points(grid.transform, np.zeros_like(rows), rows)
    return x, y


def _axis(grid: Grid, name: str) -> dict[str, str]:
    """What the coordinates along an axis are."""
    if grid.crs is None:
        return {}
    axis = {"axis": name.upper()}
    if grid.crs.is_projected:
        factor = grid.crs.linear_units_factor[-1]
        units = "metre" if factor == 1 else f"{factor} metre"
        long, standard = f"{name} coordinate of projection", f"projection_{name}_coordinate"
        return axis | {"long_name": long, "standard_name": standard, "units": units}
    if grid.crs.is_geographic:
        angle, towards = ("longitude", "east") if name == "x" else ("latitude", "north")
        return axis | {"long_name": angle, "standard_name": angle, "units": f"degrees_{towards}"}
    return axis


def _place(crs: CRS, transform: Affine) -> dict[str, Any]:
    """The CRS by CF's parameters and as WKT, and the transform in GDAL's order."""
    import pyproj

    text = crs.to_wkt()
    try:
        parameters = pyproj.CRS.from_user_input(crs).to_cf()
    except KeyError:  # a projection that CF does not know
        parameters = {}
    return parameters | {"spatial_ref": text, "crs_wkt": text, "GeoTransform": " ".join(map(str, transform.to_gdal()))}
