"""Zones: named polygons whose areas are reported, such as districts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from lulc.errors import InputError, did_you_mean, raised_as
from lulc.io.files.vector import VECTOR_SUFFIXES, read_vector, vector_layers

_MOST_NAMED = 5
_POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """Named polygons in their own CRS.

    Attributes:
        path: Their file.
        names: Of each zone, every name once, in the order of the file.
        shapes: Valid (Multi)Polygons of shapely, object (n,).
        crs: Of the shapes.
        named_by: Where the names come from: `the field NAME` or `the feature number`.
        notes: What a reader of a report must know of them.
    """

    path: Path
    names: tuple[str, ...]
    shapes: NDArray[np.object_]
    crs: CRS
    named_by: str
    notes: tuple[str, ...] = ()


def read_zones(path: Path, field: str | None = None) -> Zones:
    """Read zones. Features of one name are one zone, of several parts.

    Args:
        path: GeoPackage, GeoJSON, Shapefile or FlatGeobuf of polygons, with one layer and a CRS.
        field: Column of their names; None takes the first column of text, else the number of the feature, from 1.

    Raises:
        InputError: Not readable, several layers, no such column, no CRS, or no polygons.
    """
    if path.suffix.lower() not in VECTOR_SUFFIXES or not path.is_file():
        known = path.suffix.lower() in VECTOR_SUFFIXES
        reason = "is not there" if known else f"ends in none of {', '.join(VECTOR_SUFFIXES)}"
        raise InputError(f"--zones {path} {reason}", "give a file of polygons")
    layers = vector_layers(path)
    if len(layers) > 1:
        raise InputError(f"{path} holds the layers {', '.join(layers)}", "give a file of one")
    meta, shapes, columns = read_vector(path, force_2d=True)
    kept, problems = _polygons(shapes, path)
    crs = _crs(meta["crs"], path)
    names, named_by = _names(columns, field, len(kept), path)
    notes = [*problems, *([] if field else [f"zones are named by {named_by}; --zone-field chooses another column"])]
    there = np.flatnonzero(~shapely.is_missing(kept))
    merged = _merged([names[index] for index in there], kept[there])
    if len(there) > len(merged):
        notes.append(f"{len(there)} features make {len(merged)} zones: features of one name are one zone")
    return Zones(path, tuple(merged), np.array([*merged.values()], object), crs, named_by, tuple(notes))


def _polygons(shapes: Any, path: Path) -> tuple[NDArray[np.object_], list[str]]:  # noqa: ANN401 - of shapely
    """Valid polygons, None for a feature that has none, and what was repaired or left out."""
    found = np.array([] if shapes is None else shapes, object)
    kinds = {shape.geom_type for shape in found if shape is not None}
    if strange := sorted(kind for kind in kinds if not kind.endswith("Polygon")):
        raise InputError(f"{path} holds {', '.join(strange)}", "give polygons")
    crossed = np.flatnonzero(~shapely.is_valid(found) & ~shapely.is_missing(found))
    if crossed.size:
        found[crossed] = polygonal(shapely.make_valid(found[crossed]))
    gone = np.flatnonzero(~(shapely.area(found) > 0))
    found[gone] = None
    if gone.size == found.size:
        raise InputError(f"{path} holds no polygons", "give a file of polygons with an area")
    problems = [
        f"{path.name}: {what}: {_some(features + 1)}"
        for what, features in (
            ("self-crossing features were repaired", crossed),
            ("features without an area are left out", gone),
        )
        if features.size
    ]
    return found, problems


def polygonal(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Shapes without their lines and points, which repairing and cutting may leave: (Multi)Polygons, perhaps empty."""
    found = shapes.copy()
    for number in np.flatnonzero(~np.isin(shapely.get_type_id(found), _POLYGONS)):
        parts = [part for part in shapely.get_parts(found[number]) if part.geom_type.endswith("Polygon")]
        found[number] = shapely.union_all(parts) if parts else shapely.Polygon()
    return found


def _crs(stated: str | None, path: Path) -> CRS:
    with raised_as(InputError, f"{path} has a CRS that cannot be used", "set it anew with ogr2ogr -a_srs", CRSError):
        crs = CRS.from_user_input(stated) if stated else None
    if crs is None:
        raise InputError(f"{path} has no CRS", "set one, such as with ogr2ogr -a_srs EPSG:4326")
    return crs


def _names(columns: dict[str, Any], field: str | None, count: int, path: Path) -> tuple[list[str], str]:
    """The name of every feature, and where the names come from."""
    if field is not None and field not in columns:
        raise InputError(f"{path} has no field {field!r}", did_you_mean(field, columns) if columns else "it has none")
    texts = (name for name, values in columns.items() if any(isinstance(value, str) and value for value in values))
    chosen = field or next(texts, None)
    if chosen is None:
        return [str(number) for number in range(1, count + 1)], "the number of the feature"
    names = [_name(value) or f"feature {number}" for number, value in enumerate(columns[chosen].tolist(), 1)]
    return names, f"the field {chosen}"


def _name(value: Any) -> str:  # noqa: ANN401 - a cell of a table
    """A cell as the name of a zone: one printable line; empty where there is none. 3.0 is 3, as in whole numbers with gaps."""
    if value is None or value != value:  # noqa: PLR0124 - NaN, NaT
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())


def _merged(names: Sequence[str], shapes: NDArray[np.object_]) -> dict[str, Any]:
    """One shape for each name, in the order in which the names come first."""
    members: dict[str, list[Any]] = {}
    for name, shape in zip(names, shapes, strict=True):
        members.setdefault(name, []).append(shape)
    return {name: parts[0] if len(parts) == 1 else shapely.union_all(parts) for name, parts in members.items()}


def _some(numbers: NDArray[np.intp]) -> str:
    """The first few of many."""
    more = numbers.size - _MOST_NAMED
    return ", ".join(map(str, numbers[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
