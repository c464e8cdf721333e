"""What GDAL is told: the size of its cache for the length of a run, and the profile of a GeoTIFF to create."""

import errno
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from lulc.errors import InputError
from lulc.grid import Grid, Window
from lulc.io.files.georeference import same_place

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_MOST_HEARD = 1 << 20


def gdal_cache(size: int) -> rasterio.Env:
    """Bound GDAL's block cache, which otherwise takes a twentieth of the machine's memory, inside a `with` block.

    Args:
        size: Bytes. The cache is one for all threads of the process.
    """
    return rasterio.Env(GDAL_CACHEMAX=size)


@contextmanager
def libtiff_heard() -> Iterator[None]:
    """Raise what libtiff prints when it cannot write, inside a `with` block that writes or closes a GeoTIFF.

    GDAL tells that a write failed and not why; libtiff prints why to standard error, past all handlers.

    Raises:
        OSError: The disk is full or refuses, with the number that says so.
    """
    sys.stderr.flush()
    with _standard_error_in_memory() as heard:
        try:
            yield
        except RasterioError as error:
            printed = heard()
            for number in _REFUSALS:
                if os.strerror(number).encode() in printed:
                    raise OSError(number, os.strerror(number)) from error
            raise


@contextmanager
def _standard_error_in_memory() -> Iterator[Callable[[], bytes]]:
    """Collects what this process prints to standard error; what is not libtiff's is printed at the end."""
    memory, shown = os.memfd_create("stderr"), os.dup(2)
    os.dup2(memory, 2)

    def heard() -> bytes:
        return os.pread(memory, _MOST_HEARD, 0)

    try:
        yield heard
    finally:
        os.dup2(shown, 2)
        others = [line for line in heard().splitlines(keepends=True) if not line.startswith(b"_tiff")]
        os.write(2, b"".join(others))
        os.close(shown)
        os.close(memory)


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


@contextmanager
def created_raster(path: Path, profile: Mapping[str, Any]) -> Iterator[Any]:
    """A new GeoTIFF, closed at the end of the block; write to it through `write_block`.

    Raises:
        OSError: The disk is full or refuses.
    """
    dataset = rasterio.open(path, "w", **profile)
    try:
        yield dataset
    finally:
        with libtiff_heard():
            dataset.close()


def write_block(dataset: Any, window: Window, planes: NDArray[Any], bands: Sequence[int] | None = None) -> None:  # noqa: ANN401
    """Write planes (bands, height, width) to a window of bands, counted from 1; of all bands if None.

    Raises:
        OSError: The disk is full or refuses.
    """
    with libtiff_heard():
        dataset.write(planes, list(bands) if bands else None, window=window.for_rasterio())
