"""A product read on another grid: classes by the nearest pixel, activations bilinearly.

A pixel has data where the nearest pixel of the product has. Its activations are those of the four pixels around its
centre, those without data left out, so they still sum to 1 and nothing bleeds over the edge of the data. What a
pixel gets does not depend on the window it is read in (`lulc.projection`).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Grid, Window
from lulc.io.product.reader import open_product
from lulc.legend import NODATA_CODE, Legend
from lulc.projection import Floats, GridProjection, bounding_window, inside

SIXTEENTHS = 16
"""Parts of a step to which interpolated steps are rounded: sums of them times whole weights are then exact."""

_STEPS = 250
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
        return self.projection.covered()

    @cached_property
    def projection(self) -> GridProjection:
        """From the target to the product."""
        return GridProjection(self.target, self.grid)

    def at(self, window: Window) -> "ProductWindow":
        """A window of the target, which may reach beyond it; what is asked for twice is read once."""
        shared = self.projection.shift is not None
        return SharedWindow(self, window) if shared else ProjectedWindow(self, window)

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Class codes of a window of the target: uint8 (height, width), 255 where there is no data."""
        return self.at(window).classes

    def activations(self, window: Window) -> NDArray[np.float32]:
        """Activations of a window of the target: float32 (K, height, width), 0..1, NaN where there is no data."""
        return self.at(window).activations


@dataclass(frozen=True)
class ProductWindow:
    """A window of a product on another grid.

    Attributes:
        product: The product.
        window: Counted on its target.
    """

    product: ProductOnGrid
    window: Window

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """Class codes: uint8 (height, width), 255 where there is no data."""
        raise NotImplementedError

    @property
    def activations(self) -> NDArray[np.float32]:
        """Activations: float32 (K, height, width), 0..1, NaN where there is no data."""
        stored, scale = self._numbers()
        values = stored.astype(np.float32)
        values *= scale
        values[:, self.classes == NODATA_CODE] = np.nan
        return values

    @property
    def steps(self) -> NDArray[Any]:
        """Activations in steps of 1/250: (K, height, width), of no meaning where `classes` has no data.

        uint8 as stored where pixels are shared; else float32, rounded to sixteenths of a step.
        """
        stored, scale = self._numbers()
        if stored.dtype == np.uint8:
            return stored
        stored *= np.float32(scale * _STEPS * SIXTEENTHS)
        np.rint(stored, out=stored)
        stored /= SIXTEENTHS
        return stored

    def _numbers(self) -> tuple[NDArray[Any], np.float32]:
        """Activations in the units of the file, as an array of our own, and what turns them into 0..1."""
        raise NotImplementedError


@dataclass(frozen=True)
class SharedWindow(ProductWindow):
    """Where the pixels of the target are those of the product: they are copied."""

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """Class codes: uint8 (height, width), 255 where there is no data."""
        wanted, place = self._part
        codes = np.full((self.window.height, self.window.width), NODATA_CODE, np.uint8)
        if wanted.shape.size:
            with open_product(self.product.path) as product:
                codes[place] = product.classes(wanted)
        return codes

    @cached_property
    def _part(self) -> tuple[Window, tuple[slice, slice]]:
        """The part of the product that lies in the window, and where."""
        assert self.product.projection.shift is not None
        down, across = self.product.projection.shift
        moved = Window(self.window.row + down, self.window.col + across, self.window.height, self.window.width)
        wanted = moved.intersection(self.product.grid.window)
        return wanted, wanted.slices(moved)

    def _numbers(self) -> tuple[NDArray[Any], np.float32]:
        wanted, place = self._part
        with open_product(self.product.path) as product:
            stored, scale = product.stored_activations(wanted), product.activation_scale
        if wanted.shape == self.window.shape:
            return stored, scale
        placed = np.zeros((len(stored), self.window.height, self.window.width), stored.dtype)
        placed[(slice(None), *place)] = stored
        return placed, scale


@dataclass(frozen=True)
class ProjectedWindow(ProductWindow):
    """Where they are not: places on the product are computed, and read from between its pixels."""

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """Class codes: uint8 (height, width), 255 where there is no data."""
        codes = np.full((self.window.height, self.window.width), NODATA_CODE, np.uint8)
        rows, cols, found = self._places
        if found.any():
            near_rows, near_cols = (np.floor(axis[found] + 0.5).astype(np.intp) for axis in (rows, cols))
            source = bounding_window(near_rows, near_cols, self.product.grid.shape)
            with open_product(self.product.path) as product:
                stored = product.classes(source)
            codes[found] = stored[near_rows - source.row, near_cols - source.col]
        return codes

    @cached_property
    def _places(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Rows and columns of the product, and whether they lie in it."""
        rows, cols = self.product.projection.of_window(self.window)
        return rows, cols, inside(rows, cols, self.product.grid.shape)

    def _numbers(self) -> tuple[NDArray[Any], np.float32]:
        values = np.zeros((len(self.product.legend), self.window.height, self.window.width), np.float32)
        rows, cols, found = self._places
        if not found.any():
            return values, np.float32(1)
        top, left = (np.floor(axis[found]).astype(np.intp) for axis in (rows, cols))
        source = bounding_window(top, left, self.product.grid.shape, margin=1)
        with open_product(self.product.path) as product:
            stored, scale = product.stored_activations(source), product.activation_scale
        _interpolate(stored, rows - source.row, cols - source.col, found, into=values)
        return values, scale


def _interpolate(
    stored_kyx: NDArray[Any], rows: Floats, cols: Floats, found: NDArray[np.bool_], *, into: NDArray[np.float32]
) -> None:
    """Fill `into`, float32 (K, height, width), where `found`; places count from the corner of what is stored."""
    height, width = stored_kyx.shape[1:]
    pixels = np.ascontiguousarray(stored_kyx.transpose(1, 2, 0)).reshape(height * width, -1)
    known = pixels[:, 0] != NODATA_CODE
    for start in range(0, len(found), _SLAB_ROWS):  # slabs keep the working set small
        slab = slice(start, start + _SLAB_ROWS)
        here = found[slab]
        into[:, slab][:, here] = _bilinear(pixels, known, rows[slab][here], cols[slab][here], (height, width)).T


def _bilinear(
    pixels: NDArray[Any], known: NDArray[np.bool_], rows: Floats, cols: Floats, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Mean of the four pixels around each place by their nearness, those without data left out.

    Args:
        pixels: (pixel, K).
        known: Which of them have data: (pixel,).
        rows: Places, (n,).
        cols: The same.
        shape: Rows and columns of the pixels.

    Returns:
        float32 (n, K); 0 where none of the four has data.
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
    total /= np.where(weights > 0, weights, 1)[:, None]
    return total
