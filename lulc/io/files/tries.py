"""Reading again: a disk or a server that fails once often answers the next time."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lulc.errors import StorageError

Found = TypeVar("Found")

TRIES = 3
"""How often a file is read before its failure counts."""

_FINAL = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_log = logging.getLogger(__name__)


def tried(read: Callable[[], Found], path: Path) -> Found:
    """What a function reads from a file; it is called again when the reading failed.

    Args:
        read: Reads the file from its beginning.
        path: The file.

    Raises:
        StorageError: It failed each time, or as it always will.
    """
    return read_again(
        read,
        (OSError,),
        lambda error: f"cannot read {path}: {getattr(error, 'strerror', None) or error}",
        "check the file, its permissions and its disk",
        final=lambda error: getattr(error, "errno", None) in _FINAL,
    )


def read_again(
    read: Callable[[], Found],
    causes: tuple[type[Exception], ...],
    problem: Callable[[Exception], str],
    remedy: str,
    *,
    reset: Callable[[], None] = lambda: None,
    final: Callable[[Exception], bool] = lambda _: False,
) -> Found:
    """What a function reads; it is called up to `TRIES` times while it fails.

    Args:
        read: Reads.
        causes: Exceptions that a second try may mend.
        problem: Text on such an exception.
        remedy: What to do when it failed each time.
        reset: Called after each failure, such as to close a file that the failure has left unfit.
        final: True for an exception that a second try cannot mend.

    Raises:
        StorageError: It failed each time, or as it always will.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return read()
        except causes as error:
            reset()
            told = problem(error)
            if attempt == TRIES or final(error):
                raise StorageError(told, remedy) from error
            _log.warning("reading again: %s", told)
    raise AssertionError("unreachable")


def head_of(path: Path, count: int) -> bytes:
    """The first bytes of a file, by which its kind is told; fewer where it ends before.

    Raises:
        OSError: It cannot be opened.
        StorageError: It cannot be read, also not when it is tried again.
    """
    with path.open("rb") as file:
        return tried(lambda: os.pread(file.fileno(), count, 0), path)
