"""A picture of a change map: where what changed, and the matrix of transitions."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from lulc.io.figures.agreement import FAINT, INK, new_figure, save, shortened, write_title
from lulc.io.figures.page import NODATA_GREY
from lulc.io.figures.quicklook import ground_of
from lulc.io.product.reader import open_product
from lulc.legend import NODATA_CODE, Legend

_MOST_PIXELS = 1400
_MAP_SIDE = 6.4
_MOST_LISTED = 12
_LINE, _TOP, _MARGIN, _GAP, _LEGEND = 0.21, 0.75, 0.2, 0.35, 3.2
_LONGEST_NAME = 20
_CELL = 0.5
_LEAST_SHOWN = 0.05


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
    picture, legend, aspect = _picture(product)
    shown = np.flatnonzero(hectares.sum(axis=0) + hectares.sum(axis=1) >= _LEAST_SHOWN)
    table, kept = hectares[np.ix_(shown, shown)], [names[place] for place in shown.tolist()]
    entries = _largest(hectares, legend)
    width, height = _map_size(picture.shape[0], picture.shape[1], aspect)
    label = 0.075 * max(map(len, kept), default=0) + 0.3
    side = _CELL * len(kept)
    middle = label + side + _GAP
    body = max(height, label + side, _LINE * len(entries))
    page = (2 * _MARGIN + width + _GAP + middle + _LEGEND, _TOP + body + _MARGIN)
    figure = new_figure(page)
    axes = figure.add_axes(_place(page, _MARGIN, _TOP, width, height))
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set(color="#bbbbbb", linewidth=0.6)
    left = _MARGIN + width + _GAP
    _draw_matrix(figure.add_axes(_place(page, left + label, _TOP + label, side, side)), table, kept)
    _draw_legend(figure, page, left + middle, entries)
    changed = float(hectares.sum() - np.trace(hectares))
    share = changed / max(float(hectares.sum()), 1e-12)
    write_title(
        figure, page, f"Changed: {changed:,.1f} ha of {hectares.sum():,.1f} ha ({share:.2%}), as counted", subtitle
    )
    save(figure, path)


def _map_size(rows: int, columns: int, aspect: float) -> tuple[float, float]:
    """Width and height of the map, inches, true to the ground and never too thin to be seen."""
    scale = _MAP_SIDE / max(rows * aspect, columns)
    return max(columns * scale, 0.5), max(rows * aspect * scale, 0.5)


def _picture(product: Path) -> tuple[NDArray[np.uint8], Legend, float]:
    """The transitions in their colours, at most 1400 pixels a side: uint8 (height, width, 3).

    Also the legend, and the height of a pixel on the ground in widths.
    """
    with open_product(product) as source:
        legend, ground = source.legend, ground_of(source.grid)
    with rasterio.open(product, driver="GTiff") as raster:
        step = max(1, ceil(max(raster.shape) / _MOST_PIXELS))
        shape = (1, ceil(raster.height / step), ceil(raster.width / step))
        codes = raster.read([1], out_shape=shape, resampling=Resampling.mode)[0].astype(np.uint8)
    colors = np.full((NODATA_CODE + 1, 3), NODATA_GREY, np.uint8)
    for entry in legend:
        colors[entry.code] = entry.rgb
    return colors[codes], legend, ground.height_m / ground.width_m if ground else 1.0


def _largest(hectares: NDArray[np.float64], legend: Legend) -> list[tuple[str, str, float]]:
    """Colour, name and hectares of the largest changes, then of what stays."""
    areas, count = hectares.ravel(), len(hectares)
    order = [place for place in np.argsort(-areas, kind="stable").tolist() if areas[place] > 0]
    moved = [place for place in order if place % (count + 1)]
    stays = [place for place in order if not place % (count + 1)]
    entries = [legend.classes[place] for place in (*moved[:_MOST_LISTED], *stays[:_MOST_LISTED])]
    return [(entry.color, entry.name, float(areas[entry.code - 1])) for entry in entries]


def _draw_matrix(axes: Any, table: NDArray[np.float64], names: Sequence[str]) -> None:  # noqa: ANN401 - matplotlib has no types
    """Colour by the hectares of changes; the diagonal, which would drown them, stays grey."""
    diagonal = np.eye(len(table), dtype=np.bool_)
    off = np.where(diagonal | (table < _LEAST_SHOWN), 0.0, table)
    largest = max(float(off.max(initial=0.0)), _LEAST_SHOWN)
    shades = np.where(off > 0, np.sqrt(off / largest), np.nan)
    axes.imshow(np.where(diagonal, 0.0, np.nan), cmap="Greys", vmin=-0.3, vmax=1.5, aspect="auto")
    axes.imshow(shades, cmap="Reds", vmin=-0.1, vmax=1.3, aspect="auto")
    axes.set_facecolor("#f7f7f7")
    for (row, column), area in np.ndenumerate(table):
        if area >= _LEAST_SHOWN:
            strong = row != column and area > 0.5 * largest
            axes.text(
                column, row, _short(area), ha="center", va="center", fontsize=6.5, color="white" if strong else INK
            )
    shortnames = [shortened(name, _LONGEST_NAME) for name in names]
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(len(names)), shortnames, rotation=90, fontsize=7.5, parse_math=False)
    axes.set_yticks(range(len(names)), shortnames, fontsize=7.5, parse_math=False)
    axes.set_xlabel("after, ha", fontsize=8, color=FAINT)
    axes.set_ylabel("before", fontsize=8, color=FAINT)
    axes.tick_params(length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)


def _draw_legend(
    figure: Any,  # noqa: ANN401
    page: tuple[float, float],
    left: float,
    entries: Sequence[tuple[str, str, float]],
) -> None:
    axes = figure.add_axes(_place(page, left, _TOP, _LEGEND, _LINE * max(len(entries), 1)))
    axes.set(xlim=(0, 1), ylim=(max(len(entries), 1), 0))
    axes.axis("off")
    for line, (color, name, area) in enumerate(entries):
        axes.add_patch(_rectangle(0, line + 0.12, 0.06, 0.76, color))
        words = {"fontsize": 8, "color": INK, "va": "center", "parse_math": False}
        axes.text(0.09, line + 0.5, shortened(name, 2 * _LONGEST_NAME), **words)
        axes.text(1, line + 0.5, f"{area:,.1f} ha", ha="right", **words)


def _rectangle(left: float, top: float, width: float, height: float, color: str) -> Any:  # noqa: ANN401
    from matplotlib.patches import Rectangle

    return Rectangle((left, top), width, height, facecolor=color, edgecolor="#bbbbbb", linewidth=0.4)


def _place(
    page: tuple[float, float], left: float, top: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """A rectangle in inches from the upper left, as matplotlib wants it."""
    return left / page[0], 1 - (top + height) / page[1], width / page[0], height / page[1]


def _short(area: float) -> str:
    """At most four digits: `0.4`, `37`, `1.2k`."""
    if area < 9.95:  # noqa: PLR2004
        return f"{area:.1f}"
    return f"{area:.0f}" if area < 999.5 else f"{area / 1000:.1f}k"  # noqa: PLR2004
