"""Areas of the classes of a map, as counted.

A count of pixels is not an estimate of area: it carries the map's errors. An unbiased estimate needs a reference
sample.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lulc.errors import InputError
from lulc.io.product.reader import ProductReader, open_product


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


def class_areas(product: Path) -> tuple[ClassArea, ...]:
    """Count the pixels and hectares of every class of a product, in the order of its legend.

    Each row of pixels counts with its own ground area, so degrees and Web Mercator are right too. Pixels that reach
    beyond their scene (of `lulc patches predict --grid`) count with the fraction inside it.

    Args:
        product: A product of lulc.

    Raises:
        InputError: It is no product of lulc, or its pixels or tags break the format.
        StorageError: A block cannot be read.
    """
    with open_product(product) as source:
        last_row, last_column = _edge(source)
        per_pixel = source.grid.pixel_areas_ha()
        per_pixel[-1] *= last_row
        pixels = np.zeros(len(source.legend), np.int64)
        hectares = np.zeros(len(source.legend))
        for window in source.block_rows():
            codes = source.classes(window)
            for position, entry in enumerate(source.legend):
                here = codes == entry.code
                per_row = np.count_nonzero(here, axis=1)
                pixels[position] += per_row.sum()
                inside = per_row - (1 - last_column) * here[:, -1]
                hectares[position] += inside @ per_pixel[window.row : window.row_end]
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


def _edge(source: ProductReader) -> tuple[float, float]:
    try:
        last_row, last_column = map(float, source.tags.get(EDGE_TAG, "1,1").split(","))
    except ValueError as error:
        raise InputError(f"{source.path} has an invalid tag {EDGE_TAG}", "make the map again") from error
    return last_row, last_column
