"""Areas of the classes of a map, as counted.

A count of pixels is not an estimate of area: it carries the map's errors. An unbiased estimate needs a reference
sample.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Grid, Window
from lulc.io.product.bands import ExtraBand
from lulc.io.product.on_grid import ProductOnGrid
from lulc.io.product.reader import open_product
from lulc.legend import NODATA_CODE


@dataclass(frozen=True, slots=True)
class ClassArea:
    """Pixels and area of one class in a map, as counted.

    Attributes:
        code: Class code.
        name: Class name.
        pixels: Number of pixels of the class.
        hectares: Their ground area, hectares; None where the CRS does not give one.
        share: Fraction of the valid pixels, 0..1.
    """

    code: int
    name: str
    pixels: int
    hectares: float | None
    share: float


EDGE_TAG = "LULC_EDGE"
"""Tag of a product whose last row and column reach beyond its scene: the fraction of each that lies inside, as
`0.5,0.25`.
"""


WHOLE = (1.0, 1.0)
"""Edge of a product whose last row and column lie inside its scene."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelAreas:
    """Ground of the pixels of a product: that of row r and column c is `rows[r] * columns[c]`.

    Attributes:
        rows: float64 (height,) hectares of a whole pixel; of the last row, of its part inside the scene.
        columns: float64 (width,) how much of a pixel lies inside the scene, 0..1.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]

    @classmethod
    def of(cls, grid: Grid, edge: tuple[float, float] = WHOLE) -> "PixelAreas":
        """Areas of a grid whose last row and column lie inside the scene with these parts."""
        rows, columns = grid.pixel_areas_ha(), np.ones(grid.shape.width)
        rows[-1:] *= edge[0]
        columns[-1:] *= edge[1]
        return cls(rows, columns)

    def part(self, window: Window) -> "PixelAreas":
        """Areas of a window."""
        rows, columns = window.slices()
        return PixelAreas(self.rows[rows], self.columns[columns])

    def at(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float64]:
        """Hectares of some pixels by their rows and columns: float64 (n,)."""
        return np.asarray(self.rows[rows] * self.columns[columns])

    def table(self) -> NDArray[np.float64]:
        """Hectares of every pixel: float64 (height, width)."""
        return np.outer(self.rows, self.columns)


def edge_of(tags: Mapping[str, str], path: Path) -> tuple[float, float]:
    """How much of the last row and of the last column of a product lies inside its scene, 0..1.

    Raises:
        InputError: The tag is damaged.
    """
    try:
        last_row, last_column = map(float, tags.get(EDGE_TAG, "1,1").split(","))
    except ValueError:
        last_row = last_column = 0.0
    if not (0 < last_row <= 1 and 0 < last_column <= 1):
        raise InputError(f"{path} has an invalid tag {EDGE_TAG}", "make the map again")
    return last_row, last_column


def edge_tag(edge: tuple[float, float]) -> str:
    """The text of the tag."""
    return "{:.6g},{:.6g}".format(*edge)


def class_areas(product: Path, within: Path | None = None) -> tuple[ClassArea, ...]:
    """Count the pixels and hectares of every class of a product, in the order of its legend.

    Each row of pixels counts with its own ground area, so degrees and Web Mercator are right too. Pixels that reach
    beyond their scene (of `lulc patches predict --grid`) count with the fraction inside it.

    Args:
        product: A product of lulc.
        within: Another product on the same ground; only pixels where it has data count too. Without a CRS it has the
            same rows and columns.

    Raises:
        InputError: It is no product of lulc, or its pixels or tags break the format.
        StorageError: A block cannot be read.
    """
    with open_product(product) as source, _codes_of(within or product, source.grid) as also:
        areas = PixelAreas.of(source.grid, edge_of(source.tags, path=product))
        pixels = np.zeros(len(source.legend), np.int64)
        hectares = np.zeros(len(source.legend))
        for window in source.block_rows():
            codes = source.classes(window)
            if within is not None:
                codes[also(window) == NODATA_CODE] = NODATA_CODE
            for position, entry in enumerate(source.legend):
                here = codes == entry.code
                per_row = np.count_nonzero(here, axis=1)
                pixels[position] += per_row.sum()
                inside = per_row - (1 - areas.columns[-1]) * here[:, -1]
                hectares[position] += inside @ areas.rows[window.row : window.row_end]
        valid = max(int(pixels.sum()), 1)
        return tuple(
            ClassArea(
                entry.code,
                entry.name,
                int(count),
                float(area) if np.isfinite(area) else None,
                float(count / valid),
            )
            for entry, count, area in zip(source.legend, pixels, hectares, strict=True)
        )


def code_shares(product: Path, band: ExtraBand) -> dict[str, float]:
    """Shares of the valid pixels of a product with each code of a band, 0..1, by its name.

    Args:
        product: A product of lulc that has the band.
        band: A band of codes with names.

    Raises:
        InputError: It is no product of lulc.
        StorageError: A block cannot be read.
    """
    counts = np.zeros(NODATA_CODE + 1, np.int64)
    with open_product(product) as source:
        for window in source.block_rows():
            codes = source.band(band.name, window).astype(np.uint8, copy=False)
            counts += np.bincount(codes.ravel(), minlength=counts.size)
    valid = max(int(counts[:NODATA_CODE].sum()), 1)
    return {name: float(counts[code] / valid) for code, name in band.names}


@contextmanager
def _codes_of(product: Path, grid: Grid) -> Iterator[Callable[[Window], NDArray[np.uint8]]]:
    """Reads class codes of a product on a grid, by window: uint8 (height, width), 255 nodata."""
    with open_product(product) as opened:
        if grid.crs is None or grid.same_as(opened.grid):
            yield opened.classes
        else:
            yield ProductOnGrid(product, opened.legend, opened.grid, grid).classes
