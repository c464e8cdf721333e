"""Write a heat map as a georeferenced raster: float32 GeoTIFF of one band, NaN where there is no data."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Grid
from lulc.io.stack.geotiff import StackLayout, geotiff_sink

BAND = "heat"
"""Name of the band."""

_BLOCK = 256


def write_heat_raster(
    path: Path,
    heat_yx: NDArray[np.float32],
    grid: Grid,
    title: str,
    tags: Mapping[str, str],
    *,
    overwrite: bool = False,
) -> None:
    """Write a heat map, published whole or not at all.

    Args:
        path: GeoTIFF to write.
        heat_yx: Heat, float32 (height, width), 0..1; NaN where there is no data.
        grid: Georeference, of the same size.
        title: Title of the band, such as `Grad-CAM of crops`.
        tags: Provenance, stored with the file.
        overwrite: Replace an existing file.

    Raises:
        StorageError: The file exists and may not be replaced, or cannot be written.
    """
    layout = StackLayout(grid, {BAND: title}, tags, sources=False, chunk=_BLOCK)
    with geotiff_sink(path, layout, overwrite=overwrite) as sink:
        sink.write(grid.window, heat_yx[None], np.ones(heat_yx.shape, np.uint8))
