"""What a disk refuses, said with its remedy; the room that is left on it."""

import errno
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lulc.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT}
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
    if error.errno == errno.EFBIG:
        return StorageError(f"{path} would be larger than files may be there", _smaller(path))
    if error.errno in _FORBIDDEN:
        how = "write" if error.errno == errno.EROFS else "read or write"
        return StorageError(f"cannot {how} {path}: {error.strerror}", "check its permissions, or choose another folder")
    if error.errno == errno.ENOENT:
        return StorageError(f"cannot write {path}: its folder does not exist", "make the folder first")
    return StorageError(f"cannot read or write {path}: {error.strerror or error}", "check the disk and the path")


def library_error(error: Exception, path: Path) -> StorageError:
    """The `StorageError` for a failed write of which a format library does not say what the system refused."""
    first = error.__cause__ or error
    reason = " ".join(str(first).split()) or type(first).__name__
    limited = resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
    room = f"{megabytes(free_bytes(path))} are free there; make room and run the same command again"
    return StorageError(f"cannot write {path}: {reason}", _smaller(path) if limited else room)


def _smaller(path: Path) -> str:
    """Remedy for a limit on the size of a single file, with what is known of it."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return f"the disk of {path.parent} takes no larger files; choose another"
    return f"files are limited to {megabytes(limit)} (ulimit -f); raise the limit"


def free_bytes(path: Path) -> int:
    """Bytes that a user may still write on the disk of `path`, or of its nearest existing folder."""
    for folder in (path, *path.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


def megabytes(count: int) -> str:
    """Bytes for people, in decimal megabytes or gigabytes."""
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.1f} MB"
