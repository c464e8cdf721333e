"""Reference points: a sample to be labelled, and the same file read back with its labels.

A file holds one row a point and, apart from them, the design: how the points were drawn, without which labels are
numbers and no estimate. A GeoPackage keeps the design as a second table; beside GeoJSON and CSV it is NAME.design.json.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from lulc.config import parse_json
from lulc.errors import ConfigError, InputError, UsageError, raised_as
from lulc.grid import Grid, map_points
from lulc.io.files.atomic import staged, write_whole
from lulc.io.files.fingerprint import json_fingerprint
from lulc.io.files.outputs import check_target
from lulc.io.files.storage import storage_errors
from lulc.io.labels.point_tables import (
    Table,
    csv_bytes,
    geojson_bytes,
    read_csv,
    read_geojson,
    read_geopackage,
    write_geopackage,
)
from lulc.legend import Legend
from lulc.turns import turn_of, unwrapped

SUFFIXES = (".gpkg", ".geojson", ".csv")
"""What points are written to and read from."""

_WGS84 = CRS.from_epsg(4326)
_LARGEST = 1 << 30


@dataclass(frozen=True, slots=True)
class DrawnStratum:
    """One stratum of a design.

    Attributes:
        code: Class code of the map.
        name: Class name.
        pixels: Pixels of the class in the map.
        hectares: Their ground area.
        points: Points drawn.
    """

    code: int
    name: str
    pixels: int
    hectares: float
    points: int


@dataclass(frozen=True, slots=True)
class Design:
    """How a sample was drawn: simple random without replacement inside each class of a map.

    Attributes:
        map_name: File name of the map.
        fingerprint: SHA-256 of the map's classes and grid.
        seed: Of the draw.
        legend: Classes of the map.
        strata: In order of their codes, also those without pixels.
        drawn: SHA-256 of the points as drawn, see `drawn_digest`.
    """

    map_name: str
    fingerprint: str
    seed: int
    legend: Legend
    strata: tuple[DrawnStratum, ...]
    drawn: str

    @property
    def points(self) -> int:
        """Points drawn in all strata."""
        return sum(entry.points for entry in self.strata)

    def to_table(self) -> dict[str, Any]:
        """Plain form, with a checksum: areas follow from these numbers, so an edit must not pass unseen."""
        table = {
            "map": self.map_name,
            "fingerprint": self.fingerprint,
            "seed": self.seed,
            "legend": self.legend.to_table(),
            "strata": [asdict(entry) for entry in self.strata],
            "drawn": self.drawn,
        }
        return table | {"checksum": json_fingerprint(table)}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Design":
        """From the plain form; KeyError, TypeError, ValueError or ConfigError where it is none, or was edited."""
        design = cls(
            map_name=table["map"],
            fingerprint=table["fingerprint"],
            seed=table["seed"],
            legend=Legend.from_table(table["legend"]),
            strata=tuple(DrawnStratum(**entry) for entry in table["strata"]),
            drawn=table["drawn"],
        )
        if design.to_table()["checksum"] != table["checksum"]:
            raise ValueError("it is not as lulc wrote it")
        return design


@dataclass(frozen=True, slots=True)
class Points:
    """Points with labels, arrays of one length n.

    Attributes:
        number: int64 (n,) `id`; 1..n in the order of labelling as drawn.
        reference: Label of each point as written, empty where there is none yet.
        lon: float64 (n,) degrees on WGS 84.
        lat: float64 (n,).
        stratum: int64 (n,) code of the stratum that the point was drawn from; None in files of others.
        row: int64 (n,) pixel of the map, from 0; None in files of others.
        col: int64 (n,).
        hectares: float64 (n,) ground area of the pixel; None in files of others.
        design: How they were drawn; None when the file does not say.
    """

    number: NDArray[np.int64]
    reference: tuple[str, ...]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    stratum: NDArray[np.int64] | None = None
    row: NDArray[np.int64] | None = None
    col: NDArray[np.int64] | None = None
    hectares: NDArray[np.float64] | None = None
    design: Design | None = None


def drawn_digest(
    number: NDArray[np.int64], stratum: NDArray[np.int64], row: NDArray[np.int64], col: NDArray[np.int64]
) -> str:
    """SHA-256 over id, stratum, row and column of all points, by id: labels may change, these must not."""
    order = np.argsort(number, kind="stable")
    return hashlib.sha256(np.stack([number, stratum, row, col])[:, order].astype("<i8").tobytes()).hexdigest()


def pixels_at(
    grid: Grid, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Rows and columns of the pixels that hold points on the ground, and which points lie inside the grid."""
    x, y = transform_points(_WGS84, grid.crs, lon, lat)
    x = unwrapped(x, grid.middle[0], turn_of(grid.crs)) if grid.crs else np.asarray(x)
    across, down = map_points(~grid.transform, x, np.asarray(y))
    inside = (across >= 0) & (across < grid.shape.width) & (down >= 0) & (down < grid.shape.height)
    return np.where(inside, down, 0).astype(np.int64), np.where(inside, across, 0).astype(np.int64), inside


def check_points_target(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that cannot or must not be written, before any work is done.

    Raises:
        UsageError: Its suffix is none that points are written to.
        StorageError: It exists, or its folder is missing or not writable.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path.name} is no name for points", f"end it in {', '.join(SUFFIXES)}")
    check_target(path, overwrite=overwrite)
    if path.suffix.lower() != ".gpkg":
        check_target(design_path(path), overwrite=overwrite)


def write_points(path: Path, points: Points, grid: Grid, *, overwrite: bool = False) -> None:
    """Write a drawn sample to be labelled, with its design.

    Args:
        path: .gpkg (in the map's CRS), .geojson (in degrees) or .csv.
        points: As drawn, with design.
        grid: That of the map.
        overwrite: Replace existing files.

    Raises:
        UsageError: Its suffix is none that points are written to.
        StorageError: It exists, or writing failed.
    """
    check_points_target(path, overwrite=overwrite)
    assert points.design is not None
    table, design = _table(points, points.design, grid), points.design.to_table()
    with staged(path, overwrite=overwrite) as unfinished:
        if path.suffix.lower() == ".gpkg":
            write_geopackage(unfinished, table, grid.crs.to_wkt(), _design_rows(design))  # type: ignore[union-attr]
            return
        unfinished.write_bytes(csv_bytes(table) if path.suffix.lower() == ".csv" else geojson_bytes(table))
        write_whole(design_path(path), json.dumps(design, indent=1).encode())


def design_path(path: Path) -> Path:
    """Where the design of a .geojson or .csv file lies."""
    return path.with_name(f"{path.stem}.design.json")


def read_points(path: Path, *, label: str = "reference") -> Points:
    """Read points with their labels.

    Besides what `write_points` writes, files of others are read: points in a .gpkg or .geojson, or a .csv with columns
    `lon` and `lat`. They have no design.

    Args:
        path: .gpkg, .geojson or .csv.
        label: Column that holds the label.

    Raises:
        InputError: Not a readable file of that kind, a column is missing or holds something else.
    """
    readers = {".gpkg": read_geopackage, ".geojson": read_geojson, ".csv": read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None or not path.is_file():
        missing = f"{path} is no regular file" if path.exists() else f"there is no file {path}"
        problem = missing if reader else f"{path} is no file of points"
        raise InputError(problem, f"give a file that ends in {', '.join(SUFFIXES)}")
    with storage_errors(path):
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is larger than 1 GiB", "give a file of labelled points")
        table, rows = reader(path)
    return _points(path, table, _read_design(path, rows), label)


def _points(path: Path, table: Table, design: Design | None, label: str) -> Points:
    if label not in table:
        raise InputError(f"{path} has no column {label!r}", f"its columns are: {', '.join(table)}")
    size = len(table[label])
    number = _numbers(path, table, "id", np.int64) if "id" in table else np.arange(1, size + 1)
    lon, lat = (_numbers(path, table, name, np.float64) for name in ("lon", "lat"))
    wanted = {"stratum": np.int64, "row": np.int64, "col": np.int64, "hectares": np.float64} if design else {}
    drawn = {name: _numbers(path, table, name, kind) for name, kind in wanted.items()}
    return Points(number, tuple(_text(value) for value in table[label]), lon, lat, **drawn, design=design)


def _numbers(path: Path, table: Table, name: str, kind: type[Any]) -> NDArray[Any]:
    if name not in table:
        raise InputError(f"{path} has no column {name!r}", f"its columns are: {', '.join(table)}")
    values = np.empty(len(table[name]), np.float64)
    for row, value in enumerate(table[name]):
        try:
            values[row] = float(value)
        except (TypeError, ValueError):
            values[row] = np.nan
        if not np.isfinite(values[row]) or (kind is np.int64 and values[row] % 1):
            raise InputError(f"{path}: column {name!r} holds {value!r} in row {row + 1}", "it must be a number")
    return values.astype(kind)


_WHOLE = re.compile(r"\d+\.0+")


def _text(value: object) -> str:
    """A label as text; a whole number that a table keeps as 3.0, or as that text, is 3."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text.partition(".")[0] if _WHOLE.fullmatch(text) else text


def _read_design(path: Path, rows: Sequence[Mapping[str, Any]] | None) -> Design | None:
    """Design from the rows of a GeoPackage's table, or from the file beside; None where there is neither."""
    damages = (KeyError, IndexError, TypeError, ValueError, ConfigError)
    with raised_as(InputError, f"the design of {path} is damaged", "take it from the file that lulc wrote", *damages):
        if rows is not None:
            return Design.from_table(_design_table(rows))
        beside = design_path(path)
        return Design.from_table(parse_json(beside.read_text("utf-8"))) if beside.is_file() else None


_CONSTANT = ("map", "fingerprint", "seed", "drawn", "legend", "checksum")


def _design_rows(design: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a stratum; what belongs to the whole design is repeated in each."""
    constant = {name: design[name] for name in _CONSTANT} | {"legend": json.dumps(design["legend"])}
    return [{**entry, **constant} for entry in design["strata"]]


def _design_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    strata = [{name: value for name, value in row.items() if name not in _CONSTANT} for row in rows]
    return {name: first[name] for name in _CONSTANT} | {"legend": parse_json(first["legend"]), "strata": strata}


def _table(points: Points, design: Design, grid: Grid) -> Table:
    assert points.stratum is not None
    assert points.row is not None
    assert points.col is not None
    assert points.hectares is not None
    names = {entry.code: entry.name for entry in design.strata}
    x, y = map_points(grid.transform, points.col + 0.5, points.row + 0.5)
    return {
        "id": points.number,
        "stratum": points.stratum,
        "map_class": [names[int(code)] for code in points.stratum],
        "reference": list(points.reference),
        "x": x,
        "y": y,
        "lon": points.lon,
        "lat": points.lat,
        "row": points.row,
        "col": points.col,
        "hectares": points.hectares,
    }
