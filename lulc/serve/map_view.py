"""A product as shown on a web map: tiles of its classes and probabilities, and its values at a pixel."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Window, map_points
from lulc.io.figures.color_ramps import class_palette, fraction_palette, heat_palette
from lulc.io.product.bands import CLEAR, CLOUDS, FAMILIARITY, SKY
from lulc.io.product.reader import given_activation, open_product
from lulc.legend import NODATA_CODE
from lulc.serve.map_tiles import TiledRaster, color_png, indexed_png

CLASS, CONFIDENCE, ACTIVATION, FRACTION = "class", "confidence", "activation-", "share-"
"""Layers of a product: `activation-3` is the activation of class code 3, `share-12` another fraction, in band 12."""

_SKY_COLORS = {"cloud": (255, 255, 255, 200), "shadow": (20, 20, 45, 170)}
"""Red, green, blue and opacity of what is flagged: the classes beneath are still seen."""

_FRACTION_UNITS = {"probability", FAMILIARITY.unit}

_STEPS = 250
_PAGE = 250
"""Maps that the band `source` of a mosaic can tell apart."""

_HOTTEST = 254


@dataclass(frozen=True)
class ViewLayer:
    """What may be shown of a product.

    Attributes:
        title: Name for people.
        bands: Numbers of its bands, counted from 1; of several, the class and all activations, the activation of the class is shown.
        code: Class code of an activation; None for other layers.
    """

    title: str
    bands: tuple[int, ...]
    code: int | None = None


@dataclass(frozen=True)
class PixelValues:
    """Values of a product at a pixel.

    Attributes:
        row: Row of the pixel, from 0.
        col: Column of the pixel, from 0.
        code: Class code; 255 where there is no data.
        activations: Activation of each class, 0..1, in the order of the legend; empty without activations.
        confidence: Value of the band `confidence`, else the activation of the class given, 0..1; None without either.
        others: Values 0..1 of further fraction bands by name, such as `probability of change`.
        source: Number of the source map in a mosaic; None without.
        flagged: `cloud` or `shadow`; None where it is clear, or the map flags nothing.
    """

    row: int
    col: int
    code: int
    activations: tuple[float, ...]
    confidence: float | None
    others: dict[str, float]
    source: int | None
    flagged: str | None


class MapView:
    """A product on a web map; safe to use from several threads.

    Args:
        path: File of the product.

    Attributes:
        raster: Source of its tiles.
        grid: Georeference and size.
        legend: Classes of the product.
        tags: Provenance tags, `LULC_...`.
        has_activations: False when it has a class band only.

    Raises:
        InputError: The file is not a product of lulc.
    """

    def __init__(self, path: Path) -> None:
        with open_product(path) as product:
            self.grid, self.legend, self.tags = product.grid, product.legend, product.tags
            self.has_activations = product.has_activations
            self._scale = float(product.activation_scale)
            self._extra = product.extra_bands
        self.raster = TiledRaster(path)

    @cached_property
    def _classes(self) -> NDArray[np.uint8]:
        return class_palette(self.legend)

    @cached_property
    def _from_degrees(self) -> Any:  # noqa: ANN401 - pyproj has no types
        from pyproj import Transformer

        assert self.grid.crs is not None
        return Transformer.from_crs("EPSG:4326", self.grid.crs.to_wkt(), always_xy=True)

    @cached_property
    def layers(self) -> dict[str, ViewLayer]:
        """The layers by name, in the order of the page."""
        activations = {
            f"{ACTIVATION}{entry.code}": ViewLayer(entry.name, (1 + entry.code,), entry.code)
            for entry in (self.legend if self.has_activations else ())
        }
        layers = {CLASS: ViewLayer("Classes", (1,))}
        layers |= {
            f"{FRACTION}{self._extra[name][0]}": ViewLayer(name.capitalize(), (self._extra[name][0],))
            for name in self._fractions
        }
        if CONFIDENCE in self._extra:
            layers[CONFIDENCE] = ViewLayer("Confidence", (self._extra[CONFIDENCE][0],))
        elif activations:
            layers[CONFIDENCE] = ViewLayer("Confidence", tuple(range(1, 2 + len(self.legend))))
        layers |= activations
        if CLOUDS.name in self._extra:
            layers[CLOUDS.name] = ViewLayer("Clouds and shadows", (self._extra[CLOUDS.name][0],))
        return layers

    @property
    def _fractions(self) -> list[str]:
        """Names of the fraction bands other than activations and confidence."""
        return [name for name, (_, unit) in self._extra.items() if unit in _FRACTION_UNITS and name != CONFIDENCE]

    def tile(self, layer: str, zoom: int, column: int, row: int) -> bytes | None:
        """Tile of a layer as PNG, 256 x 256 pixels; None outside the product.

        Raises:
            StorageError: A block cannot be read.
        """
        pixels = self.raster.read(zoom, column, row, self.layers[layer].bands)
        if pixels is None:
            return None
        if layer in {CLASS, CLOUDS.name}:
            palette = self._classes if layer == CLASS else _sky_palette()
            return indexed_png(pixels.filled(NODATA_CODE)[0].astype(np.uint8, copy=False), palette)
        stored = pixels.filled(NODATA_CODE)
        shown = stored[0] if len(stored) == 1 else given_activation(stored[1:], stored[0].astype(np.uint8, copy=False))
        nothing = np.ma.getmaskarray(pixels)[0]
        steps = np.round(np.where(nothing, 0, shown) * (self._scale * _STEPS)).astype(np.uint8)
        steps[nothing] = NODATA_CODE
        return indexed_png(steps, fraction_palette())

    def at(self, row: int, col: int) -> PixelValues | None:
        """Values at a pixel; None outside the product.

        Raises:
            StorageError: A block cannot be read.
        """
        if not (0 <= row < self.grid.shape.height and 0 <= col < self.grid.shape.width):
            return None
        with open_product(self.raster.path, sound=False) as product:
            window = Window(row, col, 1, 1)
            code = int(product.classes(window)[0, 0])
            if code == NODATA_CODE:
                return PixelValues(row, col, code, (), None, {}, None, None)
            probabilities = tuple(map(float, product.activations(window)[:, 0, 0])) if self.has_activations else ()
            read = {name: float(product.band(name, window)[0, 0]) for name in self._extra}
        others = {name: read[name] * self._scale for name in self._fractions}
        confidence = (
            read[CONFIDENCE] * self._scale
            if CONFIDENCE in read
            else (probabilities[code - 1] if probabilities else None)
        )
        source = int(read["source"] + _PAGE * read.get("source 250s", 0)) if "source" in read else None
        sky = int(read.get(CLOUDS.name, CLEAR))
        flagged = dict(CLOUDS.names).get(sky) if sky != CLEAR else None
        return PixelValues(row, col, code, probabilities, confidence, others, source, flagged)

    def pixel_of(self, longitude: float, latitude: float) -> tuple[int, int]:
        """Row and column of the pixel at a longitude and latitude, WGS 84 degrees; may lie outside the product."""
        easting, northing = self._from_degrees.transform(longitude, latitude)
        if not np.isfinite([easting, northing]).all():
            return -1, -1
        cols, rows = map_points(~self.grid.transform, np.array([easting]), np.array([northing]))
        return int(np.floor(rows[0])), int(np.floor(cols[0]))

    def position_of(self, row: int, col: int) -> tuple[float, float] | None:
        """Longitude and latitude of a pixel's centre, WGS 84 degrees; None without georeference."""
        if not self.raster.placed:
            return None
        where = self.grid.longitudes_latitudes(np.array([col + 0.5]), np.array([row + 0.5]))
        return float(where[0, 0]), float(where[0, 1])

    def close(self) -> None:
        """Close the file."""
        self.raster.close()


@cache
def _sky_palette() -> NDArray[np.uint8]:
    """Colours of positions in `SKY`: uint8 (256, 4); what is not flagged is transparent."""
    palette = np.zeros((256, 4), np.uint8)
    for name, color in _SKY_COLORS.items():
        palette[SKY.index(name)] = color
    return palette


def color_tile(raster: TiledRaster, zoom: int, column: int, row: int) -> bytes | None:
    """Tile of a raster of red, green and blue as PNG, 256 x 256 pixels; None outside the raster.

    Raises:
        StorageError: A block cannot be read.
    """
    pixels = raster.read(zoom, column, row, (1, 2, 3))
    if pixels is None:
        return None
    opacity = np.where(np.ma.getmaskarray(pixels).all(axis=0), 0, 255).astype(np.uint8)
    return color_png(pixels.filled(0), opacity)


def heat_tile(raster: TiledRaster, zoom: int, column: int, row: int) -> bytes | None:
    """Tile of a heat map (float32, 0..1) as PNG, 256 x 256 pixels; None outside the raster.

    Raises:
        StorageError: A block cannot be read.
    """
    pixels = raster.read(zoom, column, row, (1,))
    if pixels is None:
        return None
    heat = np.nan_to_num(pixels.filled(np.nan)[0], nan=-1.0)
    return indexed_png(np.where(heat < 0, NODATA_CODE, np.round(heat * _HOTTEST)).astype(np.uint8), heat_palette())
