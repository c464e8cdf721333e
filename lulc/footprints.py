"""Footprints of chips and patches on the ground: their extent, their block, and distances between them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Grid, Window, is_drawing

METRES_PER_DEGREE = 110_574.0
"""Length of a degree of latitude at the equator, metres. It is the shortest, so distances are never overstated."""

ROUND = [0, 1, 3, 2]
"""Corners of a chip, which are counted row by row, in order round it."""

_HALF_THE_EARTH = 180.0
_ROUND_THE_EARTH = 2 * _HALF_THE_EARTH * METRES_PER_DEGREE


@dataclass(frozen=True, slots=True)
class Footprints:
    """Extents of n chips, in metres, each on a numbered plane.

    Plane 0 is the Earth. A scene without georeference has a plane of its own, which is infinitely far from all others.

    Attributes:
        plane: Number of the plane of each chip, int64 (n,); 0 is the Earth.
        x: Eastward coordinate of the centre, float64 (n,), metres; pixels without georeference.
        y: Northward coordinate of the centre, float64 (n,), metres; pixels downward without georeference.
        half_width: Half the extent along x, float64 (n,), in the units of x.
        half_height: Half the extent along y, float64 (n,), in the units of y.
        corners: Corners as x and y from the centre, in order round the chip, float64 (n, 4, 2).
        stretch: Factor from a difference in x to a distance on the ground, float64 (n,).
    """

    plane: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    half_width: NDArray[np.float64]
    half_height: NDArray[np.float64]
    corners: NDArray[np.float64]
    stretch: NDArray[np.float64]

    @classmethod
    def of_corners(
        cls, plane: NDArray[np.int64], corners: NDArray[np.float64], stretch: NDArray[np.float64]
    ) -> "Footprints":
        """Footprints of chips with these corners.

        Args:
            plane: Number of the plane of each chip, int64 (n,).
            corners: x and y of the corners, in order round the chip, float64 (n, 4, 2).
            stretch: Factor from a difference in x to a distance on the ground, float64 (n,).
        """
        low, high = corners.min(axis=1), corners.max(axis=1)
        centre, half = (low + high) / 2, (high - low) / 2
        (x, y), (half_width, half_height) = centre.T, half.T
        return cls(plane, x, y, half_width, half_height, corners - centre[:, None], stretch)

    @classmethod
    def joined(cls, parts: "list[Footprints]") -> "Footprints":
        """Concatenate the footprints of several scenes."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def blocks(self, side: float) -> NDArray[np.int64]:
        """Index of the block of ground that holds each chip's centre.

        Blocks lie on one grid for the whole Earth. Overlapping scenes therefore put the same ground into the same
        block, whatever their CRS.

        Args:
            side: Approximate side of a block, metres; pixels without georeference.

        Returns:
            Indices from 0, int64 of shape (n,).
        """
        rows = np.floor(self.y / side).astype(np.int64)
        # All chips of one row of blocks use the width that a degree has in the middle of that row.
        latitude = np.deg2rad((rows + 0.5) * side / METRES_PER_DEGREE)
        stretch = np.where(self.plane == 0, np.cos(latitude), 1.0)
        columns = np.floor(self.x * stretch / side).astype(np.int64)
        cells = np.column_stack([self.plane, rows, columns])
        return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)

    def neighbours(
        self, chosen: NDArray[np.bool_], others: NDArray[np.bool_], gap: float
    ) -> dict[int, NDArray[np.int64]]:
        """Find, for each chosen chip, the other chips whose boxes overlap its box or lie nearer than `gap`.

        A box follows x and y, and a chip may lie askew in it, so a neighbour may touch the chip without overlapping it.

        Args:
            chosen: True for chips whose neighbours are wanted, bool of shape (n,).
            others: True for chips that count as neighbours, bool of shape (n,).
            gap: Distance, metres; pixels without georeference.

        Returns:
            Indices of the neighbours, int64, by index of the chosen chip; chips without neighbours are left out.
        """
        found: dict[int, NDArray[np.int64]] = {}
        candidates = np.flatnonzero(others)
        for chip in np.flatnonzero(chosen):
            apart = np.abs(self._eastward(candidates, self.x[chip], int(chip)))
            across = apart - self.half_width[candidates] - self.half_width[chip]
            down = np.abs(self.y[candidates] - self.y[chip]) - self.half_height[candidates] - self.half_height[chip]
            distance = np.hypot(np.maximum(across, 0) * self.stretch[chip], np.maximum(down, 0))
            meets = (distance < gap) | ((across < 0) & (down < 0))
            close = candidates[meets & (self.plane[candidates] == self.plane[chip])]
            if len(close):
                found[int(chip)] = close
        return found

    def _eastward(self, chips: NDArray[np.int64] | int, x: NDArray[np.float64], chip: int) -> NDArray[np.float64]:
        """Difference in x from chip centres to locations; on the Earth the short way round."""
        apart: NDArray[np.float64] = x - self.x[chips]
        return apart - np.round(apart / _ROUND_THE_EARTH) * _ROUND_THE_EARTH if self.plane[chip] == 0 else apart

    def too_close(
        self, chips: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], gap: float
    ) -> NDArray[np.bool_]:
        """True where a location lies inside one of the chips or nearer than `gap` to one.

        Args:
            chips: Indices of chips, int64.
            x: Eastward coordinates of the locations, float64 of any shape, in the units of `Footprints.x`.
            y: Northward coordinates of the locations, of the same shape.
            gap: Distance, metres; pixels without georeference.

        Returns:
            bool, of the shape of x.
        """
        close = np.zeros(x.shape, dtype=bool)
        for chip in chips:
            scale = np.array([self.stretch[chip], 1.0])
            places = np.stack([self._eastward(chip, x, chip), y - self.y[chip]], axis=-1) * scale
            inside, distance = _from_outline(self.corners[chip] * scale, places)
            close |= inside | (distance < gap)
        return close


def _from_outline(
    corners: NDArray[np.float64], places: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which places lie inside a convex outline, and their distances from it.

    The box around an outline would not do: chips of one scene lie askew on the Earth, so their boxes overlap.

    Args:
        corners: x and y in order round the outline, float64 (4, 2).
        places: x and y, float64 (..., 2).
    """
    left, right = np.ones(places.shape[:-1], dtype=bool), np.ones(places.shape[:-1], dtype=bool)
    nearest = np.full(places.shape[:-1], np.inf)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge, offset = end - start, places - start
        side = edge[0] * offset[..., 1] - edge[1] * offset[..., 0]
        left, right = left & (side > 0), right & (side < 0)
        along = np.clip(offset @ edge / max(edge @ edge, np.finfo(float).tiny), 0, 1)[..., None]
        nearest = np.minimum(nearest, np.linalg.norm(offset - along * edge, axis=-1))
    return left | right, nearest


def on_ground(grid: Grid) -> bool:
    """True when a CRS and a transform georeference the grid; control points do not count."""
    return grid.crs is not None and not grid.gcps and not is_drawing(grid.crs)


def footprints_of(grid: Grid, windows: Sequence[Window], plane: int) -> Footprints:
    """Footprints of windows of a scene: on the Earth when it is georeferenced, else on a plane of its own.

    Args:
        grid: Grid of the scene.
        windows: n windows of the scene, pixels.
        plane: Index of the scene, which numbers its plane when it has no georeference.
    """
    corners = np.stack([_corners(grid, window) for window in windows]).reshape(len(windows), 4, 2)
    georeferenced = on_ground(grid)
    degrees = corners[..., 1].mean(axis=1) / METRES_PER_DEGREE
    return Footprints.of_corners(
        plane=np.full(len(windows), 0 if georeferenced else plane + 1),
        corners=corners[:, ROUND],
        stretch=np.cos(np.deg2rad(degrees)) if georeferenced else np.ones(len(windows)),
    )


def pixel_locations(grid: Grid, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ground coordinates of the pixel centres of a window, in the units of its footprint.

    Args:
        grid: Grid of the scene.
        window: Window of the scene, pixels.

    Returns:
        x and y, float64 (height, width) each.
    """
    corners = _corners(grid, window)
    down = ((np.arange(window.height) + 0.5) / window.height)[:, None, None]
    across = ((np.arange(window.width) + 0.5) / window.width)[None, :, None]
    upper = corners[0, 0] * (1 - across) + corners[0, 1] * across
    lower = corners[1, 0] * (1 - across) + corners[1, 1] * across
    locations = upper * (1 - down) + lower * down
    return locations[..., 0], locations[..., 1]


def _corners(grid: Grid, window: Window) -> NDArray[np.float64]:
    """Ground coordinates x and y of the corners of a window: float64 (2 down, 2 across, 2)."""
    columns = np.array([window.col, window.col_end, window.col, window.col_end], dtype=float)
    rows = np.array([window.row, window.row, window.row_end, window.row_end], dtype=float)
    if not on_ground(grid):
        return np.column_stack([columns, rows]).reshape(2, 2, 2)
    degrees = grid.longitudes_latitudes(columns, rows)
    if np.ptp(degrees[:, 0]) > _HALF_THE_EARTH:  # the chip lies on the antimeridian
        degrees[:, 0] %= 2 * _HALF_THE_EARTH
    return (degrees * METRES_PER_DEGREE).reshape(2, 2, 2)
