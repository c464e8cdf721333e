"""A scene as one GeoTIFF: digital numbers as they came, named bands, and the tags by which lulc reads them right."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from lulc.errors import StorageError
from lulc.grid import Grid, Window
from lulc.io.files.atomic import staged
from lulc.io.files.gdal import created_raster, tiled_profile, write_block
from lulc.io.stack.geotiff import check_blocks

FETCH_KEY = "LULC_FETCH"
"""Tag that says which item, area and bands a file was made of."""

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class SceneLayout:
    """What a scene file holds.

    Attributes:
        grid: Grid of every band.
        names: Bands, in order.
        tags: Of the file.
        band_tags: Of single bands, by name.
    """

    grid: Grid
    names: Sequence[str]
    tags: Mapping[str, str]
    band_tags: Mapping[str, Mapping[str, str]]


SceneSink = Callable[[Window, NDArray[np.uint16]], None]
"""Stores one block of a scene: digital numbers (band, row, column), 0 for no data."""


@contextmanager
def scene_sink(target: Path, layout: SceneLayout, *, overwrite: bool = False) -> Iterator[SceneSink]:
    """A sink for a tiled uint16 GeoTIFF with nodata 0, published when the block ends well.

    Raises:
        StorageError: The target cannot be written; nothing is left there.
    """
    creation = {"interleave": "band", "compress": "deflate", "predictor": 2, "bigtiff": "IF_SAFER"}
    profile = tiled_profile(layout.grid, len(layout.names), "uint16", _BLOCK, nodata=0, **creation)
    with staged(target, overwrite=overwrite) as temporary:
        with created_raster(temporary, profile) as dataset:
            dataset.descriptions = tuple(layout.names)
            dataset.update_tags(**layout.tags)
            for number, name in enumerate(layout.names, start=1):
                dataset.update_tags(number, **layout.band_tags.get(name, {}))

            def write(window: Window, planes: NDArray[np.uint16]) -> None:
                write_block(dataset, window, planes)

            yield write
        check_blocks(temporary)


def fetch_key(path: Path) -> str | None:
    """What a scene file says it was made of; None when it is not one, or cannot be opened."""
    try:
        with rasterio.open(path, driver="GTiff") as dataset:
            key = dataset.tags().get(FETCH_KEY)
            return None if key is None else str(key)
    except (RasterioError, OSError):
        return None


def is_whole(path: Path) -> bool:
    """True when every block of a scene file lies inside it: a cut file can be opened, but not read to its end."""
    try:
        check_blocks(path)
    except (StorageError, RasterioError, OSError, ValueError):
        return False
    return True
