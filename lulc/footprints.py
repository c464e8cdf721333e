"""Where chips and patches lie on the ground: blocks of it, distances between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Grid, Window

METRES_PER_DEGREE = 110_574.0
"""Of latitude at the equator, the least there is: distances on the ground are never overstated."""

_HALF_THE_EARTH = 180.0
_ROUND_THE_EARTH = 2 * _HALF_THE_EARTH * METRES_PER_DEGREE


@dataclass(frozen=True, slots=True)
class Footprints:
    """Where chips lie, in metres on planes of their own.

    Attributes:
        plane: 0 on the Earth; other numbers are planes of their own, far from all others: int64 (n,).
        x: Centre, metres (pixels where there is no georeference): float64 (n,).
        y: The same, northward or downward.
        half_width: Half the extent along x.
        half_height: Half the extent along y.
        stretch: Factor that turns a difference in x into a distance on the ground: float64 (n,).
    """

    plane: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    half_width: NDArray[np.float64]
    half_height: NDArray[np.float64]
    stretch: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: "list[Footprints]") -> "Footprints":
        """Those of several scenes in one."""
        names = ("plane", "x", "y", "half_width", "half_height", "stretch")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def blocks(self, side: float) -> NDArray[np.int64]:
        """Number of the block that holds each chip's centre: int64 (n,), from 0.

        Blocks of about `side` metres lie on one grid for the whole Earth: overlapping scenes, whatever their CRS, put
        the same ground into the same block.
        """
        rows = np.floor(self.y / side).astype(np.int64)
        # All chips of one row of blocks use the width that a degree has in the middle of that row.
        latitude = np.deg2rad((rows + 0.5) * side / METRES_PER_DEGREE)
        stretch = np.where(self.plane == 0, np.cos(latitude), 1.0)
        columns = np.floor(self.x * stretch / side).astype(np.int64)
        cells = np.column_stack([self.plane, rows, columns])
        numbers: NDArray[np.int64] = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
        return numbers

    def neighbours(
        self, chosen: NDArray[np.bool_], others: NDArray[np.bool_], gap: float
    ) -> dict[int, NDArray[np.int64]]:
        """For each `chosen` chip with any, which of the `others` are nearer than `gap` metres or overlap it."""
        found: dict[int, NDArray[np.int64]] = {}
        candidates = np.flatnonzero(others)
        for chip in np.flatnonzero(chosen):
            across = (
                self._apart(candidates, self.x[chip], int(chip)) - self.half_width[candidates] - self.half_width[chip]
            )
            down = np.abs(self.y[candidates] - self.y[chip]) - self.half_height[candidates] - self.half_height[chip]
            distance = np.hypot(np.maximum(across, 0) * self.stretch[chip], np.maximum(down, 0))
            meets = (distance < gap) | ((across < 0) & (down < 0))
            close = candidates[meets & (self.plane[candidates] == self.plane[chip])]
            if len(close):
                found[int(chip)] = close
        return found

    def _apart(self, chips: NDArray[np.int64] | int, x: NDArray[np.float64], chip: int) -> NDArray[np.float64]:
        """Difference in x between centres of chips and places; the short way round the Earth."""
        apart: NDArray[np.float64] = np.abs(self.x[chips] - x)
        return np.minimum(apart, _ROUND_THE_EARTH - apart) if self.plane[chip] == 0 else apart

    def too_close(
        self, chips: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], gap: float
    ) -> NDArray[np.bool_]:
        """True where a place lies in one of `chips` or nearer than `gap` metres to one.

        Args:
            chips: Numbers of chips.
            x: Places, in the units of `Footprints.x`: any shape.
            y: The same.
            gap: Metres.
        """
        close = np.zeros(x.shape, dtype=bool)
        for chip in chips:
            across = np.maximum(self._apart(chip, x, chip) - self.half_width[chip], 0) * self.stretch[chip]
            down = np.maximum(np.abs(y - self.y[chip]) - self.half_height[chip], 0)
            distance = np.hypot(across, down)
            close |= (distance < gap) | (distance == 0)
        return close


def on_ground(grid: Grid) -> bool:
    """True when a CRS and a transform say where pixels lie."""
    return grid.crs is not None and not grid.gcps


def footprints_of(grid: Grid, windows: Sequence[Window], plane: int) -> Footprints:
    """Where windows of a scene lie: on the ground when the scene is georeferenced, else on a plane of its own."""
    corners = np.stack([_corners(grid, window) for window in windows])
    x, y = corners[..., 0].reshape(len(windows), 4), corners[..., 1].reshape(len(windows), 4)
    placed = on_ground(grid)
    latitude = np.deg2rad(y.mean(axis=1) / METRES_PER_DEGREE) if placed else np.zeros(len(windows))
    return Footprints(
        plane=np.full(len(windows), 0 if placed else plane + 1),
        x=(x.max(axis=1) + x.min(axis=1)) / 2,
        y=(y.max(axis=1) + y.min(axis=1)) / 2,
        half_width=np.ptp(x, axis=1) / 2,
        half_height=np.ptp(y, axis=1) / 2,
        stretch=np.cos(latitude),
    )


def pixel_places(grid: Grid, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the pixel centres of a window lie, in the units of its footprint: x and y, float64 (height, width)."""
    corners = _corners(grid, window)
    down = ((np.arange(window.height) + 0.5) / window.height)[:, None, None]
    across = ((np.arange(window.width) + 0.5) / window.width)[None, :, None]
    upper = corners[0, 0] * (1 - across) + corners[0, 1] * across
    lower = corners[1, 0] * (1 - across) + corners[1, 1] * across
    places = upper * (1 - down) + lower * down
    return places[..., 0], places[..., 1]


def _corners(grid: Grid, window: Window) -> NDArray[np.float64]:
    """X and y of the corners of a window: float64 (2 down, 2 across, 2)."""
    columns = np.array([window.col, window.col_end, window.col, window.col_end], dtype=float)
    rows = np.array([window.row, window.row, window.row_end, window.row_end], dtype=float)
    if not on_ground(grid):
        return np.column_stack([columns, rows]).reshape(2, 2, 2)
    places = grid.longitudes_latitudes(columns, rows)
    if np.ptp(places[:, 0]) > _HALF_THE_EARTH:  # the chip lies on the antimeridian
        places[:, 0] %= 2 * _HALF_THE_EARTH
    return (places * METRES_PER_DEGREE).reshape(2, 2, 2)
