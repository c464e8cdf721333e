"""What GDAL is told: the size of its cache for the length of a run, and the profile of a GeoTIFF to create."""

import warnings
from typing import Any

import rasterio
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from lulc.errors import InputError
from lulc.grid import Grid
from lulc.io.files.georeference import same_place


def gdal_cache(size: int) -> rasterio.Env:
    """Bound GDAL's block cache, which otherwise takes a twentieth of the machine's memory, inside a `with` block.

    Args:
        size: Bytes. The cache is one for all threads of the process.
    """
    return rasterio.Env(GDAL_CACHEMAX=size)


def georeference(grid: Grid) -> dict[str, Any]:
    """The part of a GeoTIFF's profile that says where it lies: its control points, else its transform.

    Raises:
        InputError: A GeoTIFF would not give the CRS back; it has no keys for a rotated pole, for instance.
    """
    stated = {"gcps": list(grid.gcps), "crs": grid.gcps_crs}
    profile = stated if grid.gcps else {"transform": grid.transform, "crs": grid.crs}
    if not same_place(grid, _read_back(profile)):
        raise InputError(
            f"a GeoTIFF cannot hold the CRS {str(profile['crs'])[:60]}",
            "warp the scene first, such as with gdalwarp -t_srs EPSG:32630",
        )
    return profile


def _read_back(profile: dict[str, Any]) -> CRS | None:
    """The CRS that a GeoTIFF of a profile gives back by itself, without files beside it."""
    with MemoryFile() as memory, warnings.catch_warnings(), rasterio.Env(GDAL_GEOREF_SOURCES="INTERNAL"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(memory.name, "w", driver="GTiff", count=1, dtype="uint8", width=1, height=1, **profile):
            pass
        with rasterio.open(memory.name, driver="GTiff") as written:
            return written.gcps[1] if "gcps" in profile else written.crs


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
