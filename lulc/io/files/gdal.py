"""What GDAL is told: the size of its cache for the length of a run, and the profile of a GeoTIFF to create."""

from typing import Any

import rasterio

from lulc.grid import Grid


def gdal_cache(size: int) -> rasterio.Env:
    """Bound GDAL's block cache, which otherwise takes a twentieth of the machine's memory, inside a `with` block.

    Args:
        size: Bytes. The cache is one for all threads of the process.
    """
    return rasterio.Env(GDAL_CACHEMAX=size)


def georeference(grid: Grid) -> dict[str, Any]:
    """The part of a profile that says where a raster lies: its control points, else its transform."""
    if grid.gcps:
        return {"gcps": list(grid.gcps), "crs": grid.gcps_crs}
    return {"transform": grid.transform, "crs": grid.crs}


def tiled_profile(grid: Grid, bands: int, dtype: str, block: int, **others: Any) -> dict[str, Any]:  # noqa: ANN401
    """Profile with which rasterio creates a tiled GeoTIFF on a grid.

    Args:
        grid: Georeference and size.
        bands: Number of bands.
        dtype: Sample type by its numpy name.
        block: Side of a block, pixels.
        others: Nodata value and creation options.
    """
    size = {"height": grid.shape.height, "width": grid.shape.width, "blockxsize": block, "blockysize": block}
    return {"driver": "GTiff", "tiled": True, "count": bands, "dtype": dtype, **size, **georeference(grid), **others}
