"""Names of files: what libraries cannot take and disks do not hold, said before any work is done; many names as a tag."""

import os
from collections.abc import Sequence
from pathlib import Path

from lulc.errors import InputError, StorageError

_MOST_NAME_BYTES = 255 - len(".sources.csv")
"""Disks take 255; the longest ending of what lies beside an output comes on top."""

_LISTED = 50
"""Names that a tag lists; of more it gives the number."""


def refuse_undecodable(path: Path) -> None:
    """Refuse a path that is not UTF-8, as old archives leave them: GDAL, HDF5 and SQLite take no other.

    Raises:
        InputError: It is not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise undecodable(os.fsencode(path)) from error


def undecodable(name: bytes) -> InputError:
    """The refusal of a name that is not UTF-8."""
    return InputError(f"the name {name.decode(errors='replace')} is not UTF-8", "rename it")


def check_name(target: Path) -> None:
    """Refuse a name that libraries cannot write, or too long for the disk once files beside the output have theirs.

    Raises:
        InputError: It is not UTF-8.
        StorageError: It is too long.
    """
    refuse_undecodable(target)
    length = len(os.fsencode(target.name))
    if length > _MOST_NAME_BYTES:
        raise StorageError(
            f"the name {target.name[:40]}... has {length} bytes", f"choose one of at most {_MOST_NAME_BYTES}"
        )


def listed(names: Sequence[str]) -> str:
    """Names of many inputs as one tag: the first 50, and how many more there are."""
    more = [f"and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return ", ".join([*names[:_LISTED], *more])
