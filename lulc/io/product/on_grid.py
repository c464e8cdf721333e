"""Read a product on another grid: classes and clouds by the nearest pixel, activations bilinearly.

A pixel has data where the nearest pixel of the product has. Its activations interpolate the four pixels around its
centre, ignoring those without data. They therefore still sum to 1, and nothing bleeds over the edge of the data. The
result does not depend on the window it is read in (`lulc.projection`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Grid, Window
from lulc.io.product.bands import CLEAR
from lulc.io.product.reader import ProductReader, open_product
from lulc.legend import NODATA_CODE, Legend
from lulc.projection import Floats, GridProjection, bounding_window, inside

SIXTEENTHS = 16
"""Interpolated steps are rounded to 1/16 of a step. Sums of them times whole weights are then exact in float32."""

_STEPS = 250
_SLAB_ROWS = 64


@dataclass(frozen=True)
class ProductOnGrid:
    """A product resampled to another grid.

    Its file is opened for each read, so thousands of products may be held and several threads may read.

    Attributes:
        path: File of the product.
        legend: Classes of the product.
        grid: Grid of the product, with a CRS and a transform.
        target: Grid to read on, with a CRS and a transform.
        flags_clouds: True reads the band `clouds`, which the product has.
    """

    path: Path
    legend: Legend
    grid: Grid
    target: Grid
    flags_clouds: bool = False

    @cached_property
    def covered(self) -> Window:
        """Window of the target outside of which the product has no data; of size 0 when they do not meet."""
        return self.projection.covered()

    @cached_property
    def projection(self) -> GridProjection:
        """Projection from the target to the product."""
        return GridProjection(self.target, self.grid, str(self.path))

    @property
    def shares_pixels(self) -> bool:
        """True where pixels are copied, not interpolated."""
        return self.projection.shift is not None

    def at(self, window: Window) -> "ProductWindow":
        """A window of the target, which may reach beyond it. Its classes and its sky are read once and kept."""
        return SharedWindow(self, window) if self.shares_pixels else ProjectedWindow(self, window)

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Class codes of a window of the target: uint8 (height, width), 1..K, 255 nodata.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        return self.at(window).classes

    def activations(self, window: Window) -> NDArray[np.float32]:
        """Activations of a window of the target: float32 (K, height, width), 0..1, NaN where there is no data.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        return self.at(window).activations

    def stored(self, window: Window) -> NDArray[Any]:
        """Activations of a window of the target as stored, where it `shares_pixels`: (K, height, width), 255 without data.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        return SharedWindow(self, window).stored


@dataclass(frozen=True)
class ProductWindow(ABC):
    """A window of a product on another grid.

    Attributes:
        product: Product to read.
        window: Window of the target grid, pixels.
    """

    product: ProductOnGrid
    window: Window

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """Class codes of the nearest pixels: uint8 (height, width), 1..K, 255 nodata.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        return self._nearest(ProductReader.classes)

    @cached_property
    def sky(self) -> NDArray[np.uint8] | None:
        """Sky of the nearest pixels: uint8 (height, width), positions in `SKY`, 255 nodata; None where it is not read.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        return self._nearest(ProductReader.sky) if self.product.flags_clouds else None

    @property
    def clear(self) -> NDArray[np.bool_]:
        """True where the product has data that is not flagged: bool (height, width)."""
        clear: NDArray[np.bool_] = self.classes != NODATA_CODE if self.sky is None else self.sky == CLEAR
        return clear

    @property
    def activations(self) -> NDArray[np.float32]:
        """Activations: float32 (K, height, width), 0..1, NaN where there is no data.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        stored, scale = self._stored_and_scale()
        values = stored.astype(np.float32)
        values *= scale
        values[:, self.classes == NODATA_CODE] = np.nan
        return values

    @property
    def steps(self) -> NDArray[Any]:
        """Activations in steps of 1/250: (K, height, width), undefined where `classes` is nodata.

        They are uint8, as stored, where the grids share pixels. Otherwise they are float32, rounded to sixteenths of a
        step.

        Raises:
            InputError: A pixel breaks the format of a product.
            StorageError: A block cannot be read.
        """
        stored, scale = self._stored_and_scale()
        if stored.dtype == np.uint8:
            return stored
        stored *= np.float32(scale * _STEPS * SIXTEENTHS)
        np.rint(stored, out=stored)
        stored /= SIXTEENTHS
        return stored

    @abstractmethod
    def _nearest(self, read: Callable[[ProductReader, Window], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Codes of the nearest pixels, uint8 (height, width), 255 nodata, read from a window of the product."""

    @abstractmethod
    def _stored_and_scale(self) -> tuple[NDArray[Any], np.float32]:
        """Activations in the units of the file, as an array that may be changed, and the factor to 0..1."""


@dataclass(frozen=True)
class SharedWindow(ProductWindow):
    """A window whose grid shares pixels with the product: they are copied."""

    def _nearest(self, read: Callable[[ProductReader, Window], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        wanted, slices = self._overlap
        codes = np.full((self.window.height, self.window.width), NODATA_CODE, np.uint8)
        if wanted.shape.size:
            with open_product(self.product.path) as product:
                codes[slices] = read(product, wanted)
        return codes

    @cached_property
    def _overlap(self) -> tuple[Window, tuple[slice, slice]]:
        """The part of the product that lies in the window, and its slices there."""
        assert self.product.projection.shift is not None
        down, across = self.product.projection.shift
        moved = Window(self.window.row + down, self.window.col + across, self.window.height, self.window.width)
        wanted = moved.intersection(self.product.grid.window)
        return wanted, wanted.slices(moved)

    @property
    def stored(self) -> NDArray[Any]:
        """Activations as stored: (K, height, width), 255 without data."""
        return self._stored_and_scale()[0]

    def _stored_and_scale(self) -> tuple[NDArray[Any], np.float32]:
        wanted, slices = self._overlap
        with open_product(self.product.path) as product:
            stored, scale = product.stored_activations(wanted), product.activation_scale
        if wanted.shape == self.window.shape:
            return stored, scale
        placed = np.full((len(stored), self.window.height, self.window.width), NODATA_CODE, stored.dtype)
        placed[(slice(None), *slices)] = stored
        return placed, scale


@dataclass(frozen=True)
class ProjectedWindow(ProductWindow):
    """A window whose grid shares no pixels with the product: they are interpolated at projected positions."""

    def _nearest(self, read: Callable[[ProductReader, Window], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        codes = np.full((self.window.height, self.window.width), NODATA_CODE, np.uint8)
        rows, cols, found = self._positions
        if found.any():
            near_rows, near_cols = (np.floor(axis[found] + 0.5).astype(np.intp) for axis in (rows, cols))
            source = bounding_window(near_rows, near_cols, self.product.grid.shape)
            with open_product(self.product.path) as product:
                stored = read(product, source)
            codes[found] = stored[near_rows - source.row, near_cols - source.col]
        return codes

    @cached_property
    def _positions(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Rows and columns on the product, float64 (height, width), and whether they lie inside it."""
        rows, cols = self.product.projection.of_window(self.window)
        return rows, cols, inside(rows, cols, self.product.grid.shape)

    def _stored_and_scale(self) -> tuple[NDArray[Any], np.float32]:
        values = np.zeros((len(self.product.legend), self.window.height, self.window.width), np.float32)
        rows, cols, found = self._positions
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
    """Fill `into`, float32 (K, height, width), where `found`. Positions count from the corner of the stored pixels."""
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
    """Bilinear interpolation at each position, ignoring pixels without data.

    Args:
        pixels: Values of each pixel, (pixel, K).
        known: True for pixels with data, bool (pixel,).
        rows: Rows of the positions, (n,).
        cols: Columns of the positions, (n,).
        shape: Rows and columns of the array that the pixels make up.

    Returns:
        float32 (n, K); 0 where none of the four has data.
    """
    top, left = np.floor(rows), np.floor(cols)
    down, across = (rows - top).astype(np.float32), (cols - left).astype(np.float32)
    total = np.zeros((rows.size, pixels.shape[1]), np.float32)
    weights = np.zeros(rows.size, np.float32)
    for below, weight_down in ((0, 1 - down), (1, down)):
        row = np.clip(top + below, 0, shape[0] - 1).astype(np.intp) * shape[1]
        for right, weight_across in ((0, 1 - across), (1, across)):
            index = row + np.clip(left + right, 0, shape[1] - 1).astype(np.intp)
            weight = weight_down * weight_across * known[index]
            total += pixels[index] * weight[:, None]
            weights += weight
    total /= np.where(weights > 0, weights, 1)[:, None]
    return total
