"""Settings of the GDAL library for the length of a run."""

from collections.abc import Iterator
from contextlib import contextmanager

import rasterio


@contextmanager
def gdal_cache(size: int) -> Iterator[None]:
    """Bound GDAL's block cache, which otherwise takes a twentieth of the machine's memory.

    Args:
        size: Bytes. The cache is one for all threads of the process.
    """
    with rasterio.Env(GDAL_CACHEMAX=size):
        yield
