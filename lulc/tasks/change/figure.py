"""A picture of a change map: where what changed, and the matrix of transitions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.io.figures.map_figure import class_colors
from lulc.io.figures.page import INK, Axes, KeyRow, Page, label_matrix, shortened
from lulc.io.figures.quicklook import ReducedMap
from lulc.legend import Legend
from lulc.tasks.change.report import LEAST_SHOWN, changes_in

_MAP_SIDE = 6.4
_MOST_LISTED = 12
_LINE, _TOP, _MARGIN, _GAP, _LEGEND = 0.21, 0.75, 0.2, 0.35, 3.2
_LONGEST_NAME = 20
_CELL = 0.5


def write_change_figure(
    path: Path, product: Path, hectares: NDArray[np.float64], names: Sequence[str], subtitle: str
) -> None:
    """Draw the map, its largest changes as a legend, and the matrix.

    Args:
        path: PNG to write; replaced when it is there.
        product: The change map.
        hectares: float64 (K, K) of each transition as counted, rows before, columns after.
        names: The K classes.
        subtitle: Such as the two dates.

    Raises:
        StorageError: The disk is full or refuses.
    """
    drawn = ReducedMap.of(product)
    shown = np.flatnonzero(hectares.sum(axis=0) + hectares.sum(axis=1) >= LEAST_SHOWN)
    table, kept = hectares[np.ix_(shown, shown)], [names[k] for k in shown.tolist()]
    rows = _largest(hectares, drawn.legend)
    width, height = _map_size(drawn)
    label = 0.075 * max(map(len, kept), default=0) + 0.3
    side = _CELL * len(kept)
    body = max(height, label + side, _LINE * len(rows))
    left = _MARGIN + width + _GAP
    right = left + label + side + _GAP
    page = Page(right + _LEGEND + _MARGIN, _TOP + body + _MARGIN)
    whole, changed = float(hectares.sum()), float(changes_in(hectares).sum())
    page.title(
        f"Changed: {changed:,.1f} ha of {whole:,.1f} ha ({changed / max(whole, 1e-12):.2%}), as counted", subtitle
    )
    page.picture((_MARGIN, _TOP, width, height), class_colors(drawn.classes, drawn.legend))
    _draw_matrix(page.axes((left + label, _TOP + label, side, side)), table, kept)
    page.key((right, _TOP, _LEGEND, body), rows, _LINE, 2 * _LONGEST_NAME)
    page.save(path)


def _map_size(drawn: ReducedMap) -> tuple[float, float]:
    """Width and height of the map, inches, true to the ground and never too thin to be seen."""
    rows, columns = drawn.classes.shape
    tall = rows * (drawn.ground.height_m / drawn.ground.width_m if drawn.ground else 1.0)
    scale = _MAP_SIDE / max(tall, columns)
    return max(columns * scale, 0.5), max(tall * scale, 0.5)


def _largest(hectares: NDArray[np.float64], legend: Legend) -> list[KeyRow]:
    """The largest changes, then what stays."""
    areas, count = hectares.ravel(), len(hectares)
    order = [k for k in np.argsort(-areas, kind="stable").tolist() if areas[k] > 0]
    moved = [k for k in order if k % (count + 1)]
    stays = [k for k in order if not k % (count + 1)]
    entries = [legend.classes[k] for k in (*moved[:_MOST_LISTED], *stays[:_MOST_LISTED])]
    return [KeyRow(entry.color, entry.name, (f"{areas[entry.code - 1]:,.1f} ha",)) for entry in entries]


def _draw_matrix(axes: Axes, table: NDArray[np.float64], names: Sequence[str]) -> None:
    """Colour by the hectares of changes; the diagonal, which would drown them, stays grey."""
    diagonal = np.eye(len(table), dtype=np.bool_)
    off = np.where(diagonal | (table < LEAST_SHOWN), 0.0, table)
    largest = max(float(off.max(initial=0.0)), LEAST_SHOWN)
    shades = np.where(off > 0, np.sqrt(off / largest), np.nan)
    axes.imshow(np.where(diagonal, 0.0, np.nan), cmap="Greys", vmin=-0.3, vmax=1.5, aspect="auto")
    axes.imshow(shades, cmap="Reds", vmin=-0.1, vmax=1.3, aspect="auto")
    axes.set_facecolor("#f7f7f7")
    for (row, column), area in np.ndenumerate(table):
        if area >= LEAST_SHOWN:
            strong = row != column and area > 0.5 * largest
            color = "white" if strong else INK
            axes.text(column, row, _short(area), ha="center", va="center", fontsize=6.5, color=color)
    label_matrix(axes, [shortened(name, _LONGEST_NAME) for name in names], "before", "after, ha", 7.5)


def _short(area: float) -> str:
    """At most four digits: `0.4`, `37`, `1.2k`."""
    if area < 9.95:  # noqa: PLR2004
        return f"{area:.1f}"
    return f"{area:.0f}" if area < 999.5 else f"{area / 1000:.1f}k"  # noqa: PLR2004
