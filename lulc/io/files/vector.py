"""Vector files: what they are follows from their first bytes, and nothing in them leads to other files or addresses.

GDAL tries all its drivers on a file, whatever its name: virtual ones open what the file names, and a link to a CRS is
fetched. pyogrio takes no list of drivers, so each file is looked at before GDAL sees it.
"""

import json
import logging
import mmap
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj.exceptions import CRSError
from shapely.errors import GEOSException

from lulc.errors import InputError, raised_as
from lulc.io.files.tries import head_of
from lulc.resources import open_regular

_log = logging.getLogger(__name__)

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb")
"""Endings of vector files."""

_HEADS = {".gpkg": b"SQLite format 3\0", ".geojson": b"{", ".json": b"{", ".shp": b"\0\0\x27\x0a", ".fgb": b"fgb"}
_HEAD_BYTES = 256
_SPACE = b"\xef\xbb\xbf \t\r\n"
_SHAPEFILE = (".shx", ".dbf", ".prj", ".cpg")
_CRS_KEY = re.compile(rb"""["'](?:c|\\u00[46]3)(?:r|\\u00[57]2)(?:s|\\u00[57]3)["']\s*""", re.IGNORECASE)
"""`crs` as GDAL finds it: in any case, escaped, in quotes of either kind."""

_MOST_CRS_BYTES = 1 << 16
_CRS_NAME = re.compile(r"https?://www\.opengis\.net/def/crs/[\w./-]+|[\w:. -]+")
_INDEX = re.compile(r"CREATE\s+VIRTUAL\s+TABLE\s+(\"[^\"]+\"|\w+)\s+USING\s+rtree\s*\(", re.IGNORECASE)


def is_vector(path: Path) -> bool:
    """True for a regular file that begins as a vector file of its ending does."""
    head = _HEADS.get(path.suffix.lower())
    if head is None:
        return False
    os.close(open_regular(path))
    first = head_of(path, _HEAD_BYTES)
    return (first if head != b"{" else first.lstrip(_SPACE)).startswith(head)


def vector_layers(path: Path) -> dict[str, str | None]:
    """Names of the layers of a file, and the kind of their geometries; None for a table without any.

    Raises:
        InputError: Not a readable vector file, or one that leads to something else.
    """
    import pyogrio  # loads pandas, which takes a quarter of a second

    with _readable(path) as location:
        return {str(name): None if kind is None else str(kind) for name, kind in pyogrio.list_layers(location)}


def read_vector(
    path: Path,
    layer: str | None = None,
    **options: Any,  # noqa: ANN401 - of pyogrio
) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """Read a layer: metadata with `crs`, geometries of shapely (None for a table without any), columns by name.

    Args:
        path: GeoPackage, GeoJSON, Shapefile or FlatGeobuf.
        layer: Its name; None for the first.
        options: As for `pyogrio.raw.read`.

    Raises:
        InputError: Not a readable vector file, one that leads to something else, or geometries that are none.
    """
    import pyogrio

    with _readable(path) as location:
        if not len(pyogrio.list_layers(location)):
            raise InputError(f"{path} has no layer", "check that it is whole")
        meta, _, stored, columns = pyogrio.raw.read(location, layer=layer, **options)
        shapes = None if stored is None else shapely.from_wkb(stored)
    if shapes is not None and not np.isfinite(shapely.get_coordinates(shapes)).all():
        raise InputError(f"{path} has coordinates that are no finite numbers", "correct its geometries")
    if shapes is not None and (missing := int(shapely.is_missing(shapes).sum())):
        _log.warning("%s: %d of %d features have no geometry", path, missing, len(shapes))
    return meta, shapes, dict(zip(map(str, meta["fields"]), columns, strict=True))


def _unreadable() -> tuple[type[Exception], ...]:
    """What reading a file raises that is none."""
    from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError

    of_pyogrio = (DataSourceError, DataLayerError, FeatureError, FieldError)
    return (*of_pyogrio, CRSError, ValueError, sqlite3.Error, OSError, GEOSException)


@contextmanager
def _readable(path: Path) -> Iterator[str]:
    """What GDAL is to open; a file that leads elsewhere is refused first."""
    with raised_as(InputError, f"{path} is not a readable vector file", "give GeoPackage or GeoJSON", *_unreadable()):
        if not is_vector(path):
            suffix = path.suffix.lower()
            raise InputError(f"{path} is not a {suffix} file by its first bytes", "give GeoPackage or GeoJSON")
        yield _CHECKS[path.suffix.lower()](path)


def _checked_geojson(path: Path) -> str:
    """The driver is named: other kinds of JSON are commands, or lead to tables elsewhere."""
    with closing(_mapped(path)) as content:
        for key in _CRS_KEY.finditer(content):
            _check_crs(content[key.end() : key.end() + _MOST_CRS_BYTES], path)
    return f"GeoJSON:/{str(path.absolute()).lstrip('/')}"


def _mapped(path: Path) -> mmap.mmap:
    handle = open_regular(path)
    try:
        return mmap.mmap(handle, 0, prot=mmap.PROT_READ)
    finally:
        os.close(handle)


def _check_crs(following: bytes, path: Path) -> None:
    """Refuse a `crs` that is anything but a name; `following` is what comes after the word."""
    if following[:1] in {b",", b"]", b"}"}:
        return  # the word is a value
    text = following.decode(errors="replace")
    refusal = InputError(f"{path} has a crs that is no plain name", 'write it as {"type": "name", "properties": {...}}')
    try:
        value, _ = json.JSONDecoder().raw_decode(text.removeprefix(":").lstrip())
    except (ValueError, RecursionError) as error:
        raise refusal from error
    if not text.startswith(":") or (isinstance(value, dict) and not _is_named(value)):
        raise refusal


def _is_named(crs: dict[str, Any]) -> bool:
    properties = crs.get("properties")
    if crs.keys() != {"type", "properties"} or crs["type"] not in {"name", "EPSG"} or not isinstance(properties, dict):
        return False
    return len(properties) == 1 and all(_CRS_NAME.fullmatch(str(value)) for value in properties.values())


def _checked_geopackage(path: Path) -> str:
    """A view and a virtual table may call functions that open files and addresses; an index of geometries may not."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
        rows = base.execute("SELECT type, name, sql FROM sqlite_master WHERE type = 'view' OR sql LIKE '%virtual%'")
        for kind, name, sql in rows:
            if kind == "view" or (kind == "table" and _is_virtual(sql)):
                what = "view" if kind == "view" else "virtual table"
                raise InputError(f"{path} holds the {what} {name}", "save its layer of polygons or points alone")
    return str(path)


def _is_virtual(sql: str) -> bool:
    return bool(re.match(r"\s*CREATE\s+VIRTUAL", sql, re.IGNORECASE)) and not _INDEX.match(sql)


def _checked_shapefile(path: Path) -> str:
    for ending in _SHAPEFILE:
        if os.path.lexists(path.with_suffix(ending)):
            os.close(open_regular(path.with_suffix(ending)))
    return str(path)


_CHECKS: dict[str, Callable[[Path], str]] = {
    ".gpkg": _checked_geopackage,
    ".geojson": _checked_geojson,
    ".json": _checked_geojson,
    ".shp": _checked_shapefile,
    ".fgb": str,
}
