"""Pictures of how well patches are classified: the confusion matrix, and rows of the patches that were confused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.io.figures.agreement import FigureWords, write_confusion
from lulc.io.figures.page import FAINT, INK, Axes, Page, shortened
from lulc.metrics.confusion import ConfusionMatrix

PATCHES = FigureWords(
    rows="actual",
    columns="predicted",
    counted="patches",
    score="Accuracy",
    confirmed="accuracy",
    row_fraction="share of the actual class",
    decimals=1,
    exact_below=100_000,
)
"""Words for patches and their classes."""

PER_ROW = 6
"""Most pictures in a row of `write_picture_rows`."""

_PICTURE, _GAP, _MARGIN = 1.28, 0.16, 0.16
_TOP, _HEADER, _CAPTION = 0.72, 0.28, 0.42
_LONGEST_HEADER, _LONGEST_CAPTION = 90, 23
_SHARP = 192
_BACKGROUND = "#f0f0f0"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image with words below it.

    Attributes:
        pixels: uint8 (height, width, 3).
        first: Line below it.
        second: Fainter line below that.
    """

    pixels: NDArray[np.uint8]
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class PictureRow:
    """Images that belong together, under a header; those after the sixth are not drawn."""

    header: str
    pictures: tuple[Picture, ...]


def write_patch_confusion(path: Path, matrix: ConfusionMatrix, title: str) -> None:
    """Draw a confusion matrix: rows actual, columns predicted, colour by the fraction of the row, counts in the cells.

    Args:
        path: PNG to write; replaced when it is there.
        matrix: Counts with the predicted classes as rows and the actual ones as columns, as a matrix of a map has them.
        title: What was tried on what.

    Raises:
        StorageError: The disk is full or refuses.
    """
    write_confusion(path, ConfusionMatrix(matrix.counts.T, matrix.names), title, PATCHES)


def write_picture_rows(path: Path, rows: Sequence[PictureRow], headline: str, title: str) -> None:
    """Draw rows of images, each with its header.

    Args:
        path: PNG to write; replaced when it is there.
        rows: One or more, from the top.
        headline: What is shown.
        title: Of what.

    Raises:
        StorageError: The disk is full or refuses.
    """
    height = _HEADER + _PICTURE + _CAPTION
    page = Page(2 * _MARGIN + PER_ROW * _PICTURE + (PER_ROW - 1) * _GAP, _TOP + len(rows) * height, margin=_MARGIN)
    page.title(headline, title)
    for number, row in enumerate(rows):
        top = _TOP + number * height + _HEADER
        page.text(_MARGIN, top - 0.08, shortened(row.header, _LONGEST_HEADER), 9, anchor="ls")
        for column, picture in enumerate(row.pictures[:PER_ROW]):
            left = _MARGIN + column * (_PICTURE + _GAP)
            _draw(page.axes((left, top, _PICTURE, _PICTURE)), picture)
    page.save(path)


def _draw(axes: Axes, picture: Picture) -> None:
    """An image in a square, whole, and the lines below it."""
    axes.set_facecolor(_BACKGROUND)
    small = max(picture.pixels.shape[:2]) <= _SHARP
    axes.imshow(picture.pixels, interpolation="nearest" if small else "antialiased")
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set_visible(False)
    words = {"transform": axes.transAxes, "va": "top", "parse_math": False}
    axes.text(0, -0.03, shortened(picture.first, _LONGEST_CAPTION), fontsize=8, color=INK, **words)
    axes.text(0, -0.15, shortened(picture.second, _LONGEST_CAPTION), fontsize=6.5, color=FAINT, **words)
