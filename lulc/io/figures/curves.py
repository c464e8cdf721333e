"""Curves of a training run as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lulc.io.figures.page import FAINT, INK, Page, plain_frame

_VAL, _BEST = "#c4281b", "#1f6f8b"
_SCORES = (
    ("val_f1", _VAL, "macro-F1"),
    ("val_agreement", _BEST, "agreement"),
    ("val_accuracy", _BEST, "accuracy"),
)


def draw_curves(history: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Write a PNG of losses and scores against steps; an existing one is replaced.

    Args:
        history: Lines with `step` and `loss`, or `step`, `val_loss`, `val_f1` and `val_agreement` or `val_accuracy`.
        path: The picture.
        title: Its title.
    """
    page = Page(9, 3.6)
    page.title(title, "training run")
    losses, scores = (page.axes((left, 0.75, 3.65, 2.3)) for left in (0.75, 5.1))
    noted = [line for line in history if "loss" in line]
    tried = [line for line in history if "val_loss" in line]
    losses.plot([line["step"] for line in noted], [line["loss"] for line in noted], color=FAINT, lw=1, label="training")
    steps = [line["step"] for line in tried]
    losses.plot(steps, [line["val_loss"] for line in tried], color=_VAL, marker="o", ms=3, label="validation")
    for key, color, label in _SCORES:
        if any(key in line for line in tried):
            scores.plot(steps, [line.get(key) for line in tried], color=color, marker="o", ms=3, label=label)
    if tried:
        best = min(tried, key=lambda line: line["val_loss"])
        for axes in (losses, scores):
            axes.axvline(best["step"], color=FAINT, lw=0.8, ls=":")
    scores.set(xlim=losses.get_xlim(), ylim=(0, 1))
    for axes, label in ((losses, "loss"), (scores, "validation score")):
        axes.set_xlabel("step", fontsize=9, color=INK)
        axes.set_ylabel(label, fontsize=9, color=INK)
        plain_frame(axes)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
    page.save(path)
