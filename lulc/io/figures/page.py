"""The page of a quick look: panels, legend with areas, scale bar and north arrow, written as a PNG."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Shape
from lulc.io.files.durable import write_whole
from lulc.legend import NODATA_CODE, Legend

NODATA_GREY = 235
"""Red, green and blue of a pixel without data."""

_SHOWN_THOUGH_ABSENT = 20
"""Legends of more classes, such as all transitions of a change map, show those that occur alone."""

_KM2_FROM_HA = 10_000.0
_DPI = 150
_TALLEST, _WIDEST = 6.0, 6.0
_SIDE_BY_SIDE = 1.7
_MARGIN, _GAP, _TOP, _CAPTION, _LEGEND = 0.25, 0.2, 0.62, 0.3, 3.05
_INK, _FAINT = "#222222", "#6b6b6b"


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
        areas_ha: Hectares by class name; shares come from the pixels where it is None or holds None.
        title: First line, such as the scene's name.
        subtitle: Second line, such as the model's name.
        ground: Size of a pixel, for the scale bar, the north arrow and the shape of the picture.

    Raises:
        StorageError: The disk is full or refuses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [("True colour", rgb)] if rgb is not None else []
    panels.append(("Land cover", _colored(classes, legend)))
    aspect = ground.height_m / ground.width_m if ground else 1.0
    rows = _rows(classes, legend, areas_ha)
    page = _Page(Shape(*classes.shape), len(panels), len(rows), aspect)
    figure = Figure(figsize=page.size, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    _write_title(figure, page, title, subtitle)
    for position, (name, picture) in enumerate(panels):
        axes = figure.add_axes(page.panel(position))
        axes.imshow(picture, aspect="auto", interpolation="nearest" if position == len(panels) - 1 else "antialiased")
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=9, color=_FAINT, loc="left", pad=4)
        for edge in axes.spines.values():
            edge.set(color="#bbbbbb", linewidth=0.6)
    if ground:
        _draw_scale(axes, classes.shape[1], ground.width_m, page)
        _draw_north(axes, ground.north_deg, page)
    _write_legend(figure.add_axes(page.legend()), rows, page)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_whole(path, buffer.getvalue())


@dataclass(frozen=True)
class _Page:
    """Where everything stands, in inches: panels beside or above each other, the legend to the right."""

    shape: Shape
    panels: int
    classes: int
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
    def size(self) -> tuple[float, float]:
        """Width and height of the page."""
        rows, columns = self._grid
        width, height = self.panel_size
        body = max(rows * height + (rows - 1) * (_GAP + _CAPTION), 0.29 * (self.classes + 2))
        return 2 * _MARGIN + columns * width + columns * _GAP + _LEGEND, _TOP + _CAPTION + body + _MARGIN

    def fraction(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """A rectangle in inches from the upper left, as matplotlib wants it."""
        page_width, page_height = self.size
        return left / page_width, 1 - (top + height) / page_height, width / page_width, height / page_height

    def panel(self, position: int) -> tuple[float, float, float, float]:
        """Rectangle of a panel."""
        width, height = self.panel_size
        row, column = (position, 0) if self._stacked else (0, position)
        left = _MARGIN + column * (width + _GAP)
        return self.fraction(left, _TOP + _CAPTION + row * (height + _GAP + _CAPTION), width, height)

    def legend(self) -> tuple[float, float, float, float]:
        """Rectangle of the legend."""
        width, height = self.size
        body = height - _TOP - _CAPTION - _MARGIN
        return self.fraction(width - _MARGIN - _LEGEND, _TOP + _CAPTION, _LEGEND, body)


@dataclass(frozen=True)
class _LegendRow:
    color: str
    name: str
    area: str
    share: str


def _rows(classes: NDArray[np.uint8], legend: Legend, areas_ha: Mapping[str, float | None] | None) -> list[_LegendRow]:
    counts = np.bincount(classes.ravel(), minlength=NODATA_CODE + 1)[1 : len(legend) + 1].astype(float)
    areas = [(areas_ha or {}).get(entry.name) for entry in legend]
    weights = counts if any(area is None for area in areas) else np.array(areas, dtype=float)
    shares = 100 * weights / max(weights.sum(), 1e-12)
    unit_km2 = max((area or 0 for area in areas), default=0) >= _KM2_FROM_HA
    return [
        _LegendRow(entry.color, entry.name, _area(area, in_km2=unit_km2), _share(share))
        for entry, area, share in zip(legend, areas, shares, strict=True)
        if share > 0 or len(legend) <= _SHOWN_THOUGH_ABSENT
    ]


def _area(hectares: float | None, *, in_km2: bool) -> str:
    if hectares is None:
        return ""
    value, unit = (hectares / 100, "km²") if in_km2 else (hectares, "ha")
    return f"{value:,.0f} {unit}" if value >= 100 or value == 0 else f"{value:,.1f} {unit}"  # noqa: PLR2004


def _share(percent: float) -> str:
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"  # noqa: PLR2004


def _write_title(figure: Any, page: _Page, title: str, subtitle: str) -> None:  # noqa: ANN401 - matplotlib has no types
    left, top, _, _ = page.fraction(_MARGIN, 0.22, 0, 0)
    longest = int((page.size[0] - 2 * _MARGIN) * 10)
    plain = {"va": "top", "parse_math": False}
    figure.text(left, top, _shortened(title, longest), fontsize=12, color=_INK, weight="bold", **plain)
    below = page.fraction(0, 0.45, 0, 0)[1]
    figure.text(left, below, _shortened(subtitle, longest), fontsize=8.5, color=_FAINT, **plain)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest // 2 - 1]}…{text[-longest // 2 + 1 :]}"


def _write_legend(axes: Any, rows: Sequence[_LegendRow], page: _Page) -> None:  # noqa: ANN401
    height = page.size[1] - _TOP - _CAPTION - _MARGIN
    axes.set(xlim=(0, _LEGEND), ylim=(height, 0))
    axes.axis("off")
    step = min(0.29, height / (len(rows) + 1))
    for number, row in enumerate(rows):
        middle = (number + 0.5) * step
        axes.add_patch(_swatch(row.color, middle, 0.6 * step))
        axes.text(0.3, middle, _shortened(row.name, 20), fontsize=9, color=_INK, va="center", parse_math=False)
        axes.text(2.4, middle, row.area, fontsize=8.5, color=_INK, va="center", ha="right")
        axes.text(_LEGEND, middle, row.share, fontsize=8.5, color=_FAINT, va="center", ha="right")


def _swatch(color: str, middle: float, side: float) -> Any:  # noqa: ANN401
    from matplotlib.patches import Rectangle

    return Rectangle((0.02, middle - side / 2), side, side, facecolor=color, edgecolor="#00000040", linewidth=0.5)


def _draw_scale(axes: Any, width: int, metres_per_pixel: float, page: _Page) -> None:  # noqa: ANN401
    """A bar of a round length, about a fifth of the panel, in its lower left corner."""
    length = _round_length(width * metres_per_pixel / 5)
    panel_width, panel_height = page.panel_size
    left, bottom = 0.12 / panel_width, 0.14 / panel_height
    right = left + length / (width * metres_per_pixel)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"  # noqa: PLR2004
    halo = _halo()
    axes.plot([left, right], [bottom, bottom], transform=axes.transAxes, color=_INK, linewidth=2, path_effects=halo)
    axes.text(
        (left + right) / 2,
        bottom + 0.06 / panel_height,
        text,
        transform=axes.transAxes,
        fontsize=8,
        color=_INK,
        ha="center",
        va="bottom",
        path_effects=halo,
    )


def _draw_north(axes: Any, north_deg: float, page: _Page) -> None:  # noqa: ANN401
    """An arrow to true north in the upper right corner."""
    panel_width, panel_height = page.panel_size
    angle, reach = np.deg2rad(north_deg), 0.13
    right, top = panel_width - 0.3, panel_height - 0.3
    across, up = reach * np.sin(angle), reach * np.cos(angle)
    tip = ((right + across) / panel_width, (top + up) / panel_height)
    tail = ((right - across) / panel_width, (top - up) / panel_height)
    arrow = {"arrowstyle": "-|>", "color": _INK, "linewidth": 1.4, "path_effects": _halo(), "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", tip, tail, xycoords="axes fraction", textcoords="axes fraction", arrowprops=arrow)
    label = ((right - 1.9 * across) / panel_width, (top - 1.9 * up) / panel_height)
    axes.text(
        *label,
        "N",
        transform=axes.transAxes,
        fontsize=8,
        color=_INK,
        ha="center",
        va="center",
        path_effects=_halo(),
    )


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="white", alpha=0.85)]


def _round_length(metres: float) -> float:
    """Largest of 1, 2, 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(metres))
    return float(power * max(factor for factor in (1, 2, 5) if factor * power <= metres))


def _colored(classes: NDArray[np.uint8], legend: Legend) -> NDArray[np.uint8]:
    """Class colours, uint8 (height, width, 3); pale grey without data."""
    table = np.full((NODATA_CODE + 1, 3), NODATA_GREY, np.uint8)
    for entry in legend:
        table[entry.code] = entry.rgb
    return table[classes]
