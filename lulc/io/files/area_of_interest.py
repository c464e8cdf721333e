"""Area of interest: a box of longitudes and latitudes, or polygons of a file in any CRS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from lulc.errors import InputError, UsageError, raised_as
from lulc.grid import Grid, Window, map_points, transformer
from lulc.io.files.vector import VECTOR_SUFFIXES, read_vector, vector_layers

_STEPS = 64
_STEP_DEGREES = 0.01
_BESIDE = 0.05
_SNAP = 1e-6


@dataclass(frozen=True)
class Area:
    """Where scenes are wanted.

    Attributes:
        geometry: Polygons in WGS 84 degrees, longitude first.
        box: True when it was given as west, south, east, north.
    """

    geometry: Any
    box: bool

    def meets(self, geometry: dict[str, Any] | None, bbox: list[float] | None) -> bool:
        """True when an item's geometry, or its bbox where it has none, shares ground with the area."""
        if geometry is not None:
            return bool(shapely.intersects(self.geometry, shapely.make_valid(shapely.geometry.shape(geometry))))
        return bbox is not None and bool(shapely.intersects(self.geometry, shapely.box(*_flat(bbox))))

    def window(self, grid: Grid, bbox: list[float] | None) -> Window:
        """Pixels of a grid that the area's bounding rectangle on it touches; of size 0 where it does not meet the grid.

        Args:
            grid: With a CRS.
            bbox: WGS 84 bounds of what lies on the grid: ground far from it is left out before it is projected.
        """
        near = self.geometry
        if bbox is not None and _flat(bbox)[0] < _flat(bbox)[2]:
            west, south, east, north = _flat(bbox)
            near = shapely.intersection(
                near, shapely.box(west - _BESIDE, south - _BESIDE, east + _BESIDE, north + _BESIDE)
            )
        if shapely.is_empty(near) or grid.crs is None:
            return Window(0, 0, 0, 0)
        move = transformer("EPSG:4326", grid.crs.to_wkt(), "the scene of this area")
        points = shapely.get_coordinates(shapely.segmentize(near, _STEP_DEGREES))
        x, y = np.asarray(move.transform(points[:, 0], points[:, 1]))
        known = np.isfinite(x) & np.isfinite(y)
        if not known.any():
            return Window(0, 0, 0, 0)
        cols, rows = map_points(~grid.transform, x[known], y[known])
        top, left = (int(np.floor(axis.min() + _SNAP)) for axis in (rows, cols))
        bottom, right = (int(np.ceil(axis.max() - _SNAP)) for axis in (rows, cols))
        return Window(top, left, max(0, bottom - top), max(0, right - left)).intersection(grid.window)


def _flat(bbox: list[float]) -> tuple[float, float, float, float]:
    """West, south, east, north, also of a bbox with heights."""
    half = len(bbox) // 2
    return bbox[0], bbox[1], bbox[half], bbox[half + 1]


def read_area(text: str) -> Area:
    """An area from `W,S,E,N` in degrees, or from the polygons of a file.

    Raises:
        UsageError: A box that is none.
        InputError: A file that is not there, holds no polygons, or has no CRS.
    """
    try:
        west, south, east, north = (float(number) for number in text.split(","))
    except ValueError:
        return Area(_polygons(Path(text)), box=False)
    if not np.isfinite([west, south, east, north]).all():
        raise UsageError(f"--area {text} holds a number that is not finite", "give west,south,east,north in degrees")
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):  # noqa: PLR2004 - degrees
        raise UsageError(
            f"--area {text} is no box", "give west,south,east,north in degrees; cut one across the antimeridian in two"
        )
    return Area(shapely.box(west, south, east, north), box=True)


def _polygons(path: Path) -> Any:  # noqa: ANN401 - shapely geometry
    known = path.suffix.lower() in VECTOR_SUFFIXES
    if not known or not path.is_file():
        reason = "is not there" if known else f"ends in none of {', '.join(VECTOR_SUFFIXES)}"
        raise InputError(f"--area {path} {reason}", "give a file of polygons, or west,south,east,north")
    layers = vector_layers(path)
    if len(layers) > 1:
        raise InputError(f"{path} holds the layers {', '.join(layers)}", "give a file of one")
    meta, shapes, _ = read_vector(path, columns=[], force_2d=True)
    with raised_as(InputError, f"{path} has a CRS that cannot be used", "set it anew with ogr2ogr", CRSError):
        crs = CRS.from_user_input(meta["crs"]) if meta["crs"] else None
    if crs is None:
        raise InputError(f"{path} has no CRS", "set one, such as with ogr2ogr -a_srs EPSG:4326")
    polygons = [
        shape
        for shape in ([] if shapes is None else shapes)
        if shape is not None and shape.geom_type.endswith("Polygon")
    ]
    if not polygons:
        raise InputError(f"{path} holds no polygons", "give an area, not points or lines")
    return _degrees(shapely.union_all(shapely.make_valid(np.array(polygons))), crs, path)


def _degrees(geometry: Any, crs: CRS, path: Path) -> Any:  # noqa: ANN401
    """In WGS 84; long edges bend there, so they get points of their own."""
    west, south, east, north = geometry.bounds
    dense = shapely.segmentize(geometry, max(east - west, north - south) / _STEPS)
    move = transformer(crs.to_wkt(), "EPSG:4326", str(path))
    moved = shapely.transform(dense, move.transform, interleaved=False)
    if not np.isfinite(shapely.get_coordinates(moved)).all() or shapely.is_empty(moved):
        raise InputError(f"{path} lies where its CRS has no place", "check its CRS")
    return shapely.make_valid(moved)
