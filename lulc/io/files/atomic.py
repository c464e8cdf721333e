"""Outputs that are whole or absent: written under a hidden name, flushed to the disk, then renamed.

The hidden name is `.STEM.PID.partial.SUFFIX`. What a killed process leaves under it, the next one that writes the same
output removes.
"""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rasterio.errors import RasterioError

from lulc.errors import StorageError
from lulc.io.files.outputs import check_target
from lulc.io.files.storage import free_bytes, megabytes, storage_error

UNFINISHED_NAME = r"\..+\.\d+\.partial(\..+)?|.*\.part"
"""Pattern of the names of unfinished files, those of former versions too."""

_SIDECARS = (".aux.xml", ".ovr", ".msk")
"""What GDAL keeps beside a raster; of a former file they would give the new one wrong colours, statistics or pixels."""

_PROC = Path("/proc")


@contextmanager
def staged(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A hidden path beside `target` to write to, moved onto it when the block ends well and removed otherwise.

    The path has the target's suffix and does not exist yet; the block makes a file or a folder there. It is flushed
    to disk before it is moved.

    Args:
        target: Where the output belongs.
        overwrite: Replace an existing file or Zarr folder.

    Raises:
        StorageError: The target exists, its folder is missing or not writable, or writing failed.
    """
    check_target(target, overwrite=overwrite)
    with _unfinished(target, target.parent) as temporary:
        yield temporary
        _flush(temporary)
        check_target(target, overwrite=overwrite)  # another process may have been faster
        replaced = target.is_file()
        publish(temporary, target)
        for ending in _SIDECARS if replaced else ():
            target.with_name(target.name + ending).unlink(missing_ok=True)


def write_whole(path: Path, *parts: bytes, beside: Path | None = None) -> None:
    """Write a file so that its name never holds a part of it, not even after a power cut.

    Args:
        path: Final name; what bears it is replaced.
        parts: Content, one piece after the other.
        beside: Folder for the unfinished file, on the same disk; the folder of `path` if None.

    Raises:
        StorageError: The disk is full or refuses; nothing is left behind.
    """
    folder = beside or path.parent
    with _unfinished(path, folder, sum(map(len, parts))) as temporary:
        with suppress(OSError):
            (folder / f"{path.name}.part").unlink()  # so former versions called what a killed process left
        with temporary.open("xb") as file:
            file.writelines(parts)
        _flush(temporary)
        publish(temporary, path)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a whole, flushed file a second name; a copy where the disk has no hard links, or on another disk."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        write_whole(target, source.read_bytes())


def publish(finished: Path, target: Path) -> None:
    """Give a flushed file or folder its final name, replacing what bears it; both lie on one disk.

    An old folder is set aside first, and comes back when the new one cannot take its place.
    """
    if not (finished.is_dir() and target.is_dir()):
        os.replace(finished, target)  # noqa: PTH105 - the atomic call, by its name
    else:
        aside = target.with_name(f".{target.stem}.{os.getpid()}.old{target.suffix}")
        target.rename(aside)
        try:
            finished.rename(target)
        except OSError:
            aside.rename(target)
            raise
        _remove(aside)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    _sync(folder, os.O_DIRECTORY)


@contextmanager
def _unfinished(target: Path, folder: Path, needed: int | None = None) -> Iterator[Path]:
    """The hidden path of this process for a target, in a folder; what lies there is removed before and after."""
    with _write_errors(target, needed):
        _remove_orphans(target, folder)
        temporary = folder / f".{target.stem}.{os.getpid()}.partial{target.suffix}"
        _remove(temporary)
        try:
            yield temporary
        finally:
            with suppress(OSError):
                _remove(temporary)


def _remove_orphans(target: Path, folder: Path) -> None:
    """Remove what killed processes left half written for the same target."""
    for path in folder.glob(f".{glob.escape(target.stem)}.*.partial{glob.escape(target.suffix)}"):
        number = path.name[len(target.stem) + 2 :].partition(".")[0]
        if number.isdigit() and _is_over(int(number)):
            _remove(path)


def _is_over(process: int) -> bool:
    """True when a process has surely ended, also when nobody has asked how (a zombie)."""
    if not (_PROC / "self").exists():
        return False
    try:
        state = (_PROC / str(process) / "stat").read_bytes().rpartition(b")")[2].split()[0]
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return state in {b"Z", b"X"}


@contextmanager
def _write_errors(target: Path, needed: int | None) -> Iterator[None]:
    """Turn failures of the file system and of the format libraries into one StorageError that names the target."""
    try:
        yield
    except OSError as error:
        if not error.errno:
            raise _library_error(error, target) from error
        raise storage_error(error, target, needed) from error
    except (RasterioError, RuntimeError) as error:
        raise _library_error(error, target) from error


def _library_error(error: Exception, target: Path) -> StorageError:
    first = error.__cause__ or error
    reason = " ".join(str(first).split()) or type(first).__name__
    return StorageError(
        f"cannot write {target}: {reason}",
        f"{megabytes(free_bytes(target))} are free there; make room and run the same command again",
    )


def _flush(path: Path) -> None:
    for inside in (*path.rglob("*"), path) if path.is_dir() else (path,):
        _sync(inside)


def _sync(path: Path, flags: int = 0) -> None:
    handle = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Remove a file or a folder; of a link, the link alone."""
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    elif path.exists():
        os.truncate(path, 0)  # HDF5 keeps a file open that it could not finish, and with it the space
        path.unlink()
