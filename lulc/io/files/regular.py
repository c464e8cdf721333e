"""Regular files of bounded size: a pipe is not waited for, and a device without an end is not read."""

import errno
import os
import stat
from pathlib import Path


def open_regular(path: Path, limit: int | None = None) -> int:
    """Open a regular file for reading, also through a link; the caller closes the file descriptor.

    Args:
        path: The file.
        limit: Most bytes that it may hold.

    Raises:
        OSError: It cannot be opened, is no regular file, or is larger than that.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer opens at once
    status = os.fstat(handle)
    reason = "" if stat.S_ISREG(status.st_mode) else "it is no regular file"
    if not reason and limit is not None and status.st_size > limit:
        reason = f"it holds {status.st_size} bytes, at most {limit} are expected"
    if reason:
        os.close(handle)
        raise OSError(errno.EINVAL, reason, str(path))
    return handle


def read_regular(path: Path, limit: int) -> bytes:
    """Content of a regular file, whose size is checked before it is read.

    Args:
        path: The file.
        limit: Most bytes that it may hold.

    Raises:
        OSError: As `open_regular`; or it grew past the limit while it was read.
    """
    with os.fdopen(open_regular(path, limit), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EINVAL, f"it holds more than {limit} bytes", str(path))
    return content
