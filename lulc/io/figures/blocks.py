"""A map of which ground went to which split."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.footprints import METRES_PER_DEGREE, Footprints
from lulc.split import SPLITS

_COLORS = {"train": "#8fb8de", "val": "#e49635", "test": "#c4281b", "dropped": "#d9dde2"}
_MOST_PANELS = 12
_COLUMNS = 4
_INK = "#1f2933"


def draw_blocks(path: Path, ground: Footprints, splits: NDArray[np.int64], title: str) -> None:
    """Write a PNG with one rectangle a chip, coloured by split; chips left out for the gap are grey.

    Args:
        path: The picture.
        ground: Where the chips lie; places far from each other get panels of their own.
        splits: Index into `SPLITS`, or -1: int64 (n,).
        title: Its title.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    groups = _places(ground)
    shown = groups[:_MOST_PANELS]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(max(4.5, 3.2 * columns), 3.2 * rows + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    if len(shown) < len(groups):
        title = f"{title}: {len(shown)} of {len(groups)} places"
    figure.suptitle(title, fontsize=11, color=_INK, parse_math=False)
    for number, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        if number < len(shown):
            _draw_place(axes, ground, splits, shown[number])
        else:
            axes.axis("off")
    counts = {name: int((splits == number).sum()) for number, name in enumerate(SPLITS)}
    counts["dropped"] = int((splits < 0).sum())
    handles = [
        Patch(facecolor=_COLORS[name], edgecolor="#ffffff", label=f"{name}: {count}") for name, count in counts.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)


def _places(ground: Footprints) -> list[NDArray[np.int64]]:
    """Chips by plane, and by whole degrees that touch: places far apart would leave an empty map between them."""
    cells = np.column_stack([ground.plane, *(np.floor(v / METRES_PER_DEGREE) for v in (ground.x, ground.y))]).astype(
        int
    )
    unique, member = np.unique(cells, axis=0, return_inverse=True)
    label = np.arange(len(unique))
    for _ in range(len(unique)):
        before = label.copy()
        for first in range(len(unique)):
            beside = (unique[:, 0] == unique[first, 0]) & (np.abs(unique[:, 1:] - unique[first, 1:]).max(axis=1) <= 1)
            label[beside] = label[beside].min()
        if (label == before).all():
            break
    place = label[member.reshape(-1)]
    return [np.flatnonzero(place == number) for number in np.unique(place)]


def _draw_place(axes: object, ground: Footprints, splits: NDArray[np.int64], chips: NDArray[np.int64]) -> None:
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
        axes.add_collection(PatchCollection(corners, facecolor=_COLORS[name], edgecolor="#ffffff", linewidth=0.5))  # type: ignore[attr-defined]
    axes.autoscale_view()  # type: ignore[attr-defined]
    axes.set_aspect(1 / float(ground.stretch[chips].mean()))  # type: ignore[attr-defined]
    if not on_earth:
        axes.invert_yaxis()  # type: ignore[attr-defined]
    axes.tick_params(labelsize=7)  # type: ignore[attr-defined]
    axes.set_xlabel("longitude" if on_earth else "column", fontsize=8)  # type: ignore[attr-defined]
    axes.set_ylabel("latitude" if on_earth else "row", fontsize=8)  # type: ignore[attr-defined]
