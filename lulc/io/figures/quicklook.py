"""A picture of a product for people: true colour beside the class map, with what each class covers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterioWindow

from lulc.config import parse_json
from lulc.grid import Grid, Shape, Window
from lulc.io.figures.map_figure import Ground, write_quicklook
from lulc.io.figures.page import NODATA_GREY
from lulc.io.files.opening import opened
from lulc.io.scene.source import NamedPixels
from lulc.io.scene.true_color import COLORS, Stretch
from lulc.legend import Legend

MOST_PIXELS = 1200
"""Longest side of a quick look's panels, in pixels."""

_STRIP_ROWS = 512


def quicklook_of(
    product: Path,
    scene: NamedPixels | None,
    png: Path,
    areas_ha: Mapping[str, float | None] | None = None,
    title: str = "",
) -> None:
    """Draw a product, beside its scene if there is one, reduced to at most 1200 pixels a side.

    Args:
        product: A product, of this scene on its grid or with larger pixels from the same corner.
        scene: Its scene; without one, or without bands B04, B03 and B02 of it, the class map stands alone.
        png: Picture to write.
        areas_ha: Hectares by class name, where known.
        title: Above the picture; unless given, the name of the scene.

    Raises:
        StorageError: The picture cannot be written.
    """
    map_ = ReducedMap.of(product, scene.grid if scene else None)
    rgb = _true_color(scene, map_.step) if scene and set(COLORS) <= set(scene.names) else None
    draw_map(map_, png, areas_ha, title or map_.tags.get("LULC_INPUT", product.name), rgb)


def draw_map(
    map_: "ReducedMap",
    png: Path,
    areas_ha: Mapping[str, float | None] | None,
    title: str,
    rgb: NDArray[np.uint8] | None = None,
) -> None:
    """Draw a reduced map, beside its scene in true colour where it is given, as `quicklook_of` does.

    Raises:
        StorageError: The picture cannot be written.
    """
    subtitle = map_.tags.get("LULC_MODEL", "")
    write_quicklook(png, rgb, map_.classes, map_.legend, areas_ha, title, subtitle=subtitle, ground=map_.ground)


@dataclass(frozen=True, eq=False)
class ReducedMap:
    """A product, reduced to be drawn.

    Attributes:
        classes: Class codes, uint8 (height, width), at most 1200 a side: the most frequent of the pixels they stand for.
        legend: Names and colours.
        tags: The product's.
        step: Pixels of the grid along a side of a pixel here.
        ground: Size and direction of a pixel here; None where the grid is not placed.
    """

    classes: NDArray[np.uint8]
    legend: Legend
    tags: Mapping[str, str]
    step: int
    ground: Ground | None

    @classmethod
    def of(cls, product: Path, grid: Grid | None = None) -> Self:
        """Read a product, on its own grid or that of its scene, which has smaller pixels from the same corner."""
        with opened(lambda: rasterio.open(product, driver="GTiff"), product) as source:
            grid = grid or Grid(source.crs, source.transform, Shape(*source.shape))
            full, tags = grid.shape, source.tags()
            step = max(1, ceil(max(full.height, full.width) / MOST_PIXELS))
            factor = max(1, ceil(full.width / source.width))
            shape = (ceil(full.height / step), ceil(full.width / step))
            covered = RasterioWindow(0, 0, full.width / factor, full.height / factor)
            classes = source.read(1, window=covered, out_shape=shape, resampling=Resampling.mode).astype(np.uint8)
        return cls(classes, Legend.from_table(parse_json(tags["LULC_LEGEND"])), tags, step, ground_of(grid, step))

    @classmethod
    def sampled(cls, classes: Callable[[Window], NDArray[np.uint8]], grid: Grid, legend: Legend) -> Self:
        """Any map that reads class codes by window; a pixel here is the middle one of those that it stands for."""
        step = max(1, ceil(max(grid.shape.height, grid.shape.width) / MOST_PIXELS))
        height, rows = grid.shape.height, max(1, _STRIP_ROWS // step) * step
        strips = [
            _middles(classes(Window(row, 0, min(rows, height - row), grid.shape.width)), step)
            for row in range(0, height, rows)
        ]
        return cls(np.concatenate(strips), legend, {}, step, ground_of(grid, step))


def _middles(codes: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """The middle pixel of every step x step; of a smaller rest at an edge, the one nearest to it."""
    rows, columns = (np.minimum(np.arange(0, side, step) + step // 2, side - 1) for side in codes.shape)
    return codes[np.ix_(rows, columns)]


def ground_of(grid: Grid, step: int = 1) -> Ground | None:
    """Ground size of `step` times the middle pixel (geodesic, WGS 84); None where no CRS and transform place it."""
    if grid.gcps or not grid.on_earth():
        return None
    from pyproj import Geod

    column, row = grid.shape.width / 2, grid.shape.height / 2
    columns, rows = np.array([column, column + 1, column]), np.array([row, row, row - 1])
    longitudes, latitudes = grid.longitudes_latitudes(columns, rows).T
    if not np.isfinite([longitudes, latitudes]).all():
        return None
    geod = Geod(ellps="WGS84")
    _, _, width = geod.inv(longitudes[0], latitudes[0], longitudes[1], latitudes[1])
    azimuth, _, height = geod.inv(longitudes[0], latitudes[0], longitudes[2], latitudes[2])
    mirrored = grid.transform.determinant > 0
    north = azimuth if mirrored else -azimuth
    return Ground(width * step, height * step, north) if width > 0 and height > 0 else None


def _true_color(scene: NamedPixels, step: int) -> NDArray[np.uint8]:
    """Means over step x step pixels, stretched between the 2nd and 98th percentile: uint8 (height, width, 3)."""
    height = scene.grid.shape.height
    rows = max(1, _STRIP_ROWS // step) * step
    strips = [_strip(scene, row, min(rows, height - row), step) for row in range(0, height, rows)]
    return _stretched(np.concatenate(strips, axis=1))


def _strip(scene: NamedPixels, row: int, height: int, step: int) -> NDArray[np.float32]:
    """Mean digital numbers of a strip, float32 (3, height/step, width/step), NaN without data."""
    width = scene.grid.shape.width
    raw, valid = scene.read(COLORS, Window(row, 0, height, width))
    pixels = np.where(valid, raw, 0).astype(np.float32)
    rows, columns = np.arange(0, height, step), np.arange(0, width, step)
    counts = np.add.reduceat(np.add.reduceat(valid.astype(np.float32), rows, axis=0), columns, axis=1)
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=1), columns, axis=2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)


def _stretched(means_byx: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 (height, width, 3), grey where there is no data."""
    known = np.isfinite(means_byx).all(axis=0)
    picture = np.full((*known.shape, 3), NODATA_GREY, np.uint8)
    if known.any():
        colors = means_byx[:, known]
        picture[known] = Stretch.of(colors)(colors).T
    return picture
