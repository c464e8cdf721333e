"""A region of overlapping scenes in two UTM zones, cut from one image of the ground.

Real orbits leave slanted edges and scenes of one place differ from date to date; so do these.
"""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
WEST, EAST = CRS.from_epsg(32631), CRS.from_epsg(32632)
CORNER = 731_000.0, 4_900_020.0
"""North-western corner of the ground in zone 31: just west of 6 degrees east, where zone 32 begins."""

PIXEL = 10.0


def ground_transform() -> Affine:
    """Where the image of the ground lies, in zone 31."""
    return Affine(PIXEL, 0, CORNER[0], 0, -PIXEL, CORNER[1])


def write_scene(path: Path, pixels: np.ndarray, crs: CRS, place: Affine, date: str) -> Path:
    """A scene as a user would have it: names, date, level, nodata 0."""
    profile = {
        "driver": "GTiff",
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "count": len(pixels),
        "dtype": "uint16",
        "nodata": 0,
        "crs": crs,
        "transform": place,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)
        target.descriptions = BANDS
        target.update_tags(ACQUISITION_DATE=date, LEVEL="L2A", REFLECTANCE_SCALE="10000")
    return path


def write_region(folder: Path, grounds: list[np.ndarray]) -> list[Path]:
    """Four scenes, two in each zone, that overlap by a fifth to a third of their sides; some edges are slanted.

    Args:
        folder: Where to write.
        grounds: The ground as each of the four scenes saw it: uint16 (9, height, width), never 0, in zone 31.
    """
    height, width = grounds[0].shape[1:]
    half, third = int(0.6 * height), int(0.6 * width)
    windows = [(0, 0), (height - half, 0), (0, width - third), (height - half, width - third)]
    paths = []
    for number, ((row, col), ground) in enumerate(zip(windows, grounds, strict=True)):
        place = ground_transform() @ Affine.translation(col, row)
        pixels = ground[:, row : row + half, col : col + third].copy()
        crs = WEST
        if number >= 2:
            pixels, place = to_east(pixels, place)
            crs = EAST
        else:
            pixels[:, slanted(*pixels.shape[1:])] = 0
        date = f"2021-06-{10 + number:02d}"
        paths.append(write_scene(folder / f"scene{number + 1}.tif", pixels, crs, place, date))
    return paths


def slanted(height: int, width: int) -> np.ndarray:
    """True east of a line that leans, as where a swath ends: bool (height, width)."""
    rows, cols = np.mgrid[:height, :width]
    return cols > width - 0.15 * rows - 5


def to_east(pixels: np.ndarray, place: Affine) -> tuple[np.ndarray, Affine]:
    """The same ground on the 10 m grid of zone 32, 0 beyond it."""
    height, width = pixels.shape[1:]
    corners = [place @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    x, y = transform(WEST, EAST, *zip(*corners, strict=True))
    left, top = np.floor(min(x) / PIXEL) * PIXEL, np.ceil(max(y) / PIXEL) * PIXEL
    there = Affine(PIXEL, 0, left, 0, -PIXEL, top)
    shape = int((top - min(y)) / PIXEL), int((max(x) - left) / PIXEL)
    moved = np.zeros((len(pixels), *shape), np.uint16)
    reproject(
        pixels,
        moved,
        src_transform=place,
        src_crs=WEST,
        dst_transform=there,
        dst_crs=EAST,
        src_nodata=0,
        dst_nodata=0,
        resampling=Resampling.bilinear,
        XSCALE=1,
        YSCALE=1,
    )
    return moved, there
