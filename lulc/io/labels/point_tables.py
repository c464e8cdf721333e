"""Tables of points in the three formats that interpreters use: GeoPackage, GeoJSON, CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform as transform_points

from lulc.config import parse_json
from lulc.errors import InputError, raised_as
from lulc.io.files.vector import read_vector, vector_layers

Table = dict[str, Sequence[Any] | NDArray[Any]]
"""Columns of one length by their name."""

Rows = list[dict[str, Any]] | None
"""The design table that came with the points, one mapping a row."""

_POINTS, _DESIGN = "points", "design"
_WGS84 = CRS.from_epsg(4326)


def write_geopackage(path: Path, table: Table, crs: str, design: Sequence[Mapping[str, Any]]) -> None:
    """Write points (columns x and y become their geometry) and the design as a table without geometry.

    Args:
        path: File that does not exist yet.
        table: Columns, with `x` and `y` in the CRS.
        crs: As WKT.
        design: Rows of the second table.
    """
    import pyogrio  # loads pandas

    geometries = shapely.to_wkb(shapely.points(np.asarray(table["x"]), np.asarray(table["y"])))
    pyogrio.raw.write(
        path, geometries, _fields(table), list(table), layer=_POINTS, driver="GPKG", geometry_type="Point", crs=crs
    )
    columns: Table = {name: [row[name] for row in design] for name in design[0]}
    pyogrio.raw.write(path, None, _fields(columns), list(columns), layer=_DESIGN, driver="GPKG", geometry_type=None)


def read_geopackage(path: Path) -> tuple[Table, Rows]:
    """Columns of the layer `points`, or of the first layer of points, with `lon` and `lat` in degrees; the design.

    Raises:
        InputError: Not a GeoPackage with points, or without a CRS.
    """
    layers = vector_layers(path)
    spatial = [name for name, kind in layers.items() if kind is not None]
    if not spatial:
        raise InputError(f"{path} holds no points", "give a layer of points")
    info, columns, geometries = _layer(path, _POINTS if _POINTS in spatial else spatial[0])
    _, design, _ = _layer(path, _DESIGN) if _DESIGN in layers else (None, None, None)
    lon, lat = _degrees(path, info["crs"], geometries)
    rows = (
        None if design is None else [dict(zip(design, row, strict=True)) for row in zip(*design.values(), strict=True)]
    )
    return columns | {"lon": lon, "lat": lat}, rows


def geojson_bytes(table: Table) -> bytes:
    """GeoJSON (RFC 7946): points in degrees from the columns `lon` and `lat`, one feature a line."""
    features = [
        json.dumps(
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [row["lon"], row["lat"]]},
                "properties": row,
            },
            ensure_ascii=False,
        )
        for row in _rows(table)
    ]
    return ('{"type": "FeatureCollection", "features": [\n' + ",\n".join(features) + "\n]}\n").encode()


def read_geojson(path: Path) -> tuple[Table, Rows]:
    """Columns of the features, with `lon` and `lat` from their geometries.

    Raises:
        InputError: Not GeoJSON of points.
    """
    remedy = "give a FeatureCollection of points"
    with raised_as(InputError, f"{path} is not GeoJSON of points", remedy, ValueError, KeyError, TypeError):
        features = parse_json(path.read_text("utf-8-sig"))["features"]
        rows = [dict(feature["properties"] or {}) | _coordinates(feature["geometry"]) for feature in features]
    return _columns(rows), None


def csv_bytes(table: Table) -> bytes:
    """CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(row.values() for row in _rows(table))
    return text.getvalue().encode()


def read_csv(path: Path) -> tuple[Table, Rows]:
    """Columns of a CSV with a header; commas, semicolons or tabs stand between the fields.

    Raises:
        InputError: Not text in UTF-8, or a row with too many fields.
    """
    with raised_as(InputError, f"{path} is not text in UTF-8", "save it as CSV in UTF-8", UnicodeDecodeError):
        text = path.read_text("utf-8-sig")
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), restkey="")
    with raised_as(InputError, f"{path} is not a readable CSV", "save it as CSV again", csv.Error):
        rows = list(reader)
    if any("" in row for row in rows):
        raise InputError(f"{path} has a row with more fields than its header", "quote fields that hold a comma")
    return {name: [row[name] for row in rows] for name in reader.fieldnames or ()}, None


def _fields(table: Table) -> list[NDArray[Any]]:
    """Columns as GDAL takes them: texts as objects."""
    arrays = [np.asarray(column) for column in table.values()]
    return [array.astype(object) if array.dtype.kind == "U" else array for array in arrays]


def _rows(table: Table) -> list[dict[str, Any]]:
    plain = [np.asarray(column).tolist() for column in table.values()]
    return [dict(zip(table, row, strict=True)) for row in zip(*plain, strict=True)]


def _columns(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _layer(path: Path, name: str) -> tuple[Mapping[str, Any], Table, NDArray[Any] | None]:
    info, geometries, values = read_vector(path, name)
    return info, {column: cells.tolist() for column, cells in values.items()}, geometries


def _degrees(path: Path, crs: str | None, geometries: NDArray[Any] | None) -> tuple[list[float], list[float]]:
    points = np.array([] if geometries is None else geometries)
    if not (shapely.get_type_id(points) == shapely.GeometryType.POINT).all():
        raise InputError(f"{path} holds something else than points", "give a layer of points")
    if not crs:
        raise InputError(f"{path} has no CRS", "set the CRS of its layer")
    with raised_as(InputError, f"{path} has a CRS that cannot be read", "set the CRS of its layer", CRSError):
        lon, lat = transform_points(CRS.from_string(crs), _WGS84, shapely.get_x(points), shapely.get_y(points))
    return list(lon), list(lat)


def _coordinates(geometry: Mapping[str, Any]) -> dict[str, float]:
    if geometry["type"] != "Point":
        raise TypeError(f"it holds a {geometry['type']}")
    lon, lat = geometry["coordinates"][:2]
    return {"lon": float(lon), "lat": float(lat)}
