"""The grid of a mosaic: its CRS, pixels and extent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from affine import Affine

from lulc.errors import InputError, LimitError, UsageError
from lulc.grid import Grid, Shape, Window, is_drawing, parse_crs
from lulc.io.scene.source import MOST_PIXELS
from lulc.projection import GridProjection
from lulc.turns import turn_of

_FARTHEST = 1e11
"""Coordinate of any map, in whatever unit: the girth of the Earth is 4e10 mm."""

SIZE_TOLERANCE = 1.1
"""Largest ratio of pixel sides on the ground at which two maps count as of one resolution."""


@dataclass(frozen=True, slots=True)
class NamedGrid:
    """A map's name, for messages, and its grid."""

    name: str
    grid: Grid


def mosaic_grid(
    maps: Sequence[NamedGrid],
    crs: str | None = None,
    resolution: float | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> Grid:
    """North-up grid of a mosaic; it shares its pixels with the first map in its CRS.

    Args:
        maps: Names and grids of the maps; at least one.
        crs: CRS of the mosaic, such as `EPSG:32631`; None takes the one of most pixels.
        resolution: Side of a pixel, in units of the CRS; None takes the one of the first map in this CRS.
        bounds: West, south, east and north in units of the CRS, rounded outwards to whole pixels; None encloses all
            maps.

    Raises:
        InputError: A map has no CRS and transform or cannot be projected, or maps differ in resolution.
        UsageError: The CRS is unknown, no map is in it and no resolution is given, or the bounds are empty.
        LimitError: The mosaic would have too many pixels.
    """
    _check_georeferenced(maps)
    _check_sizes(maps, "make maps of one resolution")
    lattice = _lattice(maps, crs, resolution)
    wanted = _bounds_window(lattice, bounds) if bounds else _union([_footprint(lattice, entry) for entry in maps])
    if not wanted.shape.size:
        raise UsageError("the bounds hold no pixel", "write west,south,east,north in the CRS of the mosaic")
    if wanted.shape.size > MOST_PIXELS:
        raise LimitError(
            f"the maps span {wanted.width} x {wanted.height} pixels", "mosaic parts of them, with --bounds"
        )
    grid = lattice.part(wanted)
    _check_sizes([maps[0], NamedGrid("the mosaic", grid)], "choose --resolution so that its pixels are about as large")
    return grid


def _check_georeferenced(maps: Sequence[NamedGrid]) -> None:
    for entry in maps:
        if entry.grid.crs is None or entry.grid.gcps:
            raise InputError(f"{entry.name} has no CRS and transform", "warp it to a map projection first")
        if not (entry.grid.on_earth() or is_drawing(entry.grid.crs)):
            raise InputError(f"{entry.name} has a CRS that does not say where on Earth it lies", "correct its CRS")


def _lattice(maps: Sequence[NamedGrid], name: str | None, resolution: float | None) -> Grid:
    """A grid of one pixel that fixes the origin and size of the mosaic's pixels."""
    crs = parse_crs(name) if name else _most_common(maps).crs
    assert crs is not None
    if not (crs.is_projected or crs.is_geographic or is_drawing(crs)):
        raise UsageError(
            f"{crs.to_string()[:60]} cannot hold a map: it has no two axes on the ground",
            "give a projected or geographic CRS, such as EPSG:32631",
        )
    model = next((entry.grid.transform for entry in maps if entry.grid.crs == crs), None)
    if model is None or not model.is_rectilinear:
        if resolution is None:
            raise UsageError(f"no map lies north up in {crs.to_string()}", "give the pixel size with --resolution")
        return _beside(maps[0], Grid(crs, Affine(resolution, 0, 0, 0, -resolution, 0), Shape(1, 1)))
    across, down = (resolution, resolution) if resolution else (abs(model.a), abs(model.e))
    return Grid(crs, Affine(across, 0, model.c, 0, -down, model.f), Shape(1, 1))


def _beside(entry: NamedGrid, lattice: Grid) -> Grid:
    """The lattice moved by whole pixels to a map where x comes round: maps on both sides of 180 degrees meet there."""
    assert lattice.crs is not None
    if turn_of(lattice.crs) is None:
        return lattice
    middle = np.array([entry.grid.shape.height / 2]), np.array([entry.grid.shape.width / 2])
    _, cols = GridProjection(entry.grid, lattice, entry.name).locate(*middle)
    return lattice.part(Window(0, round(cols[0]), 1, 1)) if np.isfinite(cols[0]) else lattice


def _most_common(maps: Sequence[NamedGrid]) -> Grid:
    """Grid of the first map whose CRS has most pixels."""
    pixels: Counter[str] = Counter()
    for entry in maps:
        assert entry.grid.crs is not None
        pixels[entry.grid.crs.to_wkt()] += entry.grid.shape.size
    wkt = pixels.most_common(1)[0][0]
    return next(entry.grid for entry in maps if entry.grid.crs is not None and entry.grid.crs.to_wkt() == wkt)


def _footprint(lattice: Grid, entry: NamedGrid) -> Window:
    footprint = GridProjection(entry.grid, lattice, entry.name).footprint()
    if not footprint.shape.size:
        assert lattice.crs is not None
        raise InputError(f"{entry.name} cannot be projected to {lattice.crs.to_string()}", "choose another --crs")
    return footprint


def _union(windows: Sequence[Window]) -> Window:
    row, col = min(window.row for window in windows), min(window.col for window in windows)
    row_end, col_end = max(window.row_end for window in windows), max(window.col_end for window in windows)
    return Window(row, col, row_end - row, col_end - col)


def _bounds_window(lattice: Grid, bounds: tuple[float, float, float, float]) -> Window:
    west, south, east, north = bounds
    if not (np.isfinite(bounds).all() and west < east and south < north):
        raise UsageError(f"bounds {west:g},{south:g},{east:g},{north:g} are empty", "write west,south,east,north")
    if np.abs(bounds).max() > _FARTHEST:
        raise UsageError(
            f"bounds {west:g},{south:g},{east:g},{north:g} reach far beyond the Earth",
            "write west,south,east,north in the CRS of the mosaic",
        )
    transform = lattice.transform
    slack = 1e-6  # of a pixel: bounds that lie on its border are not rounded outwards
    left, top = floor((west - transform.c) / transform.a + slack), floor((north - transform.f) / transform.e + slack)
    right, bottom = ceil((east - transform.c) / transform.a - slack), ceil((south - transform.f) / transform.e - slack)
    return Window(top, left, bottom - top, right - left)


def _check_sizes(maps: Sequence[NamedGrid], remedy: str) -> None:
    first = maps[0]
    side = first.grid.pixel_size_m()
    for other in maps[1:]:
        other_side = other.grid.pixel_size_m()
        if side and other_side and not 1 / SIZE_TOLERANCE <= other_side / side <= SIZE_TOLERANCE:
            raise InputError(f"{first.name} has pixels of {side:.4g} m, {other.name} of {other_side:.4g} m", remedy)
