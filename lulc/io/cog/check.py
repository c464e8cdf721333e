"""Check that a GeoTIFF is cloud-optimised, from its directories alone; no pixel is decoded."""

from pathlib import Path
from typing import Any

import rasterio

_LARGEST_UNTILED = 512


def cog_problems(path: Path) -> list[str]:
    """List the reasons why a GeoTIFF is not a valid Cloud-Optimised GeoTIFF; empty when it is one.

    The rules are those of GDAL's validator. The file is tiled, has overviews above 512 pixels a side, has every
    directory before the pixels, and has the pixels of smaller overviews before those of larger ones.

    Args:
        path: A readable GeoTIFF.
    """
    with rasterio.open(path, driver="GTiff") as dataset:
        large = max(dataset.shape) > _LARGEST_UNTILED
        problems = []
        if large and not dataset.profile.get("tiled"):
            problems.append("it is not tiled")
        if large and not dataset.overviews(1):
            problems.append("it has no overviews")
        return problems + _order_problems(dataset)


def _order_problems(dataset: Any) -> list[str]:  # noqa: ANN401 - rasterio is untyped
    levels = [None, *range(len(dataset.overviews(1)))]
    directories = [_number(dataset, "IFD_OFFSET", level) for level in levels]
    blocks = [_number(dataset, "BLOCK_OFFSET_0_0", level) for level in levels]
    problems = []
    if directories != sorted(directories):
        problems.append("its directories are not in order of size")
    if max(directories) > min((start for start in blocks if start), default=max(directories)):
        problems.append("pixels come before the last directory")
    if blocks != sorted(blocks, reverse=True):
        problems.append("pixels of a large overview come before those of a smaller one")
    return problems


def _number(dataset: Any, name: str, level: int | None) -> int:  # noqa: ANN401
    return int(dataset.get_tag_item(name, "TIFF", bidx=1, ovr=level) or 0)
