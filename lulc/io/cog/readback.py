"""Read a finished product back through GDAL, every pixel of every level, before it is published."""

import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from lulc.errors import StorageError
from lulc.io.cog.assembly import CogLayout

Checksum = Callable[[int, int, int], int]
"""Expected CRC-32 of a tile by level, tile row and tile column."""


def pixels_checksum(data_byx: NDArray[Any]) -> int:
    """CRC-32 of the pixels of a tile that lie inside the scene, band after band.

    Args:
        data_byx: (bands, height, width) of any dtype.
    """
    checksum = 0
    for band in data_byx:
        checksum = zlib.crc32(np.ascontiguousarray(band).data, checksum)
    return checksum


def read_back(path: Path, layout: CogLayout, expected: Checksum, threads: int = 2) -> int:
    """Compare every tile of a file with the checksum of the pixels that were encoded.

    Args:
        path: The file.
        layout: Geometry of the file.
        expected: Checksums taken before compression.
        threads: Number of tile rows read at once.

    Returns:
        Number of blocks read: tiles times bands.

    Raises:
        StorageError: A block cannot be read or holds other pixels.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, "readback") as pool:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for level in layout.levels:
            read = partial(_read_rows, path, layout, level, expected)
            list(pool.map(read, [range(start, layout.tiles(level).height, threads) for start in range(threads)]))
    return layout.bands * sum(layout.tiles(level).size for level in layout.levels)


def _read_rows(path: Path, layout: CogLayout, level: int, expected: Checksum, rows: range) -> None:
    overview = {"overview_level": level - 1} if level else {}
    columns = range(layout.tiles(level).width)
    location = str(path)
    try:
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
            rasterio.open(path, driver="GTiff", **overview) as source,
        ):
            for row, col in ((row, col) for row in rows for col in columns):
                location = f"{path}, level {level}, tile row {row}, column {col}"
                window = layout.tile_window(level, row, col)
                pixels = source.read(window=window.for_rasterio())
                if pixels_checksum(pixels) != expected(level, row, col):
                    raise StorageError(
                        f"what was written reads back differently: {location}", "check the disk and run again"
                    )
    except RasterioError as error:
        raise StorageError(
            f"what was written cannot be read back: {location}: {error}", "check the disk and run again"
        ) from error
