"""Opening rasters on a disk that fails: GDAL opens a file without the tags that it could not read, and says so in its log."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rasterio.errors import NotGeoreferencedWarning, RasterioError

from lulc.io.files.gdal_errors import LoggedGdalError, raise_logged_errors
from lulc.io.files.tries import TRIES, tried

Opened = TypeVar("Opened", bound=Any)

_PIECE = 1 << 20
_MOST_PIECES = 256
"""Of each end of a file that are read to find out whether its disk fails; a header lies at one of them."""

_log = logging.getLogger(__name__)


def opened(open_file: Callable[[], Opened], path: Path) -> Opened:
    """A raster with all of its header: opened again while some of it cannot be read.

    Without its tags a file would have another nodata value, another offset, or no legend.

    Args:
        open_file: Opens it through rasterio.
        path: The file, or what holds it.

    Raises:
        StorageError: Its disk fails.
        RasterioError, LoggedGdalError: It is damaged.
    """
    for _ in range(1, TRIES if path.is_file() else 1):
        try:
            return _whole(open_file)
        except (RasterioError, LoggedGdalError) as error:
            _log.info("opening again: %s: %s", path, error)
    check_readable(path)
    with raise_logged_errors():
        return _scanned(open_file)


def check_readable(path: Path) -> None:
    """Read the beginning and the end of a file: what fails there is its disk, and not what the file holds.

    Raises:
        StorageError: A read fails.
    """
    if path.is_file():
        tried(lambda: _read_ends(path), path)


def _whole(open_file: Callable[[], Opened]) -> Opened:
    """A raster of whose header everything was read."""
    dataset = None
    try:
        with raise_logged_errors(logging.WARNING, lost_tags=True):
            dataset = _scanned(open_file)
    except LoggedGdalError:
        if dataset is not None:
            dataset.close()
        raise
    return dataset


def _scanned(open_file: Callable[[], Opened]) -> Opened:
    """A raster whose directories were all read: GDAL puts that off, and ends the process when it fails later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the grid says so itself
        dataset = open_file()
    dataset.mask_flag_enums  # noqa: B018 - reads them
    return dataset


def _read_ends(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        for start in {0, max(0, size - _MOST_PIECES * _PIECE)}:
            file.seek(start)
            for _ in range(_MOST_PIECES):
                if not file.read(_PIECE):
                    break
