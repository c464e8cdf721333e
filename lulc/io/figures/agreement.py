"""Pictures of a comparison: the confusion matrix and the reliability curve, written as PNG."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.io.figures.page import FAINT, INK, Axes, Box, Page, label_matrix, plain_frame, shortened
from lulc.metrics.calibration import Calibration
from lulc.metrics.confusion import ConfusionMatrix

_BLUE, _EMPTY = "#2166ac", "#f0f0f0"
_ROOMY = 16
_DARK = 0.55
_SHORTEST, _LONGEST_NAME = 6, 26
_TALLEST_BAR = 3.5
_TOP = 0.6


@dataclass(frozen=True, slots=True)
class FigureWords:
    """What the pictures call things.

    Attributes:
        rows: Side of the matrix whose classes are its rows.
        columns: The other side.
        counted: What is counted.
        score: Fraction of the diagonal.
        confirmed: Fraction of what was counted whose top class is right.
        row_fraction: What the colour of a cell means.
        decimals: Of percentages.
        exact_below: Counts below it are written out, others as `12k`.
    """

    rows: str = "map"
    columns: str = "reference"
    counted: str = "pixels"
    score: str = "Agreement"
    confirmed: str = "agreement with the reference"
    row_fraction: str = "share of the map's class"
    decimals: int = 0
    exact_below: int = 1000


MAPS = FigureWords()
"""Words for a map and its reference."""


def write_confusion(path: Path, matrix: ConfusionMatrix, title: str, words: FigureWords = MAPS) -> None:
    """Draw a confusion matrix: rows and columns as counted, colour by the fraction of the row, counts in the cells.

    Args:
        path: PNG to write; replaced when it is there.
        matrix: Counts.
        title: What was compared with what.
        words: What to call rows, columns and scores.

    Raises:
        StorageError: The disk is full or refuses.
    """
    names = [shortened(name, _LONGEST_NAME) for name in matrix.names]
    cell = 0.62 if len(names) <= _ROOMY else 0.34
    side = max(cell * len(names), 2.4)
    label = 0.068 * max(_SHORTEST, *map(len, names)) + 0.4
    page = Page(label + side + 1.25, _TOP + label + side + 0.2)
    score = f"{words.score} {_percent(matrix.overall, words.decimals)} ({matrix.total:,} {words.counted})"
    page.title(score, title)
    axes = page.axes((label, _TOP + label, side, side))
    totals = matrix.map_totals[:, None]
    fractions = np.divide(matrix.counts, totals, out=np.full(matrix.counts.shape, np.nan), where=totals > 0)
    axes.set_facecolor(_EMPTY)  # rows of classes that the map lacks
    image = axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _write_cells(axes, matrix, fractions, words)
    label_matrix(axes, names, words.rows, words.columns, 8)
    _part_cells(axes, len(names))
    _color_bar(page, image, (label + side + 0.2, _TOP + label, 0.14, min(side, _TALLEST_BAR)), words.row_fraction)
    page.save(path)


def write_reliability(
    path: Path,
    calibration: Calibration,
    title: str,
    before: Calibration | None = None,
    words: FigureWords = MAPS,
) -> None:
    """Draw a reliability curve with the spread of the top probability below it.

    Args:
        path: PNG to write; replaced when it is there.
        calibration: Curve and scores.
        before: The same without the model's temperature, where known; drawn fainter.
        words: What to call what was counted.
        title: What was compared with what.

    Raises:
        StorageError: The disk is full or refuses.
    """
    page = Page(5.2, 6.3)
    scores = f"ECE {calibration.ece:.3f}, class-wise {calibration.classwise_ece:.3f}, Brier {calibration.brier:.3f}"
    page.title(f"Reliability: {scores}", title)
    axes = page.axes((0.68, 0.82, 4.26, 3.78), xlim=(0, 1), ylim=(0, 1))
    axes.set_ylabel(words.confirmed, fontsize=9, color=INK)
    axes.tick_params(labelbottom=False)
    _draw_curves(axes, calibration, before)
    below = page.axes((0.68, 4.79, 4.26, 0.88), sharex=axes)
    percent = 100 * calibration.spread / calibration.pixels
    below.stairs(percent, np.linspace(0, 1, len(percent) + 1), color=_BLUE, fill=True, alpha=0.7)
    below.set_ylim(0, 1.1 * percent.max())
    below.set_xlabel("top probability", fontsize=9, color=INK)
    below.set_ylabel(f"{words.counted}, %", fontsize=9, color=INK)
    for part in (axes, below):
        plain_frame(part)
    page.save(path)


def _draw_curves(axes: Axes, calibration: Calibration, before: Calibration | None) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    axes.text(0.03, 0.065, "calibrated", color=FAINT, fontsize=8, rotation=40, rotation_mode="anchor")
    axes.plot(calibration.bin_confidence, calibration.bin_agreement, color=_BLUE, marker="o", markersize=4)
    if before is not None:
        axes.lines[-1].set_label(f"with the temperature, ECE {calibration.ece:.3f}")
        label = f"without, ECE {before.ece:.3f}"
        axes.plot(before.bin_confidence, before.bin_agreement, color=FAINT, marker="o", markersize=3, lw=1, label=label)
        axes.legend(loc="lower right", frameon=False, fontsize=8)


def _write_cells(axes: Axes, matrix: ConfusionMatrix, fractions: NDArray[np.float64], words: FigureWords) -> None:
    """Percentage of the row and count in each cell that holds any; in a large matrix percentages alone."""
    roomy = len(matrix.names) <= _ROOMY
    for (row, column), count in np.ndenumerate(matrix.counts):
        if not count:
            continue
        fraction = float(fractions[row, column])
        number = f"{count:,}" if count < words.exact_below else _short_count(int(count))
        text = f"{_percent(fraction, words.decimals)}\n{number}" if roomy else f"{100 * fraction:.0f}"
        if not roomy and fraction < 0.005:  # noqa: PLR2004 - would read 0
            continue
        color = "white" if fraction > _DARK else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=7 if roomy else 5.5, color=color)


def _part_cells(axes: Axes, classes: int) -> None:
    """White lines between the cells."""
    between = np.arange(classes + 1) - 0.5
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)


def _color_bar(page: Page, image: Axes, box: Box, meaning: str) -> None:
    bar = page.figure.colorbar(image, cax=page.axes(box), ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0 %", "50 %", "100 %"], fontsize=8)
    bar.outline.set_visible(False)
    bar.set_label(meaning, fontsize=8, color=FAINT)


def _percent(fraction: float, decimals: int) -> str:
    """A fraction as percent: one above 0 is never written as 0 %, one below 1 never as 100 %."""
    step = 10.0**-decimals
    if 0 < 100 * fraction < step / 2:
        return f"< {step:.{decimals}f} %"
    if 100 - step / 2 <= 100 * fraction < 100:  # noqa: PLR2004
        return f"> {100 - step:.{decimals}f} %"
    if fraction == 1:
        return "100 %"
    return f"{100 * fraction:.{decimals}f} %"


def _short_count(count: int) -> str:
    """`950`, `12k`, `3.4M`: three digits at most."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            value = count / unit
            return f"{value:.1f}{name}" if value < 9.95 else f"{value:.0f}{name}"  # noqa: PLR2004
    return str(count)
