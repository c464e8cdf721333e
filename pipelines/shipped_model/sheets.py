"""Contact sheets: an image in true colour, the teacher's classes, the student's, and how sure the student is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from data import CLASSES, LABEL_NODATA, Patch
from numpy.typing import NDArray
from scipy.special import softmax
from student import Student, reflectance_of

from lulc.legend import load_legend

mpl.use("Agg")
import matplotlib.pyplot as plt

COLORS = tuple(entry.color for entry in load_legend("dynamic-world"))
_COLUMNS = ("true colour", "teacher", "student", "confidence")
_MOST_ROWS = 4


def true_color(image: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Picture (height, width, 3) in 0..1 of an image (9, height, width), stretched between percentiles 1 and 99."""
    rgb = image[[2, 1, 0]].transpose(1, 2, 0).astype(np.float32)
    low, high = np.percentile(rgb[rgb.any(axis=-1)], (1, 99))
    stretched: NDArray[np.float32] = np.clip((rgb - low) / max(high - low, 1), 0, 1) ** 0.8
    return stretched


def paint(classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Picture (height, width, 3) of classes; what is no class is white."""
    palette = np.array([mpl.colors.to_rgb(color) for color in COLORS] + [(1.0, 1.0, 1.0)])
    return palette[np.where((classes >= 0) & (classes < len(CLASSES)), classes, len(CLASSES))]


def write_sheet(path: Path, student: Student, title: str, patches: Sequence[Patch]) -> None:
    """Save up to four patches of a place, a row each, with a legend."""
    shown = patches[:: max(1, len(patches) // _MOST_ROWS)][:_MOST_ROWS]
    figure, axes = plt.subplots(len(shown), 4, figsize=(14, 3.6 * len(shown) + 0.8), squeeze=False)
    for row, patch in zip(axes, shown, strict=True):
        _draw(row, student, patch)
    for axis, name in zip(axes[0], _COLUMNS, strict=True):
        axis.set_title(name)
    handles = [mpl.patches.Patch(color=color, label=name) for color, name in zip(COLORS, CLASSES, strict=True)]
    figure.legend(handles=handles, loc="lower center", ncol=9, fontsize=8)
    figure.suptitle(f"{title}: {student.name}")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=75)
    plt.close(figure)


def _draw(axes: Sequence[plt.Axes], student: Student, patch: Patch) -> None:
    logits = student.logits(reflectance_of(patch.image)) / student.temperature
    empty = (patch.image == 0).all(axis=0)
    teacher = np.where(patch.percent[0] == LABEL_NODATA, -1, patch.percent.argmax(axis=0))
    found = np.where(empty, -1, logits.argmax(axis=0))
    for axis, picture in zip(axes, (true_color(patch.image), paint(teacher), paint(found)), strict=False):
        axis.imshow(picture, interpolation="nearest")
    axes[3].imshow(softmax(logits, axis=0).max(axis=0), vmin=0, vmax=1, cmap="viridis")
    for axis in axes:
        axis.axis("off")
