"""How the reports that people read write tables and numbers."""

import math
from collections.abc import Iterable, Iterator, Sequence

NONE = "-"
"""A number that is not defined."""

WIDEST_MATRIX = 16
"""Classes of the widest matrix that fits on a page."""


Blocks = Iterator[Sequence[str]]
"""Headings, paragraphs, lists and tables of a report, each as lines."""


def number(value: float | None, style: str = ".3f", *, none: str = NONE) -> str:
    """A number in a format; `none` where it is None, NaN or infinite."""
    return none if value is None or not math.isfinite(value) else format(value, style)


def interval(ends: Iterable[float], style: str = ".3f") -> str:
    """`0.812 to 0.846`; `-` where an end is not defined."""
    low, high = ends
    return f"{low:{style}} to {high:{style}}" if math.isfinite(low) and math.isfinite(high) else NONE


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, aligned for those who read it unrendered: the first column left, numbers right.

    Args:
        head: Names of the columns.
        rows: As many cells each.
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return f"| {' | '.join([first, *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))])} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(head), f"| {' | '.join(rule)} |", *(line(row) for row in rows)]


def page(*sections: Iterable[Sequence[str]]) -> str:
    """A whole report, an empty line between its blocks; it ends in a line break. Blocks without lines are left out."""
    return "\n\n".join("\n".join(block) for section in sections for block in section if block) + "\n"
