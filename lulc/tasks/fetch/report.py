"""The report of `lulc fetch`, and the table of items beside the files."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lulc.errors import StorageError
from lulc.io.files.atomic import write_whole
from lulc.io.files.csv_text import csv_text

_COLUMNS = ("id", "date", "cloud", "tile", "offset", "why", "file")
_MEGA = 1e6

State = Literal["planned", "fetched", "kept", "empty"]


@dataclass(frozen=True, slots=True)
class FetchedItem:
    """One item.

    Attributes:
        id: Of the item.
        date: Acquisition time, ISO 8601.
        cloud: Cloud cover of the whole item, percent; None when it does not say.
        tile: Of the MGRS grid, such as `33TUL`; empty when not said.
        offset: Added to digital numbers; None in a plan.
        why: Source of the offset, and warnings where pixels contradict it.
        file: Name of its file in the folder.
        state: Outcome; `empty`: no pixel of the area has data, and nothing was written.
        height: Rows of the file.
        width: Columns of the file.
        bands: Its bands, in order.
        bytes: Size of the file; of a plan, uncompressed.
    """

    id: str
    date: str
    cloud: float | None
    tile: str
    offset: float | None
    why: str
    file: str
    state: State
    height: int
    width: int
    bands: tuple[str, ...]
    bytes: int

    def to_text(self) -> str:
        """One line."""
        cloud = "  ?" if self.cloud is None else f"{self.cloud:3.0f}"
        offset = "" if self.offset is None else f"  offset {self.offset:g} ({self.why})"
        size = f"{self.width} x {self.height} px, {len(self.bands)} bands, {self.bytes / _MEGA:.1f} MB"
        if self.state == "empty":
            size, offset = f"no pixel of the {self.width} x {self.height} px has data: not written", ""
        return f"{self.state:7}  {self.date[:10]}  {cloud} % cloud  {self.file}  {size}{offset}"


@dataclass(frozen=True, slots=True)
class FetchReport:
    """Result of a run of `lulc fetch`.

    Attributes:
        folder: Where the files lie.
        items: Items that are fetched, kept or planned.
        failures: One line for each item that failed.
        plan: True when nothing was written.
    """

    folder: str
    items: tuple[FetchedItem, ...]
    failures: tuple[str, ...]
    plan: bool

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_text(self) -> str:
        """A line per item, and a sum."""
        total = sum(item.bytes for item in self.items) / _MEGA
        kept = sum(item.state == "kept" for item in self.items)
        size = f"{total:.1f} MB uncompressed, nothing written" if self.plan else f"{total:.1f} MB, {kept} kept"
        empty = sum(item.state == "empty" for item in self.items)
        size += f", {empty} without data" if empty else ""
        last = f"{self.folder}: {len(self.items)} items, {size}, {len(self.failures)} failed"
        return "\n".join([*(item.to_text() for item in self.items), last])


def check_items(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a table that `fetch` did not write, before any work is done.

    Raises:
        StorageError: Something else lies under its name.
    """
    if path.is_dir() or (path.is_symlink() and not path.exists()):
        raise StorageError(f"{path} is no table of lulc fetch", "move it away, or choose another folder")
    if not overwrite and path.is_file() and path.stat().st_size and _header(path) != _COLUMNS:
        raise StorageError(
            f"{path} is not a table of lulc fetch", "choose another folder, or use --overwrite to replace it"
        )


def _header(path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return tuple(csv.DictReader(file).fieldnames or ())
    except (OSError, csv.Error) as error:
        raise StorageError(f"cannot read {path}: {error}", "check the file and its permissions") from error


def write_items(path: Path, items: Sequence[FetchedItem]) -> None:
    """Write the table of items; rows of an earlier run stay as long as their file is there.

    Raises:
        StorageError: It cannot be written.
    """
    rows = {row["file"]: row for row in _former(path) if (path.parent / row["file"]).is_file()}
    rows |= {item.file: asdict(item) for item in items if item.state != "empty"}
    ordered = sorted(rows.values(), key=lambda row: (str(row["date"]), str(row["id"])))
    write_whole(path, csv_text(_COLUMNS, ([row.get(name) for name in _COLUMNS] for row in ordered)).encode())


def _former(path: Path) -> list[dict[str, Any]]:
    """Rows of a former table; none when there is no such table."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        table = csv.DictReader(file)
        return [row for row in table if row.get("file")] if tuple(table.fieldnames or ()) == _COLUMNS else []
