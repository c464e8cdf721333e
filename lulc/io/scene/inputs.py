"""From what the user named to sources: which kind of input each path is."""

import logging
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from lulc.bands import sensor
from lulc.errors import InputError, raised_as
from lulc.io.files.names import refuse_undecodable
from lulc.io.files.outputs import READ_WITH
from lulc.io.scene.array_source import ArraySource, is_array
from lulc.io.scene.cube.kind import is_cube
from lulc.io.scene.maja import is_maja, open_maja
from lulc.io.scene.quality import quality_name
from lulc.io.scene.raster import open_raster, sniff
from lulc.io.scene.safe import is_safe, open_safe
from lulc.io.scene.source import Source, canonical_name, closed_on_error
from lulc.io.scene.stac import is_item, open_item

_log = logging.getLogger(__name__)


def open_sources(paths: list[Path], date: str | None = None) -> list[Source]:
    """Sources of one scene.

    Args:
        paths: What the user gave.
        date: Date to take of a cube that holds several.

    Raises:
        InputError: A path that is not there or not of a known kind, or a date that it does not hold.
    """
    opened: list[Source] = []
    with closed_on_error(opened):
        for path in paths:
            opened += _open(path, date)
    return opened


def _open(path: Path, date: str | None) -> list[Source]:
    if is_item(path):
        return list(open_item(path))
    if not path.exists():
        raise InputError(
            f"no such file: {path}",
            "give a local path or the address of a STAC Item; GDAL's virtual names are not opened",
        )
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{path} is neither a file nor a folder", "give a raster file or a folder of band files")
    refuse_undecodable(path)
    with raised_as(InputError, f"{path} may not be read", "check its permissions", PermissionError):
        return list(_by_kind(path, date))


def _by_kind(path: Path, date: str | None) -> list[Source]:
    if is_cube(path):
        from lulc.io.scene.cube.cube import open_cube

        return list(open_cube(path, date))
    if date is not None:
        raise InputError(f"{path} is no cube of several dates", "leave --date out")
    for is_kind, open_kind in _READERS:
        if is_kind(path):
            return list(open_kind(path))
    if zipfile.is_zipfile(path):
        raise InputError(f"{path} is a zip without Sentinel-2 metadata", "unpack it, or give a SAFE archive")
    return [open_raster(path)]


def _band_files(folder: Path) -> list[Source]:
    """A folder with one raster per band."""
    files = [
        entry
        for entry in sorted(folder.iterdir())
        if entry.is_file() and not entry.name.lower().endswith(READ_WITH) and sniff(entry) is not None
    ]
    if not files:
        raise InputError(
            f"{folder} holds no raster files", "give a folder of band files, a SAFE product or a Zarr group"
        )
    sources = [source for file in files for source in (open_safe(file) if is_safe(file) else [open_raster(file)])]
    used = [
        source
        for source in sources
        if any(canonical_name(label, sensor()) or quality_name(label) for label in source.labels)
    ]
    for source in sources:
        if used and source not in used:
            _log.warning("%s is not used: it names no band", source.origin.path)
            source.close()
    return list(used or sources)


_READERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Iterable[Source]]], ...] = (
    (is_safe, open_safe),
    (is_maja, open_maja),
    (Path.is_dir, _band_files),
    (is_array, lambda path: [ArraySource(path)]),
)
"""How a kind of input is told, and who reads it; the first that fits counts."""
