"""A map for people: its classes beside the scene in true colour, a key with areas, a scale bar and a north arrow."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Shape
from lulc.io.figures.page import INK, NODATA_GREY, Axes, Box, KeyRow, Page
from lulc.legend import NODATA_CODE, Legend

_SHOWN_THOUGH_ABSENT = 20
"""Legends of more classes, such as all transitions of a change map, show those that occur alone."""

_KM2_FROM_HA = 10_000.0
_TALLEST, _WIDEST = 6.0, 6.0
_SIDE_BY_SIDE = 1.7
_MARGIN, _GAP, _TOP, _CAPTION, _LEGEND, _LINE = 0.25, 0.2, 0.62, 0.3, 3.05, 0.29
_LONGEST_NAME = 20


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
        axes = page.picture(layout.panel(index), pixels, name, smooth=index < len(panels) - 1)
    if ground:
        _draw_scale(axes, classes.shape[1] * ground.width_m, layout.panel_size)
        _draw_north(axes, ground.north_deg, layout.panel_size)
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


def _draw_scale(axes: Axes, width_m: float, panel: tuple[float, float]) -> None:
    """A bar of a round length, about a fifth of the panel, in its lower left corner."""
    length = _round_length(width_m / 5)
    left, bottom = 0.12 / panel[0], 0.14 / panel[1]
    right = left + length / width_m
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"  # noqa: PLR2004
    halo = _halo(axes)
    axes.plot([left, right], [bottom, bottom], linewidth=2, **halo)
    axes.text((left + right) / 2, bottom + 0.06 / panel[1], text, fontsize=8, ha="center", va="bottom", **halo)


def _draw_north(axes: Axes, north_deg: float, panel: tuple[float, float]) -> None:
    """An arrow to true north in the upper right corner."""
    width, height = panel
    angle, length = np.deg2rad(north_deg), 0.13
    right, top = width - 0.3, height - 0.3
    across, up = length * np.sin(angle), length * np.cos(angle)
    halo = _halo(axes)
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    arrow["path_effects"] = halo["path_effects"]
    tip = (right + across) / width, (top + up) / height
    tail = (right - across) / width, (top - up) / height
    axes.annotate("", tip, tail, xycoords="axes fraction", textcoords="axes fraction", arrowprops=arrow)
    label = (right - 1.9 * across) / width, (top - 1.9 * up) / height
    axes.text(*label, "N", fontsize=8, ha="center", va="center", **halo)


def _halo(axes: Axes) -> dict[str, Any]:
    """Ink on any ground, at fractions of the axes."""
    from matplotlib.patheffects import withStroke

    stroke = withStroke(linewidth=3, foreground="white", alpha=0.85)
    return {"transform": axes.transAxes, "color": INK, "path_effects": [stroke]}


def _round_length(metres: float) -> float:
    """Largest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(metres))
    return float(power * max(factor for factor in (1, 2, 5) if factor * power <= metres))
