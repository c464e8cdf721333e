"""Polygons as labels: burnt onto a grid, window by window."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.features import rasterize

from lulc.errors import InputError, did_you_mean, raised_as
from lulc.grid import Grid, Window, map_points, transformer
from lulc.io.files.vector import read_vector, vector_layers
from lulc.legend import NODATA_CODE, Legend
from lulc.turns import turn_of, unwrapped

_log = logging.getLogger(__name__)


class VectorLabels(AbstractContextManager["VectorLabels"]):
    """Polygons of one layer, with the class in a column as name, code or pixel value.

    Args:
        path: GeoPackage, GeoJSON, Shapefile or FlatGeobuf.
        legend: Classes.
        attribute: Column of the class; None when there is only one that fits.
        layer: Layer; None when there is one.

    Raises:
        InputError: Not readable, no such layer or column, a class that the legend does not know, or no CRS.
    """

    kind = "codes"
    grid: Grid | None = None

    def __init__(self, path: Path, legend: Legend, attribute: str | None, layer: str | None) -> None:
        self._path = path
        meta, shapes, columns = _read(path, layer)
        name = _column(attribute, list(columns), path)
        self._codes = _codes(columns[name], legend, name, path)
        self._shapes = shapes
        kinds = {shape.geom_type for shape in self._shapes if shape is not None}
        if not kinds or not kinds <= {"Polygon", "MultiPolygon"}:
            raise InputError(f"{path} holds {', '.join(sorted(kinds)) or 'nothing'}", "give polygons")
        if not meta["crs"]:
            raise InputError(f"{path} has no CRS", "set one, such as with ogr2ogr -a_srs EPSG:4326")
        self._crs = meta["crs"]
        self._placed: tuple[Any, Any, shapely.STRtree] | None = None
        self._warned = False

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def on_grid(self, grid: Grid, window: Window) -> NDArray[np.uint8]:
        """Class codes on a window: a pixel belongs to the polygon that holds its centre, the last one if several do."""
        if grid.crs is None or grid.gcps:
            raise InputError("polygons need a scene with a CRS and a transform", f"{self._path} cannot be placed on it")
        shapes, tree = self._on(grid.crs, grid.middle[0])
        transform = grid.part(window).transform
        columns, rows = np.array([0, 1, 1, 0]) * window.width, np.array([0, 0, 1, 1]) * window.height
        corners = np.column_stack(map_points(transform, columns, rows))
        chosen = np.sort(tree.query(shapely.Polygon(corners)))
        burnt = np.full((window.height, window.width), NODATA_CODE, np.uint8)
        if len(chosen):
            pairs = [(shapes[number], int(self._codes[number])) for number in chosen]
            rasterize(pairs, out=burnt, transform=transform)
            self._warn_of_overlaps(pairs, burnt.shape, transform)
        return burnt

    def shares_on_grid(self, grid: Grid, window: Window) -> NDArray[np.float32]:
        """Polygons have no shares."""
        del grid, window
        raise InputError(f"{self._path} holds polygons", "they have no shares; use --label-kind codes")

    def _on(self, crs: Any, middle: float) -> tuple[Any, shapely.STRtree]:  # noqa: ANN401 - rasterio's CRS
        """The polygons in the CRS of a grid, moved by whole turns to lie nearest to its middle, and an index of them."""
        if self._placed is None or self._placed[0] != (crs, middle):
            shapes = _turned(self._moved(crs), middle, turn_of(crs))
            self._placed = (crs, middle), shapes, shapely.STRtree(shapes)
        return self._placed[1], self._placed[2]

    def _moved(self, crs: Any) -> Any:  # noqa: ANN401
        """The polygons in another CRS; those that have it already stay as they are."""
        with raised_as(InputError, f"{self._path}: its CRS cannot be used", "set it anew with ogr2ogr", CRSError):
            own, target = CRS.from_user_input(self._crs), CRS.from_wkt(crs.to_wkt())
        if own.ellipsoid is None and own == target:
            return self._shapes
        move = transformer(own.to_wkt(), target.to_wkt(), f"{self._path}, or the scene or map below it")
        return shapely.transform(self._shapes, move.transform, interleaved=False)

    def _warn_of_overlaps(self, pairs: list[tuple[Any, int]], shape: tuple[int, int], transform: Affine) -> None:
        """Warn once where polygons of different classes share pixels."""
        if self._warned or len({code for _, code in pairs}) == 1:
            return
        first = np.full(shape, NODATA_CODE, np.uint8)
        rasterize(pairs[::-1], out=first, transform=transform)
        last = np.full(shape, NODATA_CODE, np.uint8)
        rasterize(pairs, out=last, transform=transform)
        count = int((first != last).sum())
        if count:
            self._warned = True
            _log.warning(
                "%s: polygons of different classes overlap (%d pixels of one chip); the later one counts",
                self._path,
                count,
            )


def _turned(shapes: Any, middle: float, turn: float | None) -> Any:  # noqa: ANN401 - arrays of shapely
    """Shapes moved by whole turns to lie nearest to the middle of a grid."""
    bounds = shapely.bounds(shapes)
    centres = (bounds[:, 0] + bounds[:, 2]) / 2
    moved = np.nan_to_num(unwrapped(centres, middle, turn) - centres)
    shapes = np.array(shapes)
    for by in set(moved[moved != 0].tolist()):
        chosen = moved == by
        shapes[chosen] = shapely.transform(shapes[chosen], lambda x, y, by=by: (x + by, y), interleaved=False)
    return shapes


def holds_points(path: Path) -> bool:
    """True for a .csv, and for a .gpkg or .geojson with a layer of points.

    What cannot be read holds none; whoever opens it next says why.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv" or suffix not in {".gpkg", ".geojson"} or not path.is_file():
        return suffix == ".csv"
    try:
        return any(kind is not None and kind.startswith("Point") for kind in vector_layers(path).values())
    except InputError:
        return False


def _read(path: Path, layer: str | None) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """Metadata, geometries as WKB and columns by name."""
    layers = list(vector_layers(path))
    if layer is None and len(layers) > 1:
        raise InputError(f"{path} has the layers {', '.join(layers)}", "choose one with --layer")
    if layer is not None and layer not in layers:
        raise InputError(f"{path} has no layer {layer!r}", did_you_mean(layer, layers))
    meta, shapes, columns = read_vector(path, layer, force_2d=True)
    if shapes is None or not len(shapes):
        raise InputError(f"{path} holds no polygons", "check the layer")
    return meta, shapes, columns


def _column(name: str | None, names: list[str], path: Path) -> str:
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise InputError(
            f"{path} has the columns {', '.join(names) or 'none'}", "say which holds the class with --attribute"
        )
    if name not in names:
        raise InputError(f"{path} has no column {name!r}", did_you_mean(name, names))
    return name


def _codes(values: Any, legend: Legend, column: str, path: Path) -> NDArray[np.uint8]:  # noqa: ANN401 - a column
    """Class code of each polygon, from names or pixel values."""
    by_name = {name.lower(): code for code, name in enumerate(legend.names, 1)}
    by_value = legend.code_of_value()
    codes = []
    for value in values.tolist():
        code = by_name.get(str(value).strip().lower())
        if code is None:
            number = _whole_number(value)
            code = None if number is None else by_value.get(number)
        if code is None:
            raise InputError(
                f"{path}: {column} holds {value!r}, which is no class of {legend.name}",
                did_you_mean(str(value), legend.names),
            )
        codes.append(code)
    return np.array(codes, np.uint8)


def _whole_number(value: Any) -> int | None:  # noqa: ANN401 - a cell
    """The number that a cell holds, also as text; None when it holds none, a fraction, or true and false."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None
