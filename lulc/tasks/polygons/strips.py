"""A map read in strips of rows: classes, the activation of the class given, and what is flagged."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Window
from lulc.io.product.areas import PixelAreas
from lulc.io.product.bands import CLEAR
from lulc.io.product.reader import ProductReader
from lulc.legend import NODATA_CODE

STRIP_PX = 1 << 21
"""Pixels of a strip: enough for whole arrays to be worth their overhead, few enough for a few hundred megabytes."""

_PANEL = 2048
"""Columns of activations that are held at once, whatever the width of the map."""

_LEAST_ROWS = 256
"""Rows that are read at once where blocks are lower: many files hold a row a block."""

_STEPS_OF_FLOAT = 1 << 24
_MOST_UNITS = 1 << 61
_MOST_DIGITS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """Some rows of a map, whole.

    Attributes:
        row: The first of them.
        codes: uint8 (rows, width) class codes, 255 for nodata and for classes that are not wanted.
        area: int64 (2, rows) ground of a pixel of each row, and of the one in the last column, in a unit of whole numbers.
        activation: Whole numbers (rows, width), activation of the class given in a unit; None without activations.
        flagged: bool (rows, width), under a cloud or a shadow; None without the band.
    """

    row: int
    codes: NDArray[np.uint8]
    area: NDArray[np.int64]
    activation: NDArray[np.integer] | None = None
    flagged: NDArray[np.bool_] | None = None

    @property
    def row_end(self) -> int:
        """Row after the last one."""
        return self.row + len(self.codes)

    def area_of_runs(self, first: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ground of runs of pixels inside one row each, int64 (n,); they are counted row by row."""
        width = self.codes.shape[1]
        rows = first // width
        whole, last = self.area
        return np.asarray((ends - first) * whole[rows] + np.where(ends % width == 0, last[rows] - whole[rows], 0))

    def parts(self, rows: int) -> Iterator["Strip"]:
        """The strip cut into strips of so many rows."""
        for top in range(0, self.codes.shape[0], rows):
            cut = slice(top, top + rows)
            yield Strip(
                self.row + top,
                self.codes[cut],
                self.area[:, cut],
                None if self.activation is None else self.activation[cut],
                None if self.flagged is None else self.flagged[cut],
            )


@dataclass(frozen=True, slots=True, eq=False)
class AreaUnits:
    """Ground of the pixels of a map in whole numbers of a decimal part of a hectare, so that sums are exact.

    Attributes:
        per_hectare: Units in a hectare, a power of ten.
        pixels: int64 (2, height) units of a pixel of each row, and of the one in the last column.
    """

    per_hectare: int
    pixels: NDArray[np.int64]

    @classmethod
    def of(cls, areas: PixelAreas) -> "AreaUnits":
        """The finest units, 1e-12 ha or coarser, in which the area of the whole map can be counted."""
        hectares = float(areas.rows.sum() * areas.columns.size)
        digits = min(_MOST_DIGITS, int(np.floor(np.log10(_MOST_UNITS / max(hectares, 1e-30)))))
        per_hectare = 10.0**digits
        both = np.stack([areas.rows, areas.rows * areas.columns[-1]])
        return cls(10**digits, np.rint(both * per_hectare).astype(np.int64))


def read_strips(
    product: ProductReader, units: AreaUnits, wanted: NDArray[np.bool_], strip_px: int = STRIP_PX
) -> Iterator[Strip]:
    """Read a map from top to bottom.

    Blocks are decoded once: a row of blocks is read in panels, and handed out in strips.

    Args:
        product: The map.
        units: Of the areas.
        wanted: bool (256,) which class codes are kept; pixels of others are without data.
        strip_px: Most pixels of a strip; one row at least.

    Raises:
        InputError: The map's pixels break its format.
        StorageError: It cannot be read.
    """
    table = np.where(wanted, np.arange(wanted.size), NODATA_CODE).astype(np.uint8)
    for window in _windows(product):
        planes = _Planes.of(product, window)
        for start in range(0, window.width, _PANEL):
            planes.read(product, Window(window.row, start, window.height, min(_PANEL, window.width - start)), start)
        area = units.pixels[:, window.row : window.row_end]
        whole = Strip(window.row, table[planes.codes], area, planes.activation, planes.flagged)
        yield from whole.parts(max(1, strip_px // window.width))


def _windows(product: ProductReader) -> Iterator[Window]:
    """Rows of blocks, several at a time where blocks are low."""
    height, width = product.grid.shape.height, product.grid.shape.width
    block = next(product.block_rows()).height
    step = block * max(1, _LEAST_ROWS // block)
    for row in range(0, height, step):
        yield Window(row, 0, min(step, height - row), width)


def activation_unit(product: ProductReader) -> float:
    """What one step of `Strip.activation` is worth: the sum of steps is exact, so it does not depend on its order."""
    return float(product.activation_scale) if product.bytewise else 1 / _STEPS_OF_FLOAT


@dataclass(frozen=True, slots=True, eq=False)
class _Planes:
    """What is kept of a row of blocks."""

    codes: NDArray[np.uint8]
    activation: NDArray[np.integer] | None
    flagged: NDArray[np.bool_] | None

    @classmethod
    def of(cls, product: ProductReader, window: Window) -> "_Planes":
        shape = (window.height, window.width)
        steps = np.uint8 if product.bytewise else np.int32
        return cls(
            np.empty(shape, np.uint8),
            np.empty(shape, steps) if product.has_activations else None,
            np.empty(shape, np.bool_) if product.flags_clouds else None,
        )

    def read(self, product: ProductReader, window: Window, start: int) -> None:
        panel = slice(start, start + window.width)
        if self.activation is None:
            self.codes[:, panel] = product.classes(window)
        else:
            stored = product.stored(window)
            self.codes[:, panel] = stored[0]
            self.activation[:, panel] = _given(stored, bytewise=product.bytewise)
        if self.flagged is not None:
            sky = product.sky(window)
            self.flagged[:, panel] = (sky != CLEAR) & (sky != NODATA_CODE)


def _given(stored: NDArray[np.generic], *, bytewise: bool) -> NDArray[np.integer]:
    """Activation of the class given, in whole numbers (rows, columns); 0 without data.

    Args:
        stored: Class codes and activations as stored, (1 + K, rows, columns).
        bytewise: They are bytes.
    """
    codes = stored[0].astype(np.intp)
    valid = codes != NODATA_CODE
    given = np.take_along_axis(stored[1:], np.where(valid, codes - 1, 0)[None], axis=0)[0]
    steps = given if bytewise else np.rint(given.astype(np.float64) * _STEPS_OF_FLOAT)
    return np.where(valid, steps, 0).astype(np.uint8 if bytewise else np.int32)
