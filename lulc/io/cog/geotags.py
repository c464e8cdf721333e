"""Georeference and metadata tags of a TIFF, made by GDAL and read out of a one-pixel template.

GeoTIFF keys, pixel-is-point shifts, control points, RPCs and GDAL's metadata are subtle. None is written by hand here.
"""

import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from lulc.grid import Grid
from lulc.io.cog.assembly import GeoTag
from lulc.io.files.gdal import georeference

GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, 50844)
"""Pixel scale, tie points, transformation, GeoKeys (3), GDAL metadata, GDAL nodata, RPC coefficients."""

_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 11: 4, 12: 8}
_INLINE = 4


@dataclass(frozen=True)
class BandInfo:
    """Metadata of a band.

    Attributes:
        description: Name of the band.
        scale: Factor from stored numbers to values.
        offset: Added to the scaled numbers.
        unit: Unit of the values.
    """

    description: str
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""


def geo_tags(
    grid: Grid, bands: Sequence[BandInfo], *, dtype: str, nodata: float, tags: Mapping[str, str]
) -> dict[int, GeoTag]:
    """Georeference and metadata tags of a GeoTIFF on `grid`.

    Args:
        grid: Source of CRS, transform, ground control points, RPCs and pixel-is-point; its shape is ignored.
        bands: Description, scale, offset and unit of each band.
        dtype: Sample type by its numpy name, such as `uint8`.
        nodata: Value of pixels without data.
        tags: Dataset metadata.

    Returns:
        Content of each tag of `GEO_TAGS` that this raster has, by tag number.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        template = _template(grid, bands, dtype, nodata, tags)
    return {tag: value for tag, value in _parse(template).items() if tag in GEO_TAGS}


def _template(grid: Grid, bands: Sequence[BandInfo], dtype: str, nodata: float, tags: Mapping[str, str]) -> bytes:
    profile: dict[str, Any] = {"driver": "GTiff", "dtype": dtype, "count": len(bands), "nodata": nodata}
    profile |= georeference(grid)
    if grid.rpcs is not None:
        profile["rpcs"] = grid.rpcs
    with MemoryFile() as memory:
        with rasterio.open(memory.name, "w", width=1, height=1, **profile) as template:
            template.update_tags(**dict(sorted(tags.items())))
            if grid.point:
                template.update_tags(AREA_OR_POINT="Point")
            template.descriptions = [band.description for band in bands]
            template.scales = [band.scale for band in bands]
            template.offsets = [band.offset for band in bands]
            template.units = [band.unit for band in bands]
        return bytes(memory.read())


def _parse(tiff: bytes) -> dict[int, GeoTag]:
    """Tags of the first directory of a classic little-endian TIFF."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, start)
    found: dict[int, GeoTag] = {}
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from("<HHI", tiff, entry)
        length = values * _VALUE_BYTES.get(kind, 0)
        where = entry + 8 if length <= _INLINE else struct.unpack_from("<I", tiff, entry + 8)[0]
        found[tag] = GeoTag(kind, values, tiff[where : where + length])
    return found
