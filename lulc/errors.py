"""Errors a user can meet. Each message names the wrong value and the remedy.

A `LulcError` is printed as one line and ends the program with its `exit_code`. Any other exception that escapes is a
defect of lulc and shows its traceback.
"""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class LulcError(Exception):
    """Base of all expected errors: a one-line message and a process exit code.

    Args:
        problem: What is wrong, naming the file, band or value.
        remedy: What the user can do about it.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}" if remedy else problem)


class UsageError(LulcError):
    """Options that cannot be combined, or an option value outside its range."""

    exit_code = 2


class InputError(LulcError):
    """An input scene, map, label or patch that cannot be used as it is."""

    exit_code = 3


class ModelError(LulcError):
    """A model bundle that is damaged, unsafe, or does not fit its network or input."""

    exit_code = 4


class ConfigError(LulcError):
    """A configuration file with an unknown key or a value out of range."""

    exit_code = 4


class StorageError(LulcError):
    """Reading or writing failed: damaged block, full disk, missing permission, output exists or in use."""

    exit_code = 5


class LimitError(LulcError):
    """The request is larger than a limit set by the user or by lulc."""

    exit_code = 6


class ShardError(LulcError):
    """A shard or a cluster worker failed. Chunks finished by the others are kept."""

    exit_code = 7


class Interrupted(LulcError):  # noqa: N818 - not an error of anybody's making
    """Stopped by a signal. Finished work is kept, and the same command continues it."""

    exit_code = 75


FAILING_DISK = frozenset({errno.EIO, errno.ESTALE, errno.EREMOTEIO})
"""Numbers of errors that tell of a disk or a mount, and never of what a file holds."""

_LONGEST_REASON = 160
"""Characters of a library's reason that a message quotes."""


@contextmanager
def raised_as(kind: type[LulcError], problem: str, remedy: str, *causes: type[Exception]) -> Iterator[None]:
    """Turn a library's exception into an expected error, with the reason that the library gives.

    An error of the disk is a `StorageError`, whatever the kind: the input may be as good as ever.

    Args:
        kind: Class of the error.
        problem: What is wrong, naming the file, band or value; the reason follows it.
        remedy: What the user can do about it.
        causes: Exceptions that mean this; all others pass.
    """
    try:
        yield
    except causes as error:
        if isinstance(error, OSError) and error.errno in FAILING_DISK:
            kind, remedy = StorageError, "check the file and its disk"
        stated = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = " ".join(stated.split())[:_LONGEST_REASON] or type(error).__name__
        raise kind(f"{problem}: {reason}", remedy) from error


_SIGNS_OF_NO_MEMORY = (
    "can't allocate memory",
    "bad_alloc",
    "cannot allocate memory",
    "out of memory",
    "failed to map segment",
    "could not create a primitive",
    "can't start new thread",
    "could not be made c-contiguous",
)


def lacks_memory(error: BaseException | None) -> bool:
    """True when an error, or one that caused it, means out of memory; every library reports that in its own way."""
    while error is not None:
        if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS_OF_NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


EXIT_CODES: dict[int, str] = {
    0: "done",
    2: "usage: an option or argument is wrong",
    3: "input refused: the scene cannot be used as it is",
    4: "model or configuration refused",
    5: "reading or writing failed (damaged block, full disk, permission, output exists or is in use)",
    6: "over a limit (memory, size)",
    7: "a shard or a worker of a cluster failed; what the others finished is kept",
    75: "interrupted; run the same command again to continue",
    130: "stopped at once by a second Ctrl-C",
}
"""Meaning of each exit code, as documented and as printed by `lulc --help`."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Remedy text for an unknown name: `did you mean 'epochs'?`, or the list of known names when none is close."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(names)}"
