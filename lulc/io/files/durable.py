"""Files that are whole or absent: written beside their name, flushed to the disk, then renamed."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lulc.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def storage_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn an operating system's refusal into a `StorageError` that names the file and the remedy.

    Args:
        path: What is being read or written.
        needed: Bytes that the writing takes, where known.

    Raises:
        StorageError: In place of any OSError raised inside.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, path, needed) from error


def storage_error(error: OSError, path: Path, needed: int | None = None) -> StorageError:
    """The `StorageError` that says what an OSError on `path` means for the user."""
    if error.errno in _FULL:
        wanted = f"{megabytes(needed)} needed, " if needed is not None else ""
        return StorageError(
            f"the disk is full while writing {path}: {wanted}{megabytes(free_bytes(path))} free",
            "free some space and run the same command again",
        )
    if error.errno in _FORBIDDEN:
        return StorageError(f"cannot write {path}: {error.strerror}", "choose a folder that you may write to")
    if error.errno == errno.ENOENT:
        return StorageError(f"cannot write {path}: its folder does not exist", "make the folder first")
    return StorageError(f"cannot read or write {path}: {error.strerror or error}", "check the disk and the path")


def free_bytes(path: Path) -> int:
    """Bytes that a user may still write on the disk of `path`, or of its nearest existing folder."""
    for place in (path, *path.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(place).free
    return 0


def megabytes(count: int) -> str:
    """Bytes for people, in decimal megabytes or gigabytes."""
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.1f} MB"


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(finished: Path, target: Path) -> None:
    """Give a flushed file its final name, replacing what bears it; both lie on one disk."""
    finished.replace(target)
    sync_folder(target.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a whole, flushed file a second name; a copy where the disk has no hard links, or on another disk."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        write_whole(target, source.read_bytes())


def write_whole(path: Path, *parts: bytes, beside: Path | None = None) -> None:
    """Write a file so that its name never holds a part of it, not even after a power cut.

    Args:
        path: Final name; what bears it is replaced.
        parts: Content, one piece after the other.
        beside: Folder for the unfinished file, on the same disk; the folder of `path` if None.

    Raises:
        StorageError: The disk is full or refuses; nothing is left behind.
    """
    unfinished = (beside or path.parent) / f"{path.name}.part"
    try:
        with storage_errors(path, sum(map(len, parts))):
            with unfinished.open("wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            publish(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
