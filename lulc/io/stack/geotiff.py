"""A stack of bands and indices as GeoTIFF: float32, NaN where there is no data, one band a channel."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from lulc.errors import StorageError
from lulc.grid import Grid, Window
from lulc.io.files.atomic import staged
from lulc.io.files.gdal import created_raster, tiled_profile, write_block

SOURCE = "source"
"""Name of the channel that records which input each pixel came from."""

SOURCE_TITLE = "input each pixel came from: 0 none, 1 first, 2 second, ..."

DATES_TITLE = "number of dates the median was taken of"

_BLOCK = 512
_SMALL_BLOCK = 256


@dataclass(frozen=True, slots=True)
class StackLayout:
    """What a stack file holds.

    Attributes:
        grid: Grid of every channel.
        titles: Channel name to what it is, in channel order.
        tags: Provenance, stored with the file.
        sources: True when the channel `source` follows: 0 none, 1 first input, 2 second, ...
        chunk: Side of the windows that are written, pixels; a multiple of 256.
        source_title: What the values of the channel `source` say.
    """

    grid: Grid
    titles: Mapping[str, str]
    tags: Mapping[str, str]
    sources: bool
    chunk: int
    source_title: str = SOURCE_TITLE

    @property
    def channels(self) -> dict[str, str]:
        """Name and title of every channel, `source` last."""
        return {**self.titles, **({SOURCE: self.source_title} if self.sources else {})}


StackSink = Callable[[Window, NDArray[np.float32], NDArray[np.uint8]], None]
"""Stores one block of a stack: planes (channel, row, column) with NaN for no data, source (row, column)."""


@contextmanager
def geotiff_sink(target: Path, layout: StackLayout, *, overwrite: bool = False) -> Iterator[StackSink]:
    """A sink for a tiled, band-interleaved GeoTIFF, published when the block ends well.

    Raises:
        StorageError: The target cannot be written; nothing is left there.
    """
    with staged(target, overwrite=overwrite) as temporary:
        with created_raster(temporary, _profile(layout)) as dataset:
            _describe(dataset, layout)

            def write(window: Window, planes: NDArray[np.float32], source: NDArray[np.uint8]) -> None:
                write_block(dataset, window, planes, range(1, len(planes) + 1))
                if layout.sources:
                    write_block(dataset, window, source.astype(np.float32)[None], [len(planes) + 1])

            yield write
        check_blocks(temporary)


def _profile(layout: StackLayout) -> dict[str, Any]:
    block = _SMALL_BLOCK if layout.chunk % _BLOCK else _BLOCK
    creation = {"interleave": "band", "compress": "zstd", "zstd_level": 1, "predictor": 3, "bigtiff": "IF_SAFER"}
    return tiled_profile(layout.grid, len(layout.channels), "float32", block, nodata=np.nan, **creation)


def _describe(dataset: Any, layout: StackLayout) -> None:  # noqa: ANN401 - rasterio is untyped
    dataset.update_tags(**layout.tags)
    if layout.grid.point:
        dataset.update_tags(AREA_OR_POINT="Point")
    if layout.grid.rpcs is not None:
        dataset.rpcs = layout.grid.rpcs
    for number, (name, title) in enumerate(layout.channels.items(), start=1):
        dataset.set_band_description(number, name)
        dataset.update_tags(number, long_name=title)


def check_blocks(path: Path) -> None:
    """Refuse a GeoTIFF with a block that was never stored: GDAL may report a full disk in its log alone.

    Raises:
        StorageError: A block is missing.
    """
    size = os.path.getsize(path)  # noqa: PTH202 - one call
    with rasterio.open(path, driver="GTiff") as dataset:
        for band in dataset.indexes:
            for (row, col), _ in dataset.block_windows(band):
                start = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
                length = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band)
                if not start or not length or int(start) + int(length) > size:
                    raise StorageError(f"cannot write {path.name}: a block is missing", "check the free space there")
