"""Pictures of a comparison: the confusion matrix and the reliability curve, written as PNG."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lulc.io.files.durable import write_whole
from lulc.metrics.calibration import Calibration
from lulc.metrics.confusion import ConfusionMatrix

INK, FAINT = "#222222", "#6b6b6b"
"""Colours of words."""

_DPI = 150
_BLUE, _EMPTY = "#2166ac", "#f0f0f0"
_ROOMY = 16
_DARK = 0.55
_SHORTEST, _LONGEST_NAME, _LONGEST_TITLE = 6, 26, 110
_TALLEST_BAR = 3.5


@dataclass(frozen=True, slots=True)
class FigureWords:
    """What the pictures call things.

    Attributes:
        rows: Side of the matrix whose classes are its rows.
        columns: The other side.
        counted: What is counted.
        score: Share of the diagonal.
        confirmed: Share of what was counted whose top class is right.
        row_share: What the colour of a cell means.
        decimals: Of percentages.
        exact_below: Counts below it are written out, others as `12k`.
    """

    rows: str = "map"
    columns: str = "reference"
    counted: str = "pixels"
    score: str = "Agreement"
    confirmed: str = "agreement with the reference"
    row_share: str = "share of the map's class"
    decimals: int = 0
    exact_below: int = 1000


MAPS = FigureWords()
"""Words for a map and its reference."""


def write_confusion(path: Path, matrix: ConfusionMatrix, title: str, words: FigureWords = MAPS) -> None:
    """Draw a confusion matrix: rows and columns as counted, colour by the share of the row, counts in the cells.

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
    page = (label + side + 1.25, 0.6 + label + side + 0.2)
    figure = new_figure(page)
    axes = figure.add_axes((label / page[0], 0.2 / page[1], side / page[0], side / page[1]))
    totals = matrix.map_totals[:, None]
    shares = np.divide(matrix.counts, totals, out=np.full(matrix.counts.shape, np.nan), where=totals > 0)
    axes.set_facecolor(_EMPTY)  # rows of classes that the map lacks
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _write_cells(axes, matrix, shares, words)
    _label_sides(axes, names, words)
    bar = min(side, _TALLEST_BAR)
    place = ((label + side + 0.2) / page[0], (0.2 + side - bar) / page[1], 0.14 / page[0], bar / page[1])
    _color_bar(figure, image, place, words.row_share)
    score = f"{words.score} {_percent(matrix.overall, words.decimals)} ({matrix.total:,} {words.counted})"
    write_title(figure, page, score, title)
    save(figure, path)


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
    page = (5.2, 6.3)
    figure = new_figure(page)
    axes = figure.add_axes((0.13, 0.27, 0.82, 0.60))
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    axes.text(0.03, 0.065, "calibrated", color=FAINT, fontsize=8, rotation=40, rotation_mode="anchor")
    axes.plot(calibration.bin_confidence, calibration.bin_agreement, color=_BLUE, marker="o", markersize=4)
    if before is not None:
        axes.lines[-1].set_label(f"with the temperature, ECE {calibration.ece:.3f}")
        label = f"without, ECE {before.ece:.3f}"
        axes.plot(before.bin_confidence, before.bin_agreement, color=FAINT, marker="o", markersize=3, lw=1, label=label)
        axes.legend(loc="lower right", frameon=False, fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_ylabel(words.confirmed, fontsize=9, color=INK)
    axes.tick_params(labelbottom=False)
    below = figure.add_axes((0.13, 0.10, 0.82, 0.14), sharex=axes)
    percent = 100 * calibration.spread / calibration.pixels
    below.stairs(percent, np.linspace(0, 1, len(percent) + 1), color=_BLUE, fill=True, alpha=0.7)
    below.set_ylim(0, 1.1 * percent.max())
    below.set_xlabel("top probability", fontsize=9, color=INK)
    below.set_ylabel(f"{words.counted}, %", fontsize=9, color=INK)
    for part in (axes, below):
        _plain_frame(part)
        part.grid(color="#e6e6e6", linewidth=0.6)
        part.set_axisbelow(True)
    scores = f"ECE {calibration.ece:.3f}, class-wise {calibration.classwise_ece:.3f}, Brier {calibration.brier:.3f}"
    write_title(figure, page, f"Reliability: {scores}", title)
    save(figure, path)


def _write_cells(axes: Any, matrix: ConfusionMatrix, shares: Any, words: FigureWords) -> None:  # noqa: ANN401 - matplotlib has no types
    """Share of the row and count in each cell that holds any; in a large matrix shares alone."""
    roomy = len(matrix.names) <= _ROOMY
    for (row, column), count in np.ndenumerate(matrix.counts):
        if not count:
            continue
        share = shares[row, column]
        number = f"{count:,}" if count < words.exact_below else _short_count(int(count))
        text = f"{_percent(share, words.decimals)}\n{number}" if roomy else f"{100 * share:.0f}"
        if not roomy and share < 0.005:  # noqa: PLR2004 - would read 0
            continue
        color = "white" if share > _DARK else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=7 if roomy else 5.5, color=color)


def _label_sides(axes: Any, names: list[str], words: FigureWords) -> None:  # noqa: ANN401
    places = range(len(names))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(places, names, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(places, names, fontsize=8, parse_math=False)
    axes.set_xlabel(words.columns, fontsize=9, color=FAINT)
    axes.set_ylabel(words.rows, fontsize=9, color=FAINT)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)


def _color_bar(figure: Any, image: Any, place: tuple[float, float, float, float], meaning: str) -> None:  # noqa: ANN401
    axes = figure.add_axes(place)
    bar = figure.colorbar(image, cax=axes, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0 %", "50 %", "100 %"], fontsize=8)
    bar.outline.set_visible(False)
    bar.set_label(meaning, fontsize=8, color=FAINT)


def _plain_frame(axes: Any) -> None:  # noqa: ANN401
    for name, edge in axes.spines.items():
        edge.set_visible(name in ("left", "bottom"))
        edge.set(color="#bbbbbb", linewidth=0.8)
    axes.tick_params(labelsize=8, colors=INK, length=3)


def new_figure(page: tuple[float, float]) -> Any:  # noqa: ANN401
    """An empty white page: width and height in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=page, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def write_title(figure: Any, page: tuple[float, float], first: str, second: str) -> None:  # noqa: ANN401
    """Two lines at the top of a page of that size, inches: what it says, and below it, fainter, of what."""
    longest = min(_LONGEST_TITLE, int(page[0] * 13))
    figure.text(0.15 / page[0], 1 - 0.14 / page[1], first, fontsize=10.5, color=INK, weight="bold", va="top")
    below = {"fontsize": 8, "color": FAINT, "va": "top", "parse_math": False}
    figure.text(0.15 / page[0], 1 - 0.40 / page[1], shortened(second, longest), **below)


def save(figure: Any, path: Path) -> None:  # noqa: ANN401
    """Write a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def shortened(text: str, longest: int) -> str:
    """A text without its middle when it is too long, characters."""
    return text if len(text) <= longest else f"{text[: longest // 2 - 1]}…{text[-longest // 2 + 1 :]}"


def _percent(share: float, decimals: int) -> str:
    """`7 %`, `< 1 %`: what there is a little of is never written as none, nor what is nearly all as all."""
    step = 10.0**-decimals
    if 0 < 100 * share < step / 2:
        return f"< {step:.{decimals}f} %"
    if 100 - step / 2 <= 100 * share < 100:  # noqa: PLR2004
        return f"> {100 - step:.{decimals}f} %"
    if share == 1:
        return "100 %"
    return f"{100 * share:.{decimals}f} %"


def _short_count(count: int) -> str:
    """`950`, `12k`, `3.4M`: three digits at most."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            value = count / unit
            return f"{value:.1f}{name}" if value < 9.95 else f"{value:.0f}{name}"  # noqa: PLR2004
    return str(count)
