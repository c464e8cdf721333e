"""A map of which ground went to which split."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.footprints import METRES_PER_DEGREE, Footprints
from lulc.io.figures.page import FAINT, INK, Axes, Page
from lulc.split import SPLITS

_COLORS = {"train": "#8fb8de", "val": "#e49635", "test": "#c4281b", "dropped": "#d9dde2"}
_MOST_PANELS = 12
_COLUMNS = 4
_CELL, _TOP, _LEFT, _BOTTOM, _KEY = 3.2, 0.7, 0.65, 0.55, 0.35


def draw_blocks(path: Path, ground: Footprints, splits: NDArray[np.int64], title: str) -> None:
    """Write a PNG with one rectangle a chip, coloured by split; chips left out for the gap are grey.

    Args:
        path: The picture.
        ground: Where the chips lie; places far from each other get panels of their own.
        splits: Index into `SPLITS`, or -1: int64 (n,).
        title: Its title.
    """
    from matplotlib.patches import Patch

    groups = _places(ground)
    shown = groups[:_MOST_PANELS]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    page = Page(max(4.5, _CELL * columns), _TOP + _CELL * rows + _KEY)
    some = f": {len(shown)} of {len(groups)} places" if len(shown) < len(groups) else ""
    page.title(title, f"which ground went to which split{some}")
    width = page.width / columns
    for number, chips in enumerate(shown):
        row, column = divmod(number, columns)
        corner = column * width + _LEFT, _TOP + row * _CELL
        _draw_place(page.axes((*corner, width - _LEFT - 0.1, _CELL - _BOTTOM - 0.1)), ground, splits, chips)
    counts = {name: int((splits == number).sum()) for number, name in enumerate(SPLITS)}
    counts["dropped"] = int((splits < 0).sum())
    handles = [Patch(facecolor=_COLORS[name], label=f"{name}: {count}") for name, count in counts.items()]
    page.figure.legend(handles=handles, loc="lower center", ncols=4, frameon=False, fontsize=8.5)
    page.save(path)


def _places(ground: Footprints) -> list[NDArray[np.int64]]:
    """Chips by plane, and by whole degrees that touch: places far apart would leave an empty map between them."""
    cells = np.column_stack([ground.plane, *(np.floor(v / METRES_PER_DEGREE) for v in (ground.x, ground.y))]).astype(
        int
    )
    unique, member = np.unique(cells, axis=0, return_inverse=True)
    label = np.arange(len(unique))
    for first in range(len(unique)):
        beside = (unique[:, 0] == unique[first, 0]) & (np.abs(unique[:, 1:] - unique[first, 1:]).max(axis=1) <= 1)
        label[np.isin(label, label[beside])] = label[beside].min()  # groups that meet here become one
    group = label[member.reshape(-1)]
    return [np.flatnonzero(group == number) for number in np.unique(group)]


def _draw_place(axes: Axes, ground: Footprints, splits: NDArray[np.int64], chips: NDArray[np.int64]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    on_earth = bool((ground.plane[chips] == 0).all())
    unit = METRES_PER_DEGREE if on_earth else 1.0
    for split, name in [(-1, "dropped"), *enumerate(SPLITS)]:
        corners = [
            Rectangle(
                ((ground.x[chip] - ground.half_width[chip]) / unit, (ground.y[chip] - ground.half_height[chip]) / unit),
                2 * ground.half_width[chip] / unit,
                2 * ground.half_height[chip] / unit,
            )
            for chip in chips[splits[chips] == split]
        ]
        axes.add_collection(PatchCollection(corners, facecolor=_COLORS[name], edgecolor="#ffffff", linewidth=0.5))
    axes.autoscale_view()
    axes.set_aspect(1 / float(ground.stretch[chips].mean()))
    if not on_earth:
        axes.invert_yaxis()
    axes.locator_params(nbins=4)
    axes.tick_params(labelsize=7, colors=INK)
    axes.set_xlabel("longitude" if on_earth else "column", fontsize=8, color=FAINT)
    axes.set_ylabel("latitude" if on_earth else "row", fontsize=8, color=FAINT)
