"""What make makes, what it is made of, and whether it has to be made again.

Every target has a record, OUT/recipes/TARGET: a hash of the options and the inputs that it was made with, where an input
counts by name, size and time. A target whose record says something else is made again. The record is emptied before a
target is made and written after, so it never claims what is not so.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lulc.errors import ConfigError, LulcError
from lulc.io.files.fingerprint import input_files
from lulc.io.scene.stac import is_item, local_assets, read_item

_RECORD = re.compile(r"([0-9a-f]{64})?\s*")


@dataclass(frozen=True)
class Target:
    """Something that make makes.

    Attributes:
        name: Of its record.
        files: What is made; the first is what make looks at.
        words: Everything but files that decides it.
        inputs: Files and folders that decide it, but for those that make makes.
        beside: What comes with the files; it is never missed, but one of somebody else is not replaced.
    """

    name: str
    files: tuple[Path, ...]
    words: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()

    @cached_property
    def signature(self) -> str:
        """Differs when the target has to be made again."""
        seen = [(str(path), [(str(file), *_seen(file)) for file in files_of(path)]) for path in self.inputs]
        return hashlib.sha256(json.dumps([self.words, seen]).encode()).hexdigest()

    def is_due(self, out: Path) -> bool:
        """True when it was made of something else, or not wholly.

        Raises:
            ConfigError: Its files are there, but make has not made them; or its record is somebody else's file.
        """
        record = out / "recipes" / self.name
        try:
            recorded = record.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            for file in (*self.files, *self.beside):
                if file.exists():
                    raise _not_ours(file) from None
            return True
        if not _RECORD.fullmatch(recorded):
            raise _not_ours(record)
        return recorded.strip() != self.signature or not all(file.exists() for file in self.files)


def files_of(path: Path) -> Iterator[Path]:
    """All files below a folder, links followed; or a file with what is read beside it."""
    if path.is_dir():
        yield from _below(path)
        return
    yield path
    yield from (file for file in input_files(path) if file != path)
    if path.suffix == ".shp":
        yield from (file for file in sorted(path.parent.glob(f"{path.stem}.*")) if file != path)
    elif is_item(path):
        try:
            yield from local_assets(read_item(str(path)))
        except LulcError:
            return  # the command that reads it says what is wrong with it


def _below(root: Path) -> Iterator[Path]:
    walked: set[Path] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder).resolve()
        if here in walked:  # a link back up
            folders.clear()
            continue
        walked.add(here)
        folders.sort()
        yield from (Path(folder) / name for name in sorted(names))


def _seen(file: Path) -> tuple[int, int]:
    """Size and time by which a changed file is known; of a link that leads nowhere, none."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _not_ours(file: Path) -> ConfigError:
    return ConfigError(f"{file} is there, not made by this region", "move it away or give another `out`")
