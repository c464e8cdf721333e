"""Tiles of a raster for a web map: 256 x 256 pixels of a pyramid, as indexed PNG.

A raster with a CRS and a transform is cut in Web Mercator (EPSG:3857, the XYZ scheme). Any other raster is cut in its
own pixels: at the deepest zoom a pixel of a tile is a pixel of the raster, and every lower zoom halves the resolution.
"""

import io
import queue
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from math import ceil, hypot, log, log2, pi, radians, tan
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.coords import disjoint_bounds
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT

from lulc.errors import InputError, StorageError
from lulc.grid import Grid, Shape, Window

TILE_SIDE = 256
"""Side of a tile, pixels."""

FULL = -1
"""Level of the raster itself; its overviews are 0, 1, ..."""

_WEB = CRS.from_epsg(3857)
_MERCATOR = 20_037_508.342789244
"""Half the side of the world in Web Mercator, metres."""

_EAST, _NORTH = 180.0, 85.051128779806604
"""Longitude and latitude at which the square world of Web Mercator ends, degrees."""

_SMALLEST_PIXEL = 0.001
_DEEPEST = 24
_DEEPER = 1
"""Zooms beyond the first whose pixels are finer than the raster's.

There the edges of pixels lie within half a pixel of the truth.
"""

_SLACK = 1.2
"""Largest ratio of an overview's pixel to a tile's pixel."""

_COMPRESSION = 1  # classes are runs of equal bytes: more effort makes tiles later, hardly smaller


class TiledRaster:
    """A raster file from which several threads may read tiles; each uses its own handle while it reads.

    Args:
        path: GeoTIFF file.

    Attributes:
        grid: Georeference and size.
        placed: True when tiles are cut in Web Mercator.
        bounds: West, south, east, north in WGS 84 degrees; None without georeference.
        zooms: First and last zoom of tiles.

    Raises:
        InputError: The file is not a readable GeoTIFF.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: dict[int, queue.LifoQueue[rasterio.DatasetReader]] = {FULL: queue.LifoQueue()}
        with self._dataset(FULL) as dataset:
            self.grid = Grid(dataset.crs, dataset.transform, Shape(*dataset.shape), dataset.gcps[0])
            self._factors = dataset.overviews(1)
            self._idle |= {level: queue.LifoQueue() for level in range(len(self._factors))}
            self.bounds = None if dataset.transform.is_identity else degree_bounds(self.grid, dataset.bounds)
        self.placed = self.bounds is not None
        self._pixel = self._mercator_pixel() if self.placed else 1.0
        self.zooms = 0, self._deepest()

    def read(self, zoom: int, column: int, row: int, bands: Sequence[int]) -> np.ma.MaskedArray[Any, Any] | None:
        """Read the pixels of a tile by nearest neighbour from the fitting overview.

        Args:
            zoom: Zoom of the pyramid.
            column: Tile column, from the west.
            row: Tile row, from the north.
            bands: Band numbers, counted from 1.

        Returns:
            (bands, 256, 256) of the raster's dtype, masked where there is no data; None outside the raster.

        Raises:
            StorageError: A block cannot be read.
        """
        if not (0 <= zoom <= _DEEPEST and 0 <= column < 1 << zoom and 0 <= row < 1 << zoom):
            return None
        read = self._warped if self.placed else self._cut
        try:
            return read(zoom, column, row, list(bands))
        except RasterioError as error:
            raise StorageError(f"cannot read {self.path.name} at tile {zoom}/{column}/{row}: {error}") from error

    def close(self) -> None:
        """Close all handles that are not in use."""
        for idle in self._idle.values():
            with suppress(queue.Empty):
                while True:
                    idle.get_nowait().close()

    def _warped(self, zoom: int, column: int, row: int, bands: list[int]) -> np.ma.MaskedArray[Any, Any] | None:
        """A tile in Web Mercator, warped from the overview that is just finer than it."""
        side = 2 * _MERCATOR / (1 << zoom)
        west, north = column * side - _MERCATOR, _MERCATOR - row * side
        if disjoint_bounds((west, north - side, west + side, north), self._mercator_bounds):
            return None
        pixel = side / TILE_SIDE
        view = {
            "crs": _WEB,
            "transform": Affine(pixel, 0, west, 0, -pixel, north),
            "width": TILE_SIDE,
            "height": TILE_SIDE,
        }
        with self._dataset(self._level(pixel / self._pixel)) as dataset:
            masked = {"add_alpha": True} if dataset.nodata is None else {"nodata": dataset.nodata}
            with WarpedVRT(dataset, resampling=Resampling.nearest, **view, **masked) as warped:
                tile: np.ma.MaskedArray[Any, Any] = warped.read(bands, masked=True)
                return tile

    def _cut(self, zoom: int, column: int, row: int, bands: list[int]) -> np.ma.MaskedArray[Any, Any] | None:
        """A tile in the raster's own pixels."""
        side = TILE_SIDE << max(self.zooms[1] - zoom, 0)
        shape = self.grid.shape
        part = Window(
            row * side, col := column * side, min(side, shape.height - row * side), min(side, shape.width - col)
        )
        if zoom > self.zooms[1] or min(part.height, part.width) <= 0:
            return None
        step = side // TILE_SIDE
        size = -(-part.height // step), -(-part.width // step)
        with self._dataset(FULL) as dataset:
            window = part.for_rasterio()
            pixels = dataset.read(bands, window=window, out_shape=(len(bands), *size), masked=True)
        around = (0, 0), (0, TILE_SIDE - size[0]), (0, TILE_SIDE - size[1])
        empty = np.pad(np.ma.getmaskarray(pixels), around, constant_values=True)
        return np.ma.MaskedArray(np.pad(pixels.data, around), empty)

    def _level(self, ratio: float) -> int:
        """Coarsest overview whose pixels are no larger than those of a tile."""
        fitting = [level for level, factor in enumerate(self._factors) if factor <= _SLACK * ratio]
        return fitting[-1] if fitting else FULL

    def _mercator_pixel(self) -> float:
        """Width of the middle pixel in Web Mercator, metres; too large where the grid is rotated there."""
        row, col = self.grid.shape.height / 2, self.grid.shape.width / 2
        corners = self.grid.longitudes_latitudes(np.array([col, col + 1]), np.array([row, row]))
        (first_x, first_y), (second_x, second_y) = (_mercator(*corner) for corner in corners)
        return max(hypot(second_x - first_x, second_y - first_y), _SMALLEST_PIXEL)

    @cached_property
    def _mercator_bounds(self) -> tuple[float, float, float, float]:
        assert self.bounds is not None
        west, south, east, north = self.bounds
        if east > _EAST:  # across the antimeridian
            west, east = -_EAST, _EAST
        return (*_mercator(west, south), *_mercator(east, north))

    def _deepest(self) -> int:
        if not self.placed:
            return max(0, ceil(log2(max(self.grid.shape.height, self.grid.shape.width) / TILE_SIDE)))
        return min(_DEEPEST, max(0, ceil(log2(2 * _MERCATOR / TILE_SIDE / self._pixel)) + _DEEPER))

    @contextmanager
    def _dataset(self, level: int) -> Iterator[rasterio.DatasetReader]:
        """A handle of the file or of one of its overviews that no other thread uses meanwhile."""
        try:
            dataset = self._idle[level].get_nowait()
        except queue.Empty:
            dataset = self._opened(level)
        try:
            yield dataset
        except BaseException:
            dataset.close()
            raise
        self._idle[level].put(dataset)

    def _opened(self, level: int) -> rasterio.DatasetReader:
        overview = {} if level == FULL else {"OVERVIEW_LEVEL": level}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `placed` says so
                return rasterio.open(self.path, driver="GTiff", **overview)
        except RasterioError as error:
            raise InputError(f"{self.path} is not a readable GeoTIFF", "check that it is whole") from error


def degree_bounds(grid: Grid, bounds: Sequence[float]) -> tuple[float, float, float, float] | None:
    """Bounds of a raster in WGS 84 degrees: west, south, east, north. East exceeds 180 across the antimeridian.

    Args:
        grid: Georeference and size.
        bounds: Left, bottom, right, top in units of its CRS.

    Returns:
        The bounds; None where CRS and transform do not lead to the Earth.
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    if grid.gcps or not grid.on_earth():
        return None
    assert grid.crs is not None
    try:
        to_degrees = Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True)
        west, south, east, north = to_degrees.transform_bounds(bounds[0], bounds[1], bounds[2], bounds[3])
    except ProjError:
        return None
    east += 360 if east < west else 0
    sensible = -_EAST <= west < east <= _EAST + 360 and east - west <= 360 and -90 <= south < north <= 90  # noqa: PLR2004
    return (west, south, east, north) if sensible else None


def _mercator(longitude: float, latitude: float) -> tuple[float, float]:
    """Web Mercator coordinates (EPSG:3857, on the sphere), metres, of a longitude and a latitude in degrees.

    Latitudes are clipped where the square world ends.
    """
    within = max(-_NORTH, min(_NORTH, latitude))
    return _MERCATOR * longitude / _EAST, _MERCATOR / pi * log(tan(pi / 4 + radians(within) / 2))


def indexed_png(indices_yx: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Encode palette indices as PNG.

    Args:
        indices_yx: Palette indices, uint8 (height, width).
        palette: Red, green, blue and opacity of each index, uint8 (256, 4).
    """
    from PIL import Image

    height, width = indices_yx.shape
    picture = Image.frombytes("P", (width, height), indices_yx.tobytes())
    picture.putpalette(palette[:, :3].tobytes())
    return _encoded(picture, transparency=palette[:, 3].tobytes())


def color_png(colors_byx: NDArray[np.uint8], opacity_yx: NDArray[np.uint8]) -> bytes:
    """Encode colours as PNG.

    Args:
        colors_byx: Red, green and blue, uint8 (3, height, width).
        opacity_yx: Opacity, uint8 (height, width), 0 transparent.
    """
    from PIL import Image

    return _encoded(Image.fromarray(np.dstack([*colors_byx, opacity_yx])))


def _encoded(picture: Any, **options: Any) -> bytes:  # noqa: ANN401 - Pillow is imported when a tile is drawn
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=_COMPRESSION, **options)
    return file.getvalue()
