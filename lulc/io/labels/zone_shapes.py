"""Zones on the grid of a map: their polygons in pixels, and their ground area on the ellipsoid.

An edge that is straight in the CRS of the zones is a curve on the grid. It gets points until its chords stay within a
thousandth of a pixel of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod

from lulc.errors import InputError
from lulc.grid import Grid, map_points, transformer
from lulc.ground_area import SQUARE_METRES_PER_HECTARE
from lulc.io.labels.coverage import snapped
from lulc.io.labels.zones import Zones, polygonal
from lulc.turns import turn_of, unwrapped

Shapes = NDArray[np.object_]
"""(Multi)Polygons of shapely, (n,)."""

Move = Callable[[Any, Any], tuple[Any, ...]]
"""Moves coordinates: x and y, float64 (n,) each, to others."""

_TOLERANCE_PX = 0.001
_LONGEST_PX = 256
"""An edge may bend twice, so that its middle lies on its chord; edges are at most so long before that is looked at."""

_HALVINGS = 16
_EDGES = 64
"""Edges of a side of a zone, at least, of which its area on the ellipsoid is taken."""

_LATTICE = 33
_MARGIN = 0.1
"""How much wider than the map, on each side, is what is projected of zones that reach beyond it."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedZones:
    """Zones on a grid.

    Attributes:
        shapes: The parts on the grid, x columns and y rows, both from its upper left corner, pixels, `snapped`;
            empty for zones beside it.
        hectares: float64 (n,) of the whole zones on the ellipsoid.
        inside: float64 (n,) fraction of these on the grid, 0..1.
    """

    shapes: Shapes
    hectares: NDArray[np.float64]
    inside: NDArray[np.float64]


def place_zones(zones: Zones, grid: Grid, edge: tuple[float, float], called: str) -> PlacedZones:
    """Bring zones to the grid of a map.

    Args:
        zones: In any CRS.
        grid: Of the map, with a CRS and a transform.
        edge: How much of its last row and of its last column is map, 0..1.
        called: The map, for messages.

    Raises:
        InputError: A CRS has no place on Earth, or the projection of the map is undefined where a zone meets it.
    """
    assert grid.crs is not None
    own, target = zones.crs.to_wkt(), grid.crs.to_wkt()
    whole_ha = _hectares(zones.shapes, transformer(own, "EPSG:4326", str(zones.path)).transform, str(zones.path))
    near = _near(zones, grid, called)
    if CRS.from_wkt(own) == CRS.from_wkt(target):
        pixels = _moved(near, lambda x, y: _pixels_of(x, y, grid=grid), np.inf)
    else:
        move = transformer(own, target, f"{zones.path}, or {called}").transform
        pixels = _moved(near, lambda x, y: _pixels_of(*move(x, y), grid=grid), _TOLERANCE_PX)
    if not np.isfinite(shapely.get_coordinates(pixels)).all():
        lost = next(
            n for n, s in zip(zones.names, pixels, strict=True) if not np.isfinite(shapely.get_coordinates(s)).all()
        )
        raise InputError(
            f"zone {lost!r} of {zones.path} reaches where the CRS of {called} has no place", "cut it to the map"
        )
    pixels = polygonal(shapely.make_valid(pixels))  # rounding may let narrow parts touch
    height, width = grid.shape.height - 1 + edge[0], grid.shape.width - 1 + edge[1]
    return _clipped(pixels, whole_ha, grid, shapely.box(0, 0, width, height), str(zones.path))


def _clipped(
    pixels: Shapes, whole_ha: NDArray[np.float64], grid: Grid, map_box: shapely.Polygon, called: str
) -> PlacedZones:
    """The parts of zones on the map, and how much of each zone they are."""
    inside = shapely.covered_by(pixels, map_box) & ~shapely.is_empty(pixels)
    crossing = ~inside & shapely.intersects(pixels, map_box)
    parts = np.full(len(pixels), shapely.Polygon(), object)
    parts[inside] = pixels[inside]
    parts[crossing] = polygonal(shapely.intersection(pixels[crossing], map_box))
    fraction = inside.astype(np.float64)
    if crossing.any():
        part_ha = _hectares(parts[crossing], lambda x, y: tuple(grid.longitudes_latitudes(x, y).T), called)
        fraction[crossing] = np.clip(part_ha / whole_ha[crossing], 0, 1)
    return PlacedZones(polygonal(snapped(parts)), whole_ha, fraction)


def _near(zones: Zones, grid: Grid, called: str) -> Shapes:
    """Zones without what is far from the map, in their own CRS: a projection may have no place for it."""
    assert grid.crs is not None
    rows, columns = (
        axis.ravel()
        for axis in np.meshgrid(
            *(np.linspace(-_MARGIN, 1 + _MARGIN, _LATTICE) * side for side in (grid.shape.height, grid.shape.width))
        )
    )
    back = transformer(grid.crs.to_wkt(), zones.crs.to_wkt(), f"{zones.path}, or {called}")
    x, y = back.transform(*map_points(grid.transform, columns, rows))
    if not np.isfinite([x, y]).all():
        return zones.shapes
    turn = turn_of(zones.crs) or 0.0
    boxes = [shapely.box(x.min() + by, y.min(), x.max() + by, y.max()) for by in {-turn, 0.0, turn}]
    around = shapely.union_all(boxes)
    shapes = zones.shapes.copy()
    reaching = ~shapely.covered_by(shapes, around)
    shapes[reaching] = polygonal(shapely.intersection(shapes[reaching], around))
    return shapes


def _pixels_of(x: Any, y: Any, *, grid: Grid) -> tuple[Any, Any]:  # noqa: ANN401 - arrays
    """Columns and rows, from the upper left corner, of coordinates of the map's CRS, moved by whole turns towards it."""
    assert grid.crs is not None
    return map_points(~grid.transform, unwrapped(x, grid.middle[0], turn_of(grid.crs)), np.asarray(y))


def _moved(shapes: Shapes, move: Move, tolerance: float) -> Shapes:
    """Shapes with moved coordinates, whose edges are divided where their chords would be further off than a tolerance."""
    start, offsets = _ragged(shapes)
    rings = offsets[0].astype(np.int64)
    end = np.column_stack(move(*start.T))
    looked_at = np.ones(len(start), np.bool_)
    looked_at[rings[1:] - 1] = False  # no edge begins at the last point of a ring
    for _ in range(_HALVINGS if np.isfinite(tolerance) else 0):
        first = np.flatnonzero(looked_at)
        middle = (start[first] + start[first + 1]) / 2
        there = np.column_stack(move(*middle.T))
        off = np.hypot(*(there - (end[first] + end[first + 1]) / 2).T)
        bent = (off > tolerance) | (np.hypot(*(end[first + 1] - end[first]).T) > _LONGEST_PX)
        if not bent.any():
            break
        looked_at[first[~bent]] = False
        after = first[bent] + 1
        start, end = np.insert(start, after, middle[bent], axis=0), np.insert(end, after, there[bent], axis=0)
        looked_at = np.insert(looked_at, after, values=True)
        rings = rings + np.searchsorted(after, rings)
    return _from_ragged(end, (rings, *offsets[1:]))


def _ragged(shapes: Shapes) -> tuple[NDArray[np.float64], tuple[NDArray[Any], ...]]:
    """Coordinates (n, 2), and where rings, polygons and shapes begin among them, each with its end."""
    several = np.array([shapely.MultiPolygon(shapely.get_parts(shape).tolist()) for shape in shapes], object)
    _, coordinates, offsets = shapely.to_ragged_array(several, include_z=False)
    return coordinates, offsets


def _from_ragged(coordinates: NDArray[np.float64], offsets: tuple[NDArray[Any], ...]) -> Shapes:
    shapes: Shapes = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, coordinates, offsets)
    return shapes


def _hectares(shapes: Shapes, to_degrees: Move, called: str) -> NDArray[np.float64]:
    """Ground area of shapes on the ellipsoid WGS 84, hectares: float64 (n,)."""
    bounds = shapely.bounds(shapes)
    sides = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    coordinates, (rings, polygons, whole) = _ragged(shapely.segmentize(shapes, sides / _EDGES))
    lon, lat = to_degrees(*coordinates.T)
    if not np.isfinite([lon, lat]).all():
        raise InputError(f"{called} reaches where its CRS has no place", "check its CRS")
    geod = Geod(ellps="WGS84")
    areas = np.array([abs(geod.polygon_area_perimeter(lon[a:b], lat[a:b])[0]) for a, b in pairwise(rings)])
    signs = np.full(len(areas), -1.0)
    signs[polygons[:-1]] = 1.0  # the first ring of a polygon is its outline, the others are holes
    total = np.add.reduceat(np.append(areas * signs, 0.0), polygons[whole[:-1]])
    return np.asarray(total / SQUARE_METRES_PER_HECTARE)
