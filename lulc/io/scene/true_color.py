"""Scenes as people see them: red, green and blue stretched to 8 bits, and a raster of that for the web map."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning

from lulc.grid import Grid, Window
from lulc.io.files.atomic import staged
from lulc.io.files.gdal import tiled_profile
from lulc.io.scene.source import NamedPixels
from lulc.tiling import block_windows

COLORS = ("B04", "B03", "B02")
"""Bands that are shown as red, green and blue."""

_STRETCH = (2.0, 98.0)
_GAMMA = 0.8
_BLOCK = 512
_STRIP = 1024
_SAMPLES, _SAMPLE_SIDE = 8, 128
_SMALLEST_OVERVIEW = 256
_JPEG_QUALITY = 90


@dataclass(frozen=True, eq=False)
class Stretch:
    """From each band's 2nd percentile on, all bands by one gain, so that colours stay true; brightened by gamma.

    Attributes:
        low: What becomes 0 in each band, float (3,).
        span: What becomes 255 above it.
    """

    low: NDArray[Any]
    span: float

    @classmethod
    def of(cls, colors: NDArray[Any]) -> Self:
        """The stretch of some pixels, (3, n), n > 0."""
        low, high = np.percentile(colors, _STRETCH, axis=1)
        return cls(low, max(float((high - low).max()), 1e-6))

    def __call__(self, colors: NDArray[Any]) -> NDArray[np.uint8]:
        """Pixels (3, ...) as uint8 of the same shape."""
        low = self.low.reshape(-1, *(1,) * (colors.ndim - 1))
        shown: NDArray[np.uint8] = np.round(255 * np.clip((colors - low) / self.span, 0, 1) ** _GAMMA).astype(np.uint8)
        return shown


def write_true_color(scene: NamedPixels, path: Path) -> bool:
    """Write a scene as a picture on its grid: tiled JPEG in a GeoTIFF, with overviews and a mask.

    Args:
        scene: The scene.
        path: GeoTIFF to write, replaced if it is there.

    Returns:
        False, and nothing is written, when the scene lacks a band of B04, B03, B02 or has no pixel with data.

    Raises:
        StorageError: The scene cannot be read, or the file not written.
    """
    stretch = _stretch_of(scene) if set(COLORS) <= set(scene.names) else None
    if stretch is None:
        return False
    grid = Grid(scene.grid.crs, scene.grid.transform, scene.grid.shape)  # control points do not place it on a web map
    jpeg = {"compress": "jpeg", "jpeg_quality": _JPEG_QUALITY, "photometric": "ycbcr", "bigtiff": "if_safer"}
    profile = tiled_profile(grid, len(COLORS), "uint8", _BLOCK, **jpeg)
    with (
        staged(path, overwrite=True) as temporary,
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # who shows it knows that it has no georeference
        with rasterio.open(temporary, "w", **profile) as target:
            for window in block_windows(grid.shape, _STRIP):
                raw, valid = scene.read(COLORS, window)
                part = window.for_rasterio()
                target.write(np.where(valid, stretch(raw), 0).astype(np.uint8), window=part)
                target.write_mask(valid, window=part)
        with rasterio.open(temporary, "r+") as target:
            target.build_overviews(_factors(max(grid.shape.height, grid.shape.width)), Resampling.average)
    return True


def _factors(side: int) -> list[int]:
    factors = [2]
    while side / factors[-1] > _SMALLEST_OVERVIEW:
        factors.append(2 * factors[-1])
    return factors


def _stretch_of(scene: NamedPixels) -> Stretch | None:
    """The stretch of small windows spread over a scene; None where none of them has data."""
    shape = scene.grid.shape
    height, width = min(_SAMPLE_SIDE, shape.height), min(_SAMPLE_SIDE, shape.width)
    corners = {
        (round(row), round(col))
        for row in np.linspace(0, shape.height - height, _SAMPLES)
        for col in np.linspace(0, shape.width - width, _SAMPLES)
    }
    known = []
    for row, col in sorted(corners):
        raw, valid = scene.read(COLORS, Window(row, col, height, width))
        known.append(raw[:, valid])
    colors = np.concatenate(known, axis=1)
    return Stretch.of(colors) if colors.size else None
