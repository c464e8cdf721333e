"""A picture of zones: their outlines on the map, and bars of what the largest of them hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from lulc.io.figures.map_figure import class_colors, draw_north, draw_scale
from lulc.io.figures.page import FAINT, INK, NODATA_GREY, Box, KeyRow, Page, fitting
from lulc.io.figures.quicklook import ReducedMap
from lulc.tasks.describe.zone_report import ZoneReport

_MOST_BARS = 20
_MANY = 200
"""Outlines of more zones are thinner."""

_SIDE, _MARGIN, _GAP, _TOP, _CAPTION = 6.2, 0.25, 0.3, 0.62, 0.3
_NAME, _BAR, _AREA, _LINE, _KEY_LINE = 1.75, 3.1, 0.95, 0.27, 0.25
_LONGEST_NAME = 30
_FONT, _LABEL = 8.0, 7.5
_THIN, _THICK, _RIM = 0.006, 0.011, 0.012
"""Widths of outlines and of the white beside them, inches."""

_KM2_FROM_HA = 100_000.0
_SEEN = 0.005
"""Share of no data, in any bar, from which the key has a row for it."""


def write_zone_figure(path: Path, drawn: ReducedMap, report: ZoneReport, title: str) -> None:
    """Draw the map with the outlines of zones, and what the largest zones hold.

    Args:
        path: PNG to write; replaced when it is there.
        drawn: The map, reduced.
        report: The zones.
        title: First line.

    Raises:
        StorageError: The disk is full or refuses.
    """
    numbers = [n for n in report.by_area if not shapely.is_empty(report.areas.placed.shapes[n])][:_MOST_BARS]
    width, height = _map_size(drawn)
    bars, key = _LINE * len(numbers), _key(report, numbers)
    left, right, keys = _MARGIN + width + _GAP, _NAME + _BAR + _AREA, _GAP + _KEY_LINE * len(key)
    below_map = max(height + keys, bars) < max(height, bars + keys)  # whichever makes the lower page
    body = max(height + keys, bars) if below_map else max(height, bars + keys)
    page = Page(left + right + _MARGIN, _TOP + _CAPTION + body + _MARGIN, margin=_MARGIN)
    count = len(report.names)
    page.title(title, f"{count} zone{'s' if count != 1 else ''} of {report.areas.zones.path.name}")
    top = _TOP + _CAPTION
    _draw_map(page, (_MARGIN, top, width, height), drawn, report, numbers)
    _draw_bars(page, (left, top, right, bars), report, numbers)
    corner = (_MARGIN, top + height + _GAP) if below_map else (left, top + bars + _GAP)
    page.key((*corner, _NAME + _BAR, keys - _GAP), key, _KEY_LINE, _LONGEST_NAME)
    page.save(path)


def _map_size(drawn: ReducedMap) -> tuple[float, float]:
    """Width and height of the map, inches, true to the ground and never too thin to be seen."""
    rows, columns = drawn.classes.shape
    tall = rows * (drawn.ground.height_m / drawn.ground.width_m if drawn.ground else 1.0)
    scale = _SIDE / max(tall, columns)
    return max(columns * scale, 0.5), max(tall * scale, 0.5)


def _key(report: ZoneReport, numbers: Sequence[int]) -> list[KeyRow]:
    """The classes that the bars show, and no data where it is to be seen."""
    seen = report.areas.classes_ha[numbers].sum(axis=0) > 0
    rows = [KeyRow(entry.color, entry.name, ()) for entry, there in zip(report.legend, seen, strict=True) if there]
    if (1 - report.areas.mapped_share[numbers] > _SEEN).any():
        rows.append(KeyRow("#" + 3 * f"{NODATA_GREY:02x}", "not in the map, or no data", ()))
    return rows


def _draw_map(page: Page, box: Box, drawn: ReducedMap, report: ZoneReport, numbers: Sequence[int]) -> None:
    page.picture(box, class_colors(drawn.classes, drawn.legend), "Zones on the map, as numbered at the right")
    left, top, width, height = box
    rows, columns = drawn.classes.shape
    scale = np.array([width / (columns * drawn.step), height / (rows * drawn.step)])
    shapes = shapely.simplify(report.areas.placed.shapes, drawn.step / 2)
    line = _THICK if len(shapes) <= _MANY else _THIN
    with page.shapes(box) as (draw, dots):
        rings = [shapely.get_coordinates(ring) * scale * dots for ring in _rings(shapes)]
        for color, wide in (((255, 255, 255, 170), line + _RIM), (INK, line)):
            for ring in rings:
                draw.line([tuple(point) for point in ring.tolist()], fill=color, width=max(1, round(dots * wide)))
    for position, n in enumerate(numbers, 1):
        place = shapely.get_coordinates(shapely.point_on_surface(report.areas.placed.shapes[n]))[0] * scale
        page.text(left + place[0], top + place[1], str(position), _LABEL, anchor="mm", bold=True, halo=True)
    if drawn.ground:
        draw_scale(page, box, columns * drawn.ground.width_m)
        draw_north(page, box, drawn.ground.north_deg)


def _rings(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Outlines and holes of shapes that are there."""
    polygons = shapely.get_parts(shapes)
    rings: NDArray[np.object_] = shapely.get_rings(polygons[~shapely.is_empty(polygons)])
    return rings


def _draw_bars(page: Page, box: Box, report: ZoneReport, numbers: Sequence[int]) -> None:
    """A bar for each zone: shares of its classes, in the colours of the legend, then what has no data."""
    left, top, _, _ = box
    most = f"The {len(numbers)} with most mapped area" if len(numbers) < len(report.names) else "All zones"
    page.text(left, top - 0.06, f"{most}: classes as counted, shares of the zone", 8.5, color=FAINT, anchor="ls")
    in_km2 = report.areas.placed.hectares[numbers].max(initial=0) >= _KM2_FROM_HA
    for position, n in enumerate(numbers, 1):
        middle = top + (position - 0.5) * _LINE
        page.text(left + 0.2, middle, str(position), _FONT, anchor="rm", bold=True)
        page.text(left + 0.28, middle, fitting(report.names[n], _NAME - 0.36, _FONT), _FONT, anchor="lm")
        _draw_bar(page, (left + _NAME, middle - 0.36 * _LINE, _BAR, 0.72 * _LINE), report, n)
        hectares = float(report.areas.placed.hectares[n])
        area = f"{hectares / 100:,.0f} km²" if in_km2 else f"{hectares:,.0f} ha"
        page.text(left + _NAME + _BAR + _AREA, middle, area, _FONT, color=FAINT, anchor="rm")


def _draw_bar(page: Page, box: Box, report: ZoneReport, n: int) -> None:
    shares = np.nan_to_num(report.areas.shares[n]) * report.areas.mapped_share[n]
    ends = np.concatenate([[0.0], np.cumsum(shares)])
    with page.shapes(box) as (draw, dots):
        width, height = box[2] * dots, box[3] * dots
        draw.rectangle((0, 0, width, height), fill=(NODATA_GREY,) * 3)
        for entry, begin, end in zip(report.legend, ends[:-1], ends[1:], strict=True):
            if end > begin:
                draw.rectangle((begin * width, 0, end * width, height), fill=entry.color)
