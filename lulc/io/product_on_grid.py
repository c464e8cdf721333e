"""A product read on another grid: classes by the nearest pixel, activations bilinearly.

A pixel has data where the nearest pixel of the product has. Its activations are those of the four pixels around its
centre, those without data left out, so they still sum to 1 and nothing bleeds over the edge of the data. What a
pixel gets does not depend on the window it is read in (`lulc.projection`).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Grid, Window
from lulc.io.product_reader import open_product
from lulc.legend import NODATA_CODE, Legend
from lulc.projection import Floats, GridProjection, inside

_SLAB_ROWS = 64


@dataclass(frozen=True)
class ProductOnGrid:
    """A product as if it lay on another grid.

    Its file is opened for each read, so that thousands of products may be held and several threads may read.

    Attributes:
        path: The product.
        legend: Its classes.
        grid: Its own grid, with a CRS and a transform.
        target: The grid that windows count from, likewise.
    """

    path: Path
    legend: Legend
    grid: Grid
    target: Grid

    @cached_property
    def covered(self) -> Window:
        """Window of the target outside of which the product has nothing; of size 0 when they do not meet."""
        return self._projection.covered()

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Class codes of a window of the target: uint8 (height, width), 255 where there is no data."""
        if self._projection.shift is not None:
            return self._shifted_classes(window)
        rows, cols = self._projection.of_window(window)
        found = inside(rows, cols, self.grid.shape)
        codes = np.full(found.shape, NODATA_CODE, np.uint8)
        if found.any():
            near_rows, near_cols = (np.floor(axis[found] + 0.5).astype(np.intp) for axis in (rows, cols))
            source = _around(near_rows, near_cols, self.grid.window, margin=0)
            with open_product(self.path) as product:
                stored = product.classes(source)
            codes[found] = stored[near_rows - source.row, near_cols - source.col]
        return codes

    def activations(self, window: Window) -> NDArray[np.float32]:
        """Activations of a window of the target: float32 (K, height, width), 0..1, NaN where there is no data."""
        values = np.full((len(self.legend), window.height, window.width), np.nan, np.float32)
        if self._projection.shift is not None:
            wanted, place = self._shifted(window)
            if wanted.shape.size:
                with open_product(self.path) as product:
                    values[(slice(None), *place)] = product.activations(wanted)
            return values
        rows, cols = self._projection.of_window(window)
        found = inside(rows, cols, self.grid.shape)
        if found.any():
            top, left = (np.floor(axis[found]).astype(np.intp) for axis in (rows, cols))
            source = _around(top, left, self.grid.window, margin=1)
            with open_product(self.path) as product:
                stored = product.activations(source)
            _interpolate(stored, rows - source.row, cols - source.col, found, into=values)
        return values

    @cached_property
    def _projection(self) -> GridProjection:
        return GridProjection(self.target, self.grid)

    def _shifted(self, window: Window) -> tuple[Window, tuple[slice, slice]]:
        """The part of the product under a window whose pixels are the product's own, and where it lies in it."""
        assert self._projection.shift is not None
        down, across = self._projection.shift
        moved = Window(window.row + down, window.col + across, window.height, window.width)
        wanted = moved.intersection(self.grid.window)
        return wanted, wanted.slices(moved)

    def _shifted_classes(self, window: Window) -> NDArray[np.uint8]:
        codes = np.full((window.height, window.width), NODATA_CODE, np.uint8)
        wanted, place = self._shifted(window)
        if wanted.shape.size:
            with open_product(self.path) as product:
                codes[place] = product.classes(wanted)
        return codes


def _around(rows: NDArray[np.intp], cols: NDArray[np.intp], whole: Window, margin: int) -> Window:
    """Smallest window that holds these pixels, and `margin` more below and right of them, inside the raster."""
    row, col = int(rows.min()), int(cols.min())
    window = Window(row, col, int(rows.max()) + 1 + margin - row, int(cols.max()) + 1 + margin - col)
    return window.intersection(whole)


def _interpolate(
    stored_kyx: NDArray[np.float32], rows: Floats, cols: Floats, found: NDArray[np.bool_], *, into: NDArray[np.float32]
) -> None:
    """Fill `into`, float32 (K, height, width), where `found`; places count from the corner of what is stored."""
    height, width = stored_kyx.shape[1:]
    pixels = np.ascontiguousarray(stored_kyx.transpose(1, 2, 0)).reshape(height * width, -1)
    known = ~np.isnan(pixels[:, 0])
    pixels[~known] = 0
    for start in range(0, len(found), _SLAB_ROWS):  # slabs keep the working set small
        slab = slice(start, start + _SLAB_ROWS)
        here = found[slab]
        values, valid = _bilinear(pixels, known, rows[slab][here], cols[slab][here], (height, width))
        values[~valid] = np.nan
        into[:, slab][:, here] = values.T


def _bilinear(
    pixels: NDArray[np.float32], known: NDArray[np.bool_], rows: Floats, cols: Floats, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean of the four pixels around each place by their nearness, and whether the nearest one has data.

    Args:
        pixels: (pixel, K), 0 where nothing is known.
        known: (pixel,).
        rows: Places, (n,).
        cols: The same.
        shape: Rows and columns of the pixels.

    Returns:
        float32 (n, K), and bool (n,).
    """
    top, left = np.floor(rows), np.floor(cols)
    down, across = (rows - top).astype(np.float32), (cols - left).astype(np.float32)
    total = np.zeros((rows.size, pixels.shape[1]), np.float32)
    weights = np.zeros(rows.size, np.float32)
    for below, share_down in ((0, 1 - down), (1, down)):
        row = np.clip(top + below, 0, shape[0] - 1).astype(np.intp) * shape[1]
        for right, share_across in ((0, 1 - across), (1, across)):
            index = row + np.clip(left + right, 0, shape[1] - 1).astype(np.intp)
            weight = share_down * share_across * known[index]
            total += pixels[index] * weight[:, None]
            weights += weight
    near_row, near_col = np.floor(rows + 0.5).astype(np.intp), np.floor(cols + 0.5).astype(np.intp)
    valid = known[near_row * shape[1] + near_col]
    total /= np.where(valid, weights, 1)[:, None]
    return total, valid
