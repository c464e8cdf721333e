"""Picture of an explanation: the image, its heat map, and the heat over the image, written as PNG."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Shape
from lulc.io.figures.page import DPI, EDGE, INK, NODATA_GREY, Box, Page

COLOR_MAP = "inferno"
"""Perceptually uniform: equal steps of heat look equally large, in grey as well."""

_OUTLINE = "#35e0ff"
_SMALLEST, _LARGEST = 450, 900
_MARGIN, _GAP, _TOP, _CAPTION, _BAR, _BAR_LABELS = 30, 24, 92, 34, 18, 64
"""Pixels of the picture, as all sizes here."""

_LUMA = (0.299, 0.587, 0.114)
_VEIL = (0.10, 0.75)


def write_heat_figure(
    path: Path,
    colors: NDArray[np.uint8],
    heat_yx: NDArray[np.float32],
    title: str,
    subtitle: str = "",
    *,
    region_yx: NDArray[np.bool_] | None = None,
) -> None:
    """Draw and write the picture; its name never holds a part of it.

    Small images are enlarged by a whole number, pixel by pixel; nothing is blurred that the heat map does not blur.

    Args:
        path: PNG to write; replaced when it is there.
        colors: The image, uint8 (height, width, 3).
        heat_yx: float32 (height, width), 0..1; NaN where there is no data.
        title: First line, such as class and confidence.
        subtitle: Second line, such as what was explained and how.
        region_yx: bool (height, width), True for the pixels whose class is explained; outlined. None is the image.

    Raises:
        StorageError: The disk is full or refuses.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable

    color_map = colormaps[COLOR_MAP]
    layout = _Layout(Shape(*heat_yx.shape))
    page = Page(layout.width / DPI, layout.height / DPI)
    page.title(title, subtitle)
    known = np.isfinite(heat_yx)
    hot = np.where(known[..., None], color_map(np.nan_to_num(heat_yx))[..., :3], NODATA_GREY / 255)
    pictures = {"Image": colors, "Heat": hot, "Heat over the image": _veiled(colors, heat_yx, hot)}
    for index, (name, picture) in enumerate(pictures.items()):
        page.picture(layout.panel(index), picture, name, smooth=not layout.exact)
        if region_yx is not None and name != "Heat":
            height, width = region_yx.shape
            axes = page.axes(layout.panel(index), xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
            axes.axis("off")
            axes.add_collection(_outline(region_yx))
    bar = page.figure.colorbar(ScalarMappable(cmap=color_map), cax=page.axes(layout.bar), ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0", "0.5", "1"], fontsize=8, color=INK)
    bar.outline.set(edgecolor=EDGE, linewidth=0.6)
    page.save(path)


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in pixels of the picture: three panels in a row, the colour bar to the right."""

    shape: Shape

    @property
    def _scale(self) -> float:
        """Pixels of the picture per pixel of the image: a whole number where the image is not too large."""
        longest = max(self.shape.height, self.shape.width)
        return max(1, round(_SMALLEST / longest)) if longest <= _LARGEST else _LARGEST / longest

    @property
    def exact(self) -> bool:
        """True when every pixel of the image is a square of whole pixels."""
        return self._scale >= 1

    @property
    def _panel(self) -> tuple[int, int]:
        return max(1, round(self.shape.width * self._scale)), max(1, round(self.shape.height * self._scale))

    @property
    def width(self) -> int:
        """Of the page."""
        return 2 * _MARGIN + 3 * (max(self._panel[0], _SMALLEST // 2) + _GAP) + _BAR + _BAR_LABELS

    @property
    def height(self) -> int:
        """Of the page."""
        return _TOP + _CAPTION + self._panel[1] + _MARGIN

    def panel(self, index: int) -> Box:
        """Box of a panel."""
        width, height = self._panel
        left = _MARGIN + index * (max(width, _SMALLEST // 2) + _GAP)
        return left / DPI, (_TOP + _CAPTION) / DPI, width / DPI, height / DPI

    @property
    def bar(self) -> Box:
        """Box of the colour bar."""
        left = self.width - _MARGIN - _BAR_LABELS - _BAR
        return left / DPI, (_TOP + _CAPTION) / DPI, _BAR / DPI, self._panel[1] / DPI


def _veiled(colors: NDArray[np.uint8], heat_yx: NDArray[np.float32], hot: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image in grey under the colours of the heat, which cover it the more the hotter they are."""
    grey = (colors @ np.array(_LUMA) / 255)[..., None]
    least, most = _VEIL
    veil = (least + (most - least) * np.nan_to_num(heat_yx))[..., None]
    return np.where(np.isfinite(heat_yx)[..., None], grey * (1 - veil) + hot * veil, hot)


def _outline(region_yx: NDArray[np.bool_]) -> Any:  # noqa: ANN401 - matplotlib has no types
    """The edges between pixels of the region and others, along the pixels' sides."""
    from matplotlib.collections import LineCollection

    framed = np.pad(region_yx, 1)
    rows, columns = np.nonzero(framed[1:] != framed[:-1])
    across = np.stack([columns - 1.5, rows - 0.5, columns - 0.5, rows - 0.5], axis=1)
    rows, columns = np.nonzero(framed[:, 1:] != framed[:, :-1])
    down = np.stack([columns - 0.5, rows - 1.5, columns - 0.5, rows - 0.5], axis=1)
    edges = list(np.concatenate([across, down]).reshape(-1, 2, 2))
    return LineCollection(edges, colors=_OUTLINE, linewidths=0.7)
