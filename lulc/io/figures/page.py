"""The page that every figure is drawn on: white, measured in inches from its upper left corner, written whole as PNG.

Pillow draws words, pictures and keys. Charts are axes of matplotlib, laid over the page; it is loaded only for them.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

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
_CAPTION_GAP, _ENLARGED = 0.06, 2
_CELL_WIDTH, _NAME, _GAP = 0.65, 0.3, 0.08
_LARGEST_FONT, _FONT_PER_INCH = 9, 38
_POINTS, _HALO = 72, 3
_FINER = 4
"""Slanted shapes are drawn so many times larger, since Pillow does not smooth their edges."""


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
        self.width, self.height, self.margin = width, height, margin
        self._image = Image.new("RGB", (max(1, round(DPI * width)), max(1, round(DPI * height))), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._charts: Any = None

    def title(self, first: str, second: str = "") -> None:
        """Write two lines at the top, each shortened to the width of the page: what is shown, and fainter, of what."""
        room = self.width - 2 * self.margin
        self.text(self.margin, _FIRST_LINE, fitting(first, room, 11, bold=True), 11, bold=True)
        self.text(self.margin, _SECOND_LINE, fitting(second, room, 8), 8, color=FAINT)

    def text(
        self,
        left: float,
        top: float,
        words: str,
        fontsize: float,
        *,
        color: str = INK,
        anchor: str = "la",
        bold: bool = False,
        halo: bool = False,
    ) -> None:
        """Write one line.

        Args:
            left: Inches.
            top: Inches.
            words: Taken as they are; ends of lines become spaces.
            fontsize: Points.
            color: Of the letters.
            anchor: What of the line lies at the point, as Pillow has it: `l`, `m`, `r`, then `a` (top), `m`, `s` (base line).
            bold: With thick letters.
            halo: With a white rim, to be read on any ground.
        """
        self._draw.text(
            (DPI * left, DPI * top),
            _one_line(words),
            fill=color,
            font=_font(fontsize, bold=bold),
            anchor=anchor,
            stroke_width=_HALO if halo else 0,
            stroke_fill="white",
        )

    @property
    def figure(self) -> Any:  # noqa: ANN401 - matplotlib has no types
        """The charts: a figure of matplotlib of the size of the page, laid over it."""
        if self._charts is None:
            from matplotlib.figure import Figure

            self._charts = Figure(figsize=(self.width, self.height), dpi=DPI, facecolor="none")
        return self._charts

    def axes(self, box: Box, **options: Any) -> Axes:  # noqa: ANN401
        """Axes of a chart in a box."""
        left, top, width, height = box
        corner = left / self.width, 1 - (top + height) / self.height
        return self.figure.add_axes((*corner, width / self.width, height / self.height), **options)

    def picture(self, box: Box, pixels: NDArray[Any], caption: str = "", *, smooth: bool = False) -> None:
        """Draw an image that fills a box, in a thin frame, with a caption above it.

        Args:
            box: Where.
            pixels: (height, width, 3), uint8 or 0..1.
            caption: Above it.
            smooth: Average pixels that are made smaller; else, and where they are much enlarged, the nearest one is shown.
        """
        left, top, right, bottom = _edges(box)
        size = max(1, right - left), max(1, bottom - top)
        colors = pixels if pixels.dtype == np.uint8 else np.round(255 * np.asarray(pixels)).astype(np.uint8)
        nearest = not smooth or size[0] >= _ENLARGED * pixels.shape[1]
        image = Image.fromarray(np.ascontiguousarray(colors))
        shown = image.resize(size, Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS)
        self._image.paste(shown, (left, top))
        self._draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=EDGE)
        self.text(box[0], box[1] - _CAPTION_GAP, caption, 8.5, color=FAINT, anchor="ls")

    def key(self, box: Box, rows: Sequence[KeyRow], line: float, longest: int) -> None:
        """Write what colours mean, from the top of a box.

        Args:
            box: Where.
            rows: One a colour; those that do not fit are squeezed together.
            line: Height of a row, inches.
            longest: Characters of a name.
        """
        left, top, width, height = box
        line = min(line, height / max(len(rows), 1))
        font = min(_LARGEST_FONT, _FONT_PER_INCH * line)
        for number, row in enumerate(rows):
            middle = top + (number + 0.5) * line
            self._draw.rectangle(
                _edges((left + 0.02, middle - 0.3 * line, 0.6 * line, 0.6 * line)), fill=row.color, outline=EDGE
            )
            cells = _CELL_WIDTH * max(0, len(row.cells) - 1) + max(
                (_inches(cell, font) for cell in row.cells[:1]), default=0
            )
            room = width - _NAME - cells - _GAP
            name = fitting(shortened(row.name, longest), room, font)
            self.text(left + _NAME, middle, name, font, anchor="lm")
            for column, cell in enumerate(reversed(row.cells)):
                color = FAINT if column < len(row.cells) - 1 else INK
                self.text(left + width - column * _CELL_WIDTH, middle, cell, font, color=color, anchor="rm")

    @contextmanager
    def shapes(self, box: Box) -> Iterator[tuple[ImageDraw.ImageDraw, float]]:
        """Draw slanted shapes in a box: with what, and its dots per inch. Their edges become smooth."""
        left, top, right, bottom = _edges(box)
        layer = Image.new("RGBA", (_FINER * (right - left), _FINER * (bottom - top)))
        yield ImageDraw.Draw(layer), float(_FINER * DPI)
        small = layer.resize((right - left, bottom - top), Image.Resampling.BOX)
        self._image.paste(small, (left, top), small)

    def save(self, path: Path) -> None:
        """Write the page as PNG, whole; the same page gives the same bytes.

        Raises:
            StorageError: The disk is full or refuses.
        """
        buffer = io.BytesIO()
        self._whole().save(buffer, format="png")
        write_whole(path, buffer.getvalue())

    def _whole(self) -> Image.Image:
        """The page with its charts."""
        if self._charts is None:
            return self._image
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas: Any = FigureCanvasAgg(self._charts)
        canvas.draw()
        charts = Image.fromarray(np.asarray(canvas.buffer_rgba())).resize(self._image.size, Image.Resampling.NEAREST)
        return Image.alpha_composite(self._image.convert("RGBA"), charts).convert("RGB")


def fitting(words: str, room: float, fontsize: float, *, bold: bool = False) -> str:
    """Words, shortened until their line is no longer than the room, inches."""
    shown, longest = words, len(words)
    while longest > 1 and (width := _inches(shown, fontsize, bold=bold)) > room:
        longest = min(longest - 1, int(longest * room / width) + 1)
        shown = shortened(words, longest)
    return shown


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


@cache
def _font(points: float, *, bold: bool = False) -> Any:  # noqa: ANN401 - of two kinds
    """The font of matplotlib's charts, which has letters of many scripts; Pillow's own where it is not installed."""
    size = max(1.0, points * DPI / _POINTS)
    found = find_spec("matplotlib")
    for folder in found.submodule_search_locations or () if found else ():
        file = Path(folder) / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
        if file.exists():
            return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size)


def _inches(words: str, fontsize: float, *, bold: bool = False) -> float:
    """Length of a line."""
    length: float = _font(fontsize, bold=bold).getlength(_one_line(words))
    return length / DPI


def _one_line(words: str) -> str:
    return " ".join(words.splitlines())


def _edges(box: Box) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box, pixels of the page."""
    left, top, width, height = box
    return round(DPI * left), round(DPI * top), round(DPI * (left + width)), round(DPI * (top + height))
