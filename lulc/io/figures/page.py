"""The page that every figure is drawn on: white, measured in inches from its upper left corner, written whole as PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lulc.io.files.atomic import write_whole

Axes = Any
"""Axes of matplotlib, which has no types."""

Box = tuple[float, float, float, float]
"""Left, top, width and height, inches from the upper left corner of the page."""

INK, FAINT, EDGE, GRID = "#222222", "#6b6b6b", "#bbbbbb", "#e6e6e6"
"""Colours of words, of less important words, of frames and of grid lines."""

NODATA_GREY = 235
"""Red, green and blue of a pixel without data."""

DPI = 150
_FIRST_LINE, _SECOND_LINE = 0.14, 0.40
_CELL_WIDTH = 0.65
_LARGEST_FONT, _FONT_PER_INCH = 9, 38


@dataclass(frozen=True)
class KeyRow:
    """A line of a key: a colour, its name, and cells at the right."""

    color: str
    name: str
    cells: tuple[str, ...]


class Page:
    """A white page.

    Args:
        width: Inches.
        height: Inches.
        margin: Left and right of the title, inches.
    """

    def __init__(self, width: float, height: float, margin: float = 0.2) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height, self.margin = width, height, margin
        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
        self._canvas: Any = FigureCanvasAgg(self.figure)

    def title(self, first: str, second: str = "") -> None:
        """Write two lines at the top, each shortened to the width of the page: what is shown, and fainter, of what."""
        self._line(first, _FIRST_LINE, fontsize=11, color=INK, weight="bold")
        self._line(second, _SECOND_LINE, fontsize=8, color=FAINT)

    def text(self, left: float, top: float, words: str, **style: Any) -> Any:  # noqa: ANN401 - matplotlib has no types
        """Write words, which are never read as a formula, at a point in inches."""
        return self.figure.text(left / self.width, 1 - top / self.height, words, parse_math=False, **style)

    def axes(self, box: Box, **options: Any) -> Axes:  # noqa: ANN401
        """Axes in a box."""
        left, top, width, height = box
        corner = left / self.width, 1 - (top + height) / self.height
        return self.figure.add_axes((*corner, width / self.width, height / self.height), **options)

    def picture(self, box: Box, pixels: Any, caption: str = "", *, smooth: bool = False) -> Axes:  # noqa: ANN401
        """Draw an image that fills a box, in a thin frame, with a caption above it."""
        axes = self.axes(box)
        axes.imshow(pixels, aspect="auto", interpolation="antialiased" if smooth else "nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(caption, fontsize=8.5, color=FAINT, loc="left", pad=4)
        for edge in axes.spines.values():
            edge.set(color=EDGE, linewidth=0.6)
        return axes

    def key(self, box: Box, rows: Sequence[KeyRow], line: float, longest: int) -> None:
        """Write what colours mean, from the top of a box.

        Args:
            box: Where.
            rows: One a colour; those that do not fit are squeezed together.
            line: Height of a row, inches.
            longest: Characters of a name.
        """
        _, _, width, height = box
        line = min(line, height / max(len(rows), 1))
        axes = self.axes(box, xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        font = min(_LARGEST_FONT, _FONT_PER_INCH * line)
        words = {"fontsize": font, "va": "center", "parse_math": False}
        for number, row in enumerate(rows):
            middle = (number + 0.5) * line
            axes.add_patch(_swatch(row.color, middle, 0.6 * line))
            axes.text(0.3, middle, shortened(row.name, longest), color=INK, **words)
            for column, cell in enumerate(reversed(row.cells)):
                color = FAINT if column < len(row.cells) - 1 else INK
                axes.text(width - column * _CELL_WIDTH, middle, cell, color=color, ha="right", **words)

    def save(self, path: Path) -> None:
        """Write the page as PNG, whole; the same page gives the same bytes.

        Raises:
            StorageError: The disk is full or refuses.
        """
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", metadata={"Software": None})
        write_whole(path, buffer.getvalue())

    def _line(self, words: str, top: float, **style: Any) -> None:  # noqa: ANN401
        text = self.text(self.margin, top, words, va="top", **style)
        room, renderer, longest = DPI * (self.width - 2 * self.margin), self._canvas.get_renderer(), len(words)
        while longest > 1 and (width := text.get_window_extent(renderer).width) > room:
            longest = min(longest - 1, int(longest * room / width) + 1)
            text.set_text(shortened(words, longest))


def shortened(text: str, longest: int) -> str:
    """A text without its middle when it has more than `longest` characters."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2 - 1]}…{text[-longest // 2 + 1 :]}" if longest > 3 else "…"  # noqa: PLR2004


def plain_frame(axes: Axes) -> None:
    """Style axes of a curve: a frame at the left and below, a faint grid behind."""
    for name, edge in axes.spines.items():
        edge.set_visible(name in ("left", "bottom"))
        edge.set(color=EDGE, linewidth=0.8)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def label_matrix(axes: Axes, names: Sequence[str], rows: str, columns: str, fontsize: float) -> None:
    """Label a matrix of classes: names above and at the left, turned above, without a frame."""
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=fontsize, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=fontsize, parse_math=False)
    axes.set_xlabel(columns, fontsize=fontsize + 1, color=FAINT)
    axes.set_ylabel(rows, fontsize=fontsize + 1, color=FAINT)
    axes.tick_params(length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)


def _swatch(color: str, middle: float, side: float) -> Any:  # noqa: ANN401
    from matplotlib.patches import Rectangle

    return Rectangle((0.02, middle - side / 2), side, side, facecolor=color, edgecolor="#00000040", linewidth=0.5)
