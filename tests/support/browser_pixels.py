"""What the page draws, pixel by pixel, beside the product that it draws."""

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from lulc.io.product.reader import open_product
from lulc.legend import NODATA_CODE
from tests.support.browser import settle

_REACH = 100
_LIVELY = 60
_TRIED = 20


@dataclass
class Product:
    """A product as rasterio reads it: class codes, activations 0..250, where its pixels lie."""

    path: Path

    def __post_init__(self) -> None:
        with open_product(self.path) as product:
            self.legend, self._grid = product.legend, product.grid
        with rasterio.open(self.path) as source:
            stored = source.read()
        self.codes: NDArray[np.uint8] = stored[0]
        self.activations: NDArray[np.uint8] = stored[1 : 1 + len(self.legend)]

    @cached_property
    def confidence(self) -> NDArray[np.uint8]:
        return np.asarray(self.activations.max(axis=0))

    def color(self, code: int) -> tuple[int, int, int]:
        return self.legend.classes[code - 1].rgb

    def colors_of(self, shown: "Sample") -> NDArray[np.uint8]:
        """What the classes of pixels look like on the map."""
        return np.array([self.color(code) for code in self.codes[shown.rows, shown.cols]])

    def name(self, code: int) -> str:
        return self.legend.classes[code - 1].name

    @cached_property
    def inside_classes(self) -> NDArray[np.bool_]:
        """Pixels whose eight neighbours have their class."""
        padded = np.pad(self.codes, 1)
        height, width = self.codes.shape
        around = [padded[y : y + height, x : x + width] == self.codes for y in range(3) for x in range(3)]
        return np.asarray(np.logical_and.reduce(around)) & (self.codes != NODATA_CODE)

    @cached_property
    def liveliest(self) -> tuple[int, int]:
        """Middle of the part of the product with most classes."""
        side, (height, width) = _LIVELY, self.codes.shape
        corners = [
            (row, col) for row in range(0, height - side, side // 2) for col in range(0, width - side, side // 2)
        ]
        kinds = self.inside_classes * self.codes.astype(int)

        def evenness(corner: tuple[int, int]) -> float:
            counts = np.bincount(
                kinds[corner[0] : corner[0] + side, corner[1] : corner[1] + side].ravel(), minlength=11
            )
            return float(np.sqrt(counts[1:11]).sum())

        row, col = max(corners, key=evenness)
        return row + side // 2, col + side // 2

    def places(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64], max_zoom: int | None = None
    ) -> list[list[float]]:
        """Latitude and longitude of the middles of pixels; in pixel space, Leaflet's numbers for them."""
        if max_zoom is not None:
            return (np.stack([-(rows + 0.5), cols + 0.5], axis=1) / 2**max_zoom).tolist()
        return self._grid.longitudes_latitudes(cols + 0.5, rows + 0.5)[:, ::-1].tolist()

    def place(self, row: int, col: int, max_zoom: int | None = None) -> list[float]:
        """That of one pixel."""
        return self.places(np.array([row]), np.array([col]), max_zoom)[0]


def look_at(page: Page, product: Product, pixel: tuple[int, int], *, max_zoom: int | None = None) -> None:
    """Centre the map on a pixel, one zoom beyond those that have tiles of their own."""
    page.evaluate(
        """(place) => {
            const { map } = window.lulc;
            map.setView(place, map.getMaxZoom() - 4, { animate: false });
        }""",
        product.place(*pixel, max_zoom),
    )
    settle(page)


_POINTS = """places => {
    const { map } = window.lulc, box = map.getContainer().getBoundingClientRect();
    const lying = [...document.querySelectorAll("#value, .leaflet-bar, .side-name, #divider-line, #crosshair")];
    const covers = lying.map((one) => one.getBoundingClientRect()).filter((one) => one.width);
    const shadow = 12, beside = (one, x, y) => x < one.left - shadow || x > one.right + shadow || y < one.top - shadow || y > one.bottom + shadow;
    const free = (x, y) => x > box.left + 1 && x < box.right - 2 && y > box.top + 1 && y < box.bottom - 2
        && covers.every((one) => beside(one, x, y)) && document.elementFromPoint(x, y)?.id === "map";
    return places.map((place) => {
        const point = map.latLngToContainerPoint(place), x = Math.floor(box.left + point.x), y = Math.floor(box.top + point.y);
        return free(x, y) ? [x, y] : [-1, -1];
    });
}"""


def points_of(page: Page, places: list[list[float]]) -> NDArray[np.int64]:
    """Where places are in the window, x and y; -1 where they are not seen or something lies on them."""
    return np.array(page.evaluate(_POINTS, places), np.int64).reshape(-1, 2)


@dataclass
class Sample:
    """Pixels of a product, and what the window shows of them.

    Attributes:
        rows: Of the product.
        cols: The same.
        points: In the window, x and y.
        colors: Red, green, blue.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    points: NDArray[np.int64]
    colors: NDArray[np.uint8]


def sample(
    page: Page,
    product: Product,
    chosen: NDArray[np.bool_],
    middle: tuple[int, int],
    *,
    count: int = 200,
    max_zoom: int | None = None,
) -> Sample:
    """Random pixels among those chosen that are in sight now; `middle` is the one that the map is centred on."""
    near = np.zeros_like(chosen)
    top, left = (max(0, place - _REACH) for place in middle)
    near[top : middle[0] + _REACH, left : middle[1] + _REACH] = True
    rows, cols = np.nonzero(chosen & near)
    order = np.random.default_rng(7).permutation(rows.size)[: _TRIED * count]
    rows, cols = rows[order], cols[order]
    points = points_of(page, product.places(rows, cols, max_zoom))
    seen = np.nonzero(points[:, 0] >= 0)[0][:count]
    assert seen.size == count, f"only {seen.size} of the pixels are in sight"
    return Sample(rows[seen], cols[seen], points[seen], screen(page)[points[seen, 1], points[seen, 0]])


def screen(page: Page) -> NDArray[np.uint8]:
    """What the window shows: uint8 (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))


def hover(page: Page, place: list[float]) -> None:
    """Move the pointer to a place on the map."""
    x, y = points_of(page, [place])[0]
    assert x >= 0, f"{place} is not in sight"
    page.mouse.move(x + 0.5, y + 0.5)


def percent(share: float) -> str:
    """As the page says it."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"
