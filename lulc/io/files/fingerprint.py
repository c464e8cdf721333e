"""Fingerprints: of an input (a large scene by samples, since it is too much to hash every time), of code, of plain values."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import lulc
from lulc.errors import StorageError
from lulc.io.files.tries import tried

_HEAD, _SPREAD, _BYTES = 1 << 20, 16, 64 << 10
_HASHED_WHOLE = 128 << 20
_DIGITS = 32


def input_files(path: Path) -> Iterator[Path]:
    """Files that make up an input: all of a folder, or a file with what GDAL reads beside it."""
    if path.is_dir():
        yield from sorted(entry for entry in path.rglob("*") if entry.is_file() and not _is_work(entry, path))
    else:
        beside = (path, path.with_name(f"{path.name}.msk"), path.with_suffix(".ige"))
        yield from (file for file in beside if file.is_file())


def _is_work(entry: Path, folder: Path) -> bool:
    """True for what a run keeps in its work folder, when its output lies in the folder of its input."""
    return any(part.endswith((".lulc", ".partial")) for part in entry.relative_to(folder).parts[:-1])


class ChangedInputError(StorageError):
    """An input was written to while a run read it. What was finished before is kept for it, as it was."""


class Unchanged:
    """Input files as they were when a run began: nothing is made of a mixture of what they held and hold.

    Size and time of writing tell. A touch ends the run too, since nobody could say what was read meanwhile; whether
    finished work still counts is then decided by fingerprints. Files on other machines are not looked at.

    Args:
        files: What is read.
    """

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self._states = {file: _state(file) for file in files}

    def check(self, most: int | None = None) -> None:
        """Refuse to go on when a file was written to, replaced or removed.

        Args:
            most: Look at so many files only; None for all.

        Raises:
            ChangedInputError: One was.
            StorageError: One cannot be looked at.
        """
        for file, before in islice(self._states.items(), most):
            if _state(file) != before:
                raise ChangedInputError(f"{file} was changed while it was read", "run the same command again")


def _state(file: Path) -> tuple[int, int] | None:
    """Size and time of writing; None for a file that is not there."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}", "check the file and its disk") from error
    return status.st_size, status.st_mtime_ns


def file_fingerprint(path: Path, name: str | None = None, *, times: bool = True) -> bytes:
    """SHA-256 of a file's name, size and samples of its content.

    Samples may miss a change between them. With `times` no change goes unnoticed: a file of up to 128 MiB is hashed as
    a whole, so that copying or touching it is no change, and of a larger one the time of writing counts too.

    Args:
        path: The file.
        name: What it is called, when that is not the name that it lies under.
        times: Notice every change.

    Raises:
        StorageError: It cannot be read, also not when it is tried again.
    """
    return tried(lambda: _fingerprint(path, name or path.name, times=times), path)


def _fingerprint(path: Path, name: str, *, times: bool) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if times and status.st_size <= _HASHED_WHOLE:
            whole = hashlib.file_digest(file, "sha256").hexdigest()
            return hashlib.sha256(f"{name} {status.st_size} {whole}".encode()).digest()
        written = f" {status.st_mtime_ns}" if times else ""
        digest.update(f"{name} {status.st_size}{written}".encode())
        digest.update(file.read(_HEAD))
        for part in range(1, _SPREAD + 1):
            file.seek(status.st_size * part // (_SPREAD + 1))
            digest.update(file.read(_BYTES))
        file.seek(max(0, status.st_size - _HEAD))
        digest.update(file.read(_HEAD))
    return digest.digest()


def named_fingerprint(parts: Mapping[str, Any]) -> str:
    """Fingerprint of a job that can tell which of its parts changed: `input=0123abcd...,model=...`.

    Args:
        parts: Values that JSON takes, by a name of one word.
    """
    return ",".join(f"{name}={json_fingerprint(value)[:_DIGITS]}" for name, value in parts.items())


def changed_parts(before: str, now: str) -> str:
    """Names of the parts in which two fingerprints of `named_fingerprint` differ, such as `input and torch`.

    Args:
        before: The earlier one.
        now: The later one. Of its parts the last is named only when no other differs, since it may follow from them.
    """
    old = dict(part.partition("=")[::2] for part in before.split(","))
    parts = [part.partition("=")[::2] for part in now.split(",")]
    changed = [name for name, digest in parts if old.get(name) != digest]
    return " and ".join(changed[:-1] if len(changed) > 1 and changed[-1] == parts[-1][0] else changed)


def json_fingerprint(value: Any) -> str:  # noqa: ANN401 - whatever JSON takes
    """SHA-256 of a value as JSON, in hexadecimal; the order of keys does not count.

    Plans, work folders and fetched files bear it: a change here makes all of them strangers.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def code_fingerprint() -> str:
    """SHA-256 over the package's sources: a changed lulc never continues another one's run."""
    digest = hashlib.sha256()
    for path in sorted(Path(lulc.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
