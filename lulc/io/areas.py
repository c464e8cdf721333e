"""Areas of the classes of a map, as counted.

A count of pixels is not an estimate of area: it carries the map's errors. An unbiased estimate needs a reference sample.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lulc.io.product_reader import open_product


@dataclass(frozen=True, slots=True)
class ClassArea:
    """What a class covers in the map.

    Attributes:
        code: Class code.
        name: Class name.
        pixels: Pixels of that code.
        hectares: Their ground area, None where the CRS does not give one.
        share: Share of the pixels that have data.
    """

    code: int
    name: str
    pixels: int
    hectares: float | None
    share: float


def class_areas(product: Path) -> tuple[ClassArea, ...]:
    """Pixels and hectares of every class of a product, in the order of its legend.

    Each row of pixels counts with its own ground area, so degrees and Web Mercator are right too.
    """
    with open_product(product) as source:
        per_pixel = source.grid.pixel_areas_ha()
        pixels = np.zeros(len(source.legend), np.int64)
        hectares = np.zeros(len(source.legend))
        for window in source.block_rows():
            codes = source.classes(window)
            for position, entry in enumerate(source.legend):
                per_row = np.count_nonzero(codes == entry.code, axis=1)
                pixels[position] += per_row.sum()
                hectares[position] += per_row @ per_pixel[window.row : window.row_end]
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
