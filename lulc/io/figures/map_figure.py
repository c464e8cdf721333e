"""A map for people: its classes beside the scene in true colour, a key with areas, a scale bar and a north arrow."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Shape
from lulc.io.figures.page import INK, NODATA_GREY, Box, KeyRow, Page
from lulc.legend import NODATA_CODE, Legend

_SHOWN_THOUGH_ABSENT = 20
"""Legends of more classes, such as all transitions of a change map, show those that occur alone."""

_KM2_FROM_HA = 10_000.0
_TALLEST, _WIDEST = 6.0, 6.0
_SIDE_BY_SIDE = 1.7
_MARGIN, _GAP, _TOP, _CAPTION, _LEGEND, _LINE = 0.25, 0.2, 0.62, 0.3, 3.05, 0.29
_LONGEST_NAME = 20
_INSET, _ARROW, _RIM, _HALO = 0.16, 0.13, 0.02, (255, 255, 255, 217)


@dataclass(frozen=True)
class Ground:
    """Size and direction of a pixel on the ground, at the middle of the scene.

    Attributes:
        width_m: Along a row, metres.
        height_m: Along a column, metres.
        north_deg: Direction of true north in the picture, degrees clockwise from up.
    """

    width_m: float
    height_m: float
    north_deg: float


def write_quicklook(
    path: Path,
    rgb: NDArray[np.uint8] | None,
    classes: NDArray[np.uint8],
    legend: Legend,
    areas_ha: Mapping[str, float | None] | None,
    title: str,
    *,
    subtitle: str = "",
    ground: Ground | None = None,
) -> None:
    """Draw and write the picture; its name never holds a part of it.

    Args:
        path: PNG to write.
        rgb: True colour, uint8 (height, width, 3), or None to draw the class map alone.
        classes: Class codes, uint8 (height, width), 255 nodata.
        legend: Names and colours.
        areas_ha: Hectares by class name; percentages come from the pixels where it is None or holds None.
        title: First line, such as the scene's name.
        subtitle: Second line, such as the model's name.
        ground: Size of a pixel, for the scale bar, the north arrow and the shape of the picture.

    Raises:
        StorageError: The disk is full or refuses.
    """
    panels = [("True colour", rgb)] if rgb is not None else []
    panels.append(("Land cover", class_colors(classes, legend)))
    aspect = ground.height_m / ground.width_m if ground else 1.0
    rows = _rows(classes, legend, areas_ha)
    layout = _Layout(Shape(*classes.shape), len(panels), len(rows), aspect)
    page = Page(*layout.page, margin=_MARGIN)
    page.title(title, subtitle)
    for index, (name, pixels) in enumerate(panels):
        page.picture(layout.panel(index), pixels, name, smooth=index < len(panels) - 1)
    if ground:
        last = layout.panel(len(panels) - 1)
        draw_scale(page, last, classes.shape[1] * ground.width_m)
        draw_north(page, last, ground.north_deg)
    page.key(layout.legend, rows, _LINE, _LONGEST_NAME)
    page.save(path)


def class_colors(classes: NDArray[np.uint8], legend: Legend) -> NDArray[np.uint8]:
    """Colours of class codes, uint8 (height, width, 3); pale grey without data."""
    table = np.full((NODATA_CODE + 1, 3), NODATA_GREY, np.uint8)
    for entry in legend:
        table[entry.code] = entry.rgb
    return table[classes]


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in inches: panels beside or above each other, the key to the right."""

    shape: Shape
    panels: int
    rows: int
    aspect: float

    @property
    def _stacked(self) -> bool:
        return self.shape.width > _SIDE_BY_SIDE * self.shape.height * self.aspect

    @property
    def _grid(self) -> tuple[int, int]:
        return (self.panels, 1) if self._stacked else (1, self.panels)

    @property
    def panel_size(self) -> tuple[float, float]:
        """Width and height of one panel; never so thin that nothing can be seen."""
        ratio = self.shape.height * self.aspect / self.shape.width
        widest = _WIDEST * 1.4 if self._stacked else _WIDEST
        tallest = _TALLEST / self._grid[0] * (1.2 if self._stacked else 1)
        width = min(widest, tallest / ratio)
        return max(width, 0.5), max(width * ratio, 0.5)

    @property
    def page(self) -> tuple[float, float]:
        """Width and height of the page."""
        rows, columns = self._grid
        width, height = self.panel_size
        body = max(rows * height + (rows - 1) * (_GAP + _CAPTION), _LINE * (self.rows + 2))
        return 2 * _MARGIN + columns * width + columns * _GAP + _LEGEND, _TOP + _CAPTION + body + _MARGIN

    def panel(self, index: int) -> Box:
        """Box of a panel."""
        width, height = self.panel_size
        row, column = (index, 0) if self._stacked else (0, index)
        left = _MARGIN + column * (width + _GAP)
        return left, _TOP + _CAPTION + row * (height + _GAP + _CAPTION), width, height

    @property
    def legend(self) -> Box:
        """Box of the key."""
        width, height = self.page
        return width - _MARGIN - _LEGEND, _TOP + _CAPTION, _LEGEND, height - _TOP - _CAPTION - _MARGIN


def _rows(classes: NDArray[np.uint8], legend: Legend, areas_ha: Mapping[str, float | None] | None) -> list[KeyRow]:
    """Area, where known, and percentage of each class."""
    counts = np.bincount(classes.ravel(), minlength=NODATA_CODE + 1)[1 : len(legend) + 1].astype(float)
    areas = [(areas_ha or {}).get(entry.name) for entry in legend]
    weights = counts if any(area is None for area in areas) else np.array(areas, dtype=float)
    percents = 100 * weights / max(weights.sum(), 1e-12)
    in_km2 = max((area or 0 for area in areas), default=0) >= _KM2_FROM_HA
    return [
        KeyRow(entry.color, entry.name, (_area(area, in_km2=in_km2), _percent(percent)))
        for entry, area, percent in zip(legend, areas, percents, strict=True)
        if percent > 0 or len(legend) <= _SHOWN_THOUGH_ABSENT
    ]


def _area(hectares: float | None, *, in_km2: bool) -> str:
    if hectares is None:
        return ""
    value, unit = (hectares / 100, "km²") if in_km2 else (hectares, "ha")
    return f"{value:,.0f} {unit}" if value >= 100 or value == 0 else f"{value:,.1f} {unit}"  # noqa: PLR2004


def _percent(percent: float) -> str:
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"  # noqa: PLR2004


def draw_scale(page: Page, panel: Box, width_m: float) -> None:
    """A bar of a round length, about a fifth of the panel, in its lower left corner."""
    left, top, width, height = panel
    length = _round_length(width_m / 5)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"  # noqa: PLR2004
    start, along, below = left + _INSET, length / width_m * width, top + height - _INSET
    with page.shapes((start - _RIM, below - 2 * _RIM, along + 2 * _RIM, 4 * _RIM)) as (draw, dots):
        for color, rim in ((_HALO, _RIM / 2), (INK, 0.0)):
            edges = (_RIM - rim, 1.3 * _RIM - rim, _RIM + along + rim, 2.7 * _RIM + rim)
            draw.rectangle([dots * edge for edge in edges], fill=color)
    page.text(start + along / 2, below - 0.05, text, 8, anchor="ms", halo=True)


def draw_north(page: Page, panel: Box, north_deg: float) -> None:
    """An arrow to true north in the upper right corner."""
    left, top, width, _ = panel
    side = 2 * _INSET + 2 * _ARROW
    across, up = np.sin(np.deg2rad(north_deg)), np.cos(np.deg2rad(north_deg))
    center = np.array([side / 2, side / 2])
    ahead, beside = np.array([across, -up]), np.array([up, across])
    tip, tail = center + _ARROW * ahead, center - _ARROW * ahead
    neck = tip - 0.11 * ahead
    head = [tip, neck + 0.045 * beside, neck - 0.045 * beside]
    corner = left + width - side, top
    with page.shapes((*corner, side, side)) as (draw, dots):
        shaft, around = ([tuple(dots * point) for point in points] for points in ((tail, neck), (*head, *head[:2])))
        for color, rim in ((_HALO, _RIM), (INK, 0.0)):
            draw.line(shaft, fill=color, width=round(dots * (_RIM + rim)))
            draw.line(around, fill=color, width=round(dots * rim) or 1, joint="curve")
            draw.polygon(around[:3], fill=color)
    x, y = np.array(corner) + center - 1.9 * _ARROW * ahead
    page.text(float(x), float(y), "N", 8, anchor="mm", halo=True)


def _round_length(metres: float) -> float:
    """Largest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(metres))
    return float(power * max(factor for factor in (1, 2, 5) if factor * power <= metres))
