"""The one way to write a report into a folder: report.md, report.json, and the pictures and tables beside them."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lulc.io.files.atomic import write_whole
from lulc.io.files.outputs import check_folder, made_folder
from lulc.io.files.storage import storage_errors

JSON, MARKDOWN = "report.json", "report.md"

FileWriter = Callable[[Path], None]
"""Writes one file, whole, under the path that it is given."""


class Report(Protocol):
    """What a task found."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""

    def to_markdown(self) -> str:
        """For people; ends in a line break."""


def check_report(folder: Path, others: Iterable[str] = (), *, overwrite: bool = False) -> None:
    """Refuse a folder for a report that cannot or must not be written, before any work is done.

    Args:
        folder: Made later when it is not there.
        others: Files beside report.md and report.json.
        overwrite: Replace a former report.

    Raises:
        StorageError: As `check_folder`.
    """
    check_folder(folder, (JSON, MARKDOWN, *others), overwrite=overwrite)


def write_report(
    report: Report, folder: Path, others: Mapping[str, FileWriter | None], *, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write a report, each file whole; report.json is the last, so a report that has it is complete.

    Args:
        report: What to write.
        folder: Where; made when it is not there, and removed again if writing fails and nothing is in it.
        others: Pictures and tables by file name. None removes the file that a former report left.
        overwrite: Replace a former report.

    Returns:
        The files written, in order.

    Raises:
        StorageError: A former report is there, or the disk is full or refuses.
    """
    check_report(folder, others, overwrite=overwrite)
    numbers = json.dumps(plain(report.to_json()), indent=1) + "\n"
    with made_folder(folder):
        for name, write in others.items():
            if write is not None:
                write(folder / name)
                continue
            with storage_errors(folder / name):
                (folder / name).unlink(missing_ok=True)
        write_markdown(report, folder / MARKDOWN)
        write_whole(folder / JSON, numbers.encode())
    names = [name for name, write in others.items() if write is not None]
    return tuple(folder / name for name in (*names, MARKDOWN, JSON))


def write_markdown(report: Report, path: Path) -> None:
    """Write what a report says to people, whole; what is no Unicode in a file's name is written as an escape.

    Raises:
        StorageError: The disk is full or refuses.
    """
    write_whole(path, report.to_markdown().encode(errors="backslashreplace"))


def plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table in JSON types: arrays and tuples become lists; NaN and infinities become None."""
    return {name: _plain(value) for name, value in table.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any nesting of what a report holds
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
