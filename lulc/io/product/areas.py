"""Areas of the classes of a map, as counted.

A count of pixels is not an estimate of area: it carries the map's errors. An unbiased estimate needs a reference
sample.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Grid, Window
from lulc.io.product.bands import CLOUDS
from lulc.io.product.maps import ClassMap
from lulc.io.product.on_grid import ProductOnGrid
from lulc.io.product.reader import ProductReader, open_product
from lulc.legend import NODATA_CODE


@dataclass(frozen=True, slots=True)
class ClassArea:
    """Pixels and area of one class in a map, as counted; also those under clouds, or under shadows.

    Attributes:
        code: Class code, or position in `SKY`.
        name: Class name, or that of the sky.
        pixels: Number of its pixels.
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


SLACK = 1e-9
"""Of sums of areas: fifty pixels of 0.01 ha are half a hectare, whatever the last digit says."""

_CODES = 256

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

        def codes_of(window: Window) -> NDArray[np.uint8]:
            codes = source.classes(window)
            if within is not None:
                codes[also(window) == NODATA_CODE] = NODATA_CODE
            return codes

        return _areas(source, _named(source), codes_of)


def areas_of_classes(source: ClassMap) -> tuple[ClassArea, ...]:
    """Count the pixels and hectares of every class of an open map, as `class_areas` does.

    Raises:
        InputError: Its pixels or tags break the format.
        StorageError: A block cannot be read.
    """
    return _areas(source, _named(source), source.classes)


def sky_areas(product: Path) -> tuple[ClassArea, ...]:
    """Count the pixels and hectares of a product that are clear, under clouds and under shadows, in the order of `SKY`.

    Args:
        product: A product of lulc.

    Returns:
        Nothing for a product without the band `clouds`.

    Raises:
        InputError: It is no product of lulc, or its pixels or tags break the format.
        StorageError: A block cannot be read.
    """
    with open_product(product) as source:
        return areas_of_sky(source)


def areas_of_sky(source: ClassMap) -> tuple[ClassArea, ...]:
    """The same for an open map."""
    if not isinstance(source, ProductReader) or not source.flags_clouds:
        return ()
    return _areas(source, CLOUDS.names, source.sky)


def area_of_unfamiliar(source: ClassMap) -> ClassArea | None:
    """Pixels and hectares of an open map that are unlike the training of its model; None for one that does not tell."""
    if not isinstance(source, ProductReader) or not source.flags_unfamiliar:
        return None

    def codes_of(window: Window) -> NDArray[np.uint8]:
        codes = source.unfamiliar(window).astype(np.uint8)
        codes[source.classes(window) == NODATA_CODE] = NODATA_CODE
        return codes

    return _areas(source, ((0, "familiar"), (1, "unfamiliar")), codes_of)[1]


def _named(source: ClassMap) -> list[tuple[int, str]]:
    return [(entry.code, entry.name) for entry in source.legend]


def _areas(
    source: ClassMap, names: Sequence[tuple[int, str]], codes_of: Callable[[Window], NDArray[np.uint8]]
) -> tuple[ClassArea, ...]:
    """Areas of some codes, uint8 (height, width), 255 nodata, that are read by window."""
    areas = PixelAreas.of(source.grid, edge_of(source.tags, path=source.path))
    pixels, hectares = np.zeros(len(names), np.int64), np.zeros(len(names))
    for window in source.block_rows():
        codes = codes_of(window)
        counts, rows_ha = _counts(codes), areas.rows[window.row : window.row_end]
        for position, (code, _) in enumerate(names):
            per_row = np.ascontiguousarray(counts[:, code])
            pixels[position] += per_row.sum()
            inside = per_row - (1 - areas.columns[-1]) * (codes[:, -1] == code)
            hectares[position] += inside @ rows_ha
    valid = max(int(pixels.sum()), 1)
    return tuple(
        ClassArea(code, name, int(count), float(area) if np.isfinite(area) else None, float(count / valid))
        for (code, name), count, area in zip(names, pixels, hectares, strict=True)
    )


def _counts(codes: NDArray[np.uint8]) -> NDArray[np.intp]:
    """How often each row has each code: (height, 256)."""
    return np.stack([np.bincount(row, minlength=_CODES) for row in codes])


@contextmanager
def _codes_of(product: Path, grid: Grid) -> Iterator[Callable[[Window], NDArray[np.uint8]]]:
    """Reads class codes of a product on a grid, by window: uint8 (height, width), 255 nodata."""
    with open_product(product) as opened:
        if grid.crs is None or grid.same_as(opened.grid):
            yield opened.classes
        else:
            yield ProductOnGrid(product, opened.legend, opened.grid, grid).classes
