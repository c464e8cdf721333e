"""Outputs that are whole or absent: written in a hidden folder, flushed to the disk, then renamed.

    .NAME.RANDOM.partial/       beside the output; made by one process, which alone may enter it
    .NAME.RANDOM.partial/lock   held (flock) by that process, in whatever container or on whatever machine
    .NAME.RANDOM.partial/NAME   the unfinished output

The next process that writes the same output removes such folders whose lock nobody holds: their processes were killed.
Nothing else is ever removed, and no link is followed.
"""

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rasterio.errors import RasterioError

from lulc.errors import StorageError
from lulc.io.files.lock import HeldError, NoLocksError, take_lock
from lulc.io.files.outputs import READ_WITH, check_target
from lulc.io.files.storage import library_error, storage_error, storage_errors

UNFINISHED_NAME = r"\..+\.[0-9a-f]{16}\.partial"
"""Pattern of the names of folders with an unfinished output."""

_LOCK = "lock"
_MOST_NAME_BYTES = 220
"""Of an output's name in the name of its hidden folder, which is 26 bytes longer; a disk takes 255."""

_SIDECARS = (".aux.xml", *READ_WITH)
"""What GDAL keeps beside a raster; of a former file they would give the new one wrong colours, statistics or pixels."""


@contextmanager
def staged(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A hidden path beside `target` to write to, moved onto it when the block ends well and removed otherwise.

    The path has the target's name and does not exist yet; the block makes a file or a folder there. It is flushed
    to disk before it is moved. Of two processes with the same target each has a path of its own.

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
        publish(temporary, target)
        for ending in _SIDECARS if overwrite else ():
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


def append_line(path: Path, line: str) -> None:
    """Add a line to a file of lulc's, made when it is not there; a link is not followed.

    Raises:
        StorageError: It is a link, or the disk is full or refuses.
    """
    with storage_errors(path):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def publish(finished: Path, target: Path) -> None:
    """Give a flushed file or folder its final name, replacing what bears it; both lie on one disk.

    An old folder is set aside first, and comes back when the new one cannot take its place.
    """
    if not (finished.is_dir() and target.is_dir()):
        os.replace(finished, target)  # noqa: PTH105 - the atomic call, by its name
    else:
        aside = target.with_name(f".{target.stem}.{secrets.token_hex(8)}.old{target.suffix}")
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


def remove_orphan(folder: Path) -> None:
    """Remove a hidden folder of this module that no process holds; a link and what somebody else made stay."""
    if not re.fullmatch(UNFINISHED_NAME, folder.name) or folder.is_symlink() or not folder.is_dir():
        return
    if not (folder / _LOCK).exists():
        with suppress(OSError):
            folder.rmdir()  # its process was killed before or after all else
        return
    with suppress(OSError, StorageError):
        handle = take_lock(folder / _LOCK)
        try:
            _remove_own(folder)
        finally:
            os.close(handle)


@contextmanager
def _unfinished(target: Path, folder: Path, needed: int | None = None) -> Iterator[Path]:
    """The path of this process for a target, in a hidden folder that is removed at the end."""
    with _write_errors(target, needed):
        shown = os.fsdecode(os.fsencode(target.name)[:_MOST_NAME_BYTES])
        for path in folder.iterdir():
            if path.name.startswith(f".{shown}."):
                remove_orphan(path)
        own, handle = _own_folder(folder, shown)
        try:
            yield own / target.name
        finally:
            with suppress(OSError):
                _remove_own(own)
            if handle is not None:
                os.close(handle)


def _own_folder(folder: Path, name: str) -> tuple[Path, int | None]:
    """A new hidden folder, and the handle that holds its lock; None where the disk gives none, and nobody cleans up."""
    while True:
        own = folder / f".{name}.{secrets.token_hex(8)}.partial"
        own.mkdir(0o700)
        try:
            return own, take_lock(own / _LOCK)
        except NoLocksError:
            return own, None
        except (FileNotFoundError, HeldError):
            continue  # another process took it for an orphan before it was locked


def _remove_own(folder: Path) -> None:
    """Remove a hidden folder whose lock is held; the lock last, so that a kill leaves what can be removed."""
    for path in folder.iterdir():
        if path.name != _LOCK:
            _remove(path)
    (folder / _LOCK).unlink(missing_ok=True)
    folder.rmdir()


@contextmanager
def _write_errors(target: Path, needed: int | None) -> Iterator[None]:
    """Turn failures of the file system and of the format libraries into one StorageError that names the target."""
    try:
        yield
    except OSError as error:
        if not error.errno:
            raise library_error(error, target) from error
        raise storage_error(error, target, needed) from error
    except (RasterioError, RuntimeError) as error:
        raise library_error(error, target) from error


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
    kind = path.lstat().st_mode
    if stat.S_ISDIR(kind):
        shutil.rmtree(path, ignore_errors=True)
        return
    if stat.S_ISREG(kind):
        with suppress(OSError):
            _empty(path)
    path.unlink()


def _empty(path: Path) -> None:
    """Free the space of a file that has no other name: HDF5 keeps a file open that it could not finish."""
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_nlink == 1:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)
