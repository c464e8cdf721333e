"""Project pixels of one grid onto another, between any two CRSs, without an approximating transformer.

Positions are rows and columns counted from the centre of the first pixel, float64. They are NaN where the projection is
undefined.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Grid, Shape, Window, map_points, transformer
from lulc.turns import turn_of, unwrapped

Floats = NDArray[np.float64]

_LATTICE = 64
"""Distance of the exactly projected points of a window, pixels."""

_SAMPLES = 65
_WHOLE_PIXEL = 1e-3


@dataclass(frozen=True)
class GridProjection:
    """Projection of the pixels of one grid to positions on another.

    Attributes:
        start: Grid of the pixels to project. Both grids have a CRS and a transform.
        end: Grid on which positions are given.
        called: What messages call the files of the two.

    Raises:
        InputError: On use, where the CRSs differ and one has no place on Earth.
    """

    start: Grid
    end: Grid
    called: str = ""

    def __post_init__(self) -> None:
        for grid in (self.start, self.end):
            if grid.crs is None or grid.gcps:
                raise ValueError(f"a grid without CRS and transform lies nowhere: {grid}")

    @cached_property
    def shift(self) -> tuple[int, int] | None:
        """Rows and columns to add when both grids share their pixels, apart from an offset; else None."""
        if self.start.crs != self.end.crs:
            return None
        height, width = self.start.shape.height - 1, self.start.shape.width - 1
        columns, rows = np.array([0.0, width, 0.0, width]), np.array([0.0, 0.0, height, height])
        there_rows, there_cols = self.locate(rows, columns)
        row, col = round(there_rows[0]), round(there_cols[0])
        off = np.abs([there_rows - rows - row, there_cols - columns - col])
        return (row, col) if off.max() < _WHOLE_PIXEL else None

    def locate(self, rows: Floats, cols: Floats) -> tuple[Floats, Floats]:
        """Project positions on `start` to positions on `end`, each exactly.

        Args:
            rows: Rows on `start`, float64 of any shape, counted from the centre of the first pixel.
            cols: Columns on `start`, of the same shape.

        Returns:
            Rows and columns on `end`, float64 of that shape; NaN where the projection is undefined.
        """
        return self._on_end(*self._project(rows, cols))

    def of_window(self, window: Window) -> tuple[Floats, Floats]:
        """Rows and columns on `end` of the pixels of a window of `start`: float64 (height, width) each.

        Points 64 px apart are projected exactly, and the pixels between them bilinearly. The points count from the
        corner of `start`, so a pixel's position does not depend on the window.
        """
        rows, cols = _lattice_points(window.row, window.row_end), _lattice_points(window.col, window.col_end)
        x, y = self._project(*(axis.astype(np.float64) for axis in np.meshgrid(rows, cols, indexing="ij")))
        if self._turn and np.isfinite(x).any():
            x = unwrapped(x, float(x[np.isfinite(x)][0]), self._turn)  # no jump between neighbours, wherever 180 lies
        down, across = np.arange(window.row, window.row_end), np.arange(window.col, window.col_end)
        return self._on_end(*(_between(_between(plane, rows, down).T, cols, across).T for plane in (x, y)))

    def _project(self, rows: Floats, cols: Floats) -> tuple[Floats, Floats]:
        """Positions on `start` in the CRS of `end`."""
        x, y = map_points(self.start.transform, cols + 0.5, rows + 0.5)
        if self.start.crs != self.end.crs:
            x, y = np.asarray(self._transformer.transform(x, y))
            x[~np.isfinite(x)] = y[~np.isfinite(y)] = np.nan  # infinities would warn
        return x, y

    def _on_end(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Rows and columns on `end` of CRS coordinates.

        Longitudes, and what comes round like them, are moved by whole turns to lie nearest to the grid.
        """
        x = unwrapped(x, self.end.middle[0], self._turn)
        cols, rows = map_points(~self.end.transform, x, y)
        return rows - 0.5, cols - 0.5

    @cached_property
    def _turn(self) -> float | None:
        assert self.end.crs is not None
        return turn_of(self.end.crs)

    @cached_property
    def whole_turns(self) -> float:
        """How far, in whole turns, `start` projects to from where it lies nearest to `end`; in units of the CRS of `end`.

        GDAL knows no turns: a raster that it shall find there must be moved by as much.
        """
        x, _ = self._project(
            np.array([self.start.shape.height / 2 - 0.5]), np.array([self.start.shape.width / 2 - 0.5])
        )
        return float((x - unwrapped(x, self.end.middle[0], self._turn))[0]) if np.isfinite(x[0]) else 0.0

    def meets(self) -> bool:
        """True when the grids overlap, judged by a lattice of points over each."""
        back = GridProjection(self.end, self.start, self.called)
        there = inside(*self.locate(*_spread(self.start.shape)), self.end.shape)
        here = inside(*back.locate(*_spread(self.end.shape)), self.start.shape)
        return bool(there.any() or here.any())

    def footprint(self) -> Window:
        """Window of `end`, not clipped to it, that holds every pixel of `start`; of size 0 where undefined.

        It is exact where the grids share pixels. Otherwise it encloses the densely projected outline, with one pixel
        around it for its curvature.
        """
        if self.shift is not None:
            return Window(*self.shift, self.start.shape.height, self.start.shape.width)
        rows, cols = self.locate(*_outline(self.start.shape))
        if not np.isfinite(rows).any():
            return Window(0, 0, 0, 0)
        top, left = int(np.floor(np.nanmin(rows))) - 1, int(np.floor(np.nanmin(cols))) - 1
        bottom, right = int(np.ceil(np.nanmax(rows))) + 2, int(np.ceil(np.nanmax(cols))) + 2
        return Window(top, left, bottom - top, right - left)

    def covered(self) -> Window:
        """Window of `start` that holds every pixel whose centre lies on `end`; of size 0 where they do not meet."""
        return GridProjection(self.end, self.start, self.called).footprint().intersection(self.start.window)

    @cached_property
    def _transformer(self) -> Any:  # noqa: ANN401 - pyproj.Transformer, imported late
        assert self.start.crs is not None
        assert self.end.crs is not None
        return transformer(self.start.crs.to_wkt(), self.end.crs.to_wkt(), self.called)


def inside(rows: Floats, cols: Floats, shape: Shape) -> NDArray[np.bool_]:
    """True where a position lies in a pixel of a raster.

    Args:
        rows: Rows counted from the centre of the first pixel, float64 of any shape.
        cols: Columns, of the same shape.
        shape: Rows and columns of the raster.

    Returns:
        bool, of the shape of rows; False for NaN.
    """
    within = (rows >= -0.5) & (rows < shape.height - 0.5) & (cols >= -0.5) & (cols < shape.width - 0.5)  # noqa: PLR2004
    return np.asarray(within)


def bounding_window(rows: NDArray[np.intp], cols: NDArray[np.intp], shape: Shape, margin: int = 0) -> Window:
    """Smallest window of a raster that holds some pixels.

    Args:
        rows: Rows of the pixels, int (n,).
        cols: Columns of the pixels, int (n,).
        shape: Rows and columns of the raster, to which the window is clipped.
        margin: Pixels to add below and to the right.
    """
    row, col = int(rows.min()), int(cols.min())
    window = Window(row, col, int(rows.max()) + 1 + margin - row, int(cols.max()) + 1 + margin - col)
    return window.intersection(shape.window)


def _lattice_points(first: int, end: int) -> NDArray[np.int64]:
    """Multiples of the lattice's step that enclose pixels first..end-1; at least two."""
    return np.arange(first // _LATTICE, -(-max(end - 1, first + 1) // _LATTICE) + 1, dtype=np.int64) * _LATTICE


def _between(values: Floats, known: NDArray[np.int64], wanted: NDArray[np.int64]) -> Floats:
    """Linear interpolation along the first axis between equally spaced points."""
    index = (wanted - known[0]) // _LATTICE
    fraction = ((wanted - known[index]) / _LATTICE)[:, None]
    after = np.minimum(index + 1, len(known) - 1)
    between: Floats = values[index] * (1 - fraction) + values[after] * fraction
    return between


def _spread(shape: Shape) -> tuple[Floats, Floats]:
    rows = np.linspace(0, shape.height - 1, _SAMPLES)
    cols = np.linspace(0, shape.width - 1, _SAMPLES)
    grid_rows, grid_cols = np.meshgrid(rows, cols, indexing="ij")
    return grid_rows.ravel(), grid_cols.ravel()


def _outline(shape: Shape) -> tuple[Floats, Floats]:
    """Positions along the outer edge of a raster."""
    down, across = np.linspace(-0.5, shape.height - 0.5, _SAMPLES), np.linspace(-0.5, shape.width - 0.5, _SAMPLES)
    rows = np.concatenate([down, down, np.full(_SAMPLES, down[0]), np.full(_SAMPLES, down[-1])])
    cols = np.concatenate([np.full(_SAMPLES, across[0]), np.full(_SAMPLES, across[-1]), across, across])
    return rows, cols
