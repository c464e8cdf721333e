"""CSV as lulc writes it: a line of names, then the rows, each line ending in a line feed."""

import csv
import io
from collections.abc import Iterable


def csv_text(names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A whole table as CSV."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(names)
    lines.writerows(rows)
    return text.getvalue()
