"""CSV as lulc writes it: a line of names, then the rows, each line ending in a line feed."""

import csv
import io
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that a spreadsheet would compute."""


def safe_text(text: str) -> str:
    """A text of somebody else, as a cell that spreadsheets show and never compute: an apostrophe goes before a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_text(names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A whole table as CSV."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(names)
    lines.writerows(rows)
    return text.getvalue()
