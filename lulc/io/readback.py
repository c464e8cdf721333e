"""Reading a finished product back through GDAL, every pixel of every level, before it is published."""

import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from lulc.errors import StorageError
from lulc.grid import Window
from lulc.io.cog import CogLayout

Checksum = Callable[[int, int, int], int]
"""Expected CRC-32 of a tile by level, tile row and tile column."""


def pixels_checksum(data_byx: NDArray[Any]) -> int:
    """CRC-32 of a tile's pixels inside the scene, band after band."""
    checksum = 0
    for band in data_byx:
        checksum = zlib.crc32(np.ascontiguousarray(band).data, checksum)
    return checksum


def read_back(path: Path, layout: CogLayout, expected: Checksum, pool: Executor) -> int:
    """Compare every tile with what was to be written.

    Args:
        path: The file.
        layout: Its geometry.
        expected: Checksums taken before compression.
        pool: Checksums are computed here while the next tile is read.

    Returns:
        Number of blocks read: tiles times bands.

    Raises:
        StorageError: A block cannot be read or holds other pixels.
    """
    return layout.bands * sum(_read_level(path, layout, level, expected, pool) for level in layout.levels)


def _read_level(path: Path, layout: CogLayout, level: int, expected: Checksum, pool: Executor) -> int:
    options = {"overview_level": level - 1} if level else {}
    tiles = layout.tiles(level)
    strips = max(1, min(4, tiles.height))
    rows = [range(start, tiles.height, strips) for start in range(strips)]
    list(pool.map(lambda mine: _read_rows(path, layout, level, mine, expected, options), rows))
    return tiles.size


def _read_rows(
    path: Path, layout: CogLayout, level: int, rows: range, expected: Checksum, options: dict[str, int]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
