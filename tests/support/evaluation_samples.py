"""Small products, label rasters, legends and crosswalks whose comparison is known."""

import json

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS

from lulc.grid import Grid, Shape, Window
from lulc.io.product.writer import ProductWriter
from lulc.legend import Legend

PLACE = Affine(10.0, 0.0, 300_000.0, 0.0, -10.0, 4_900_020.0)
FINE = Legend.from_table(
    {
        "name": "fine",
        "classes": [
            {"code": 1, "name": "lake", "color": "#0000ff"},
            {"code": 2, "name": "pine", "color": "#004400"},
            {"code": 3, "name": "oak", "color": "#228822"},
            {"code": 4, "name": "snow", "color": "#ffffff"},
        ],
    }
)
COARSE = """name = "coarse"
nodata_values = [0]
[[classes]]
code = 1
name = "water"
color = "#0000ff"
values = [10]
[[classes]]
code = 2
name = "forest"
color = "#008800"
values = [20, 21]
"""
CROSSWALK = """source = "fine"
target = "coarse"
ignored = ["snow"]
[classes]
lake = "water"
pine = "forest"
oak = "forest"
"""


def shares(height=200, width=300, *, seed=0):
    """Activations in steps of 1/250 that change over some 20 px: uint8 (4, height, width), summing to 250."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((4, height // 20 + 1, width // 20 + 1)) ** 2
    field = coarse.repeat(20, axis=1).repeat(20, axis=2)[:, :height, :width] + 0.1 * rng.random((4, height, width))
    steps = np.floor(250 * field / field.sum(axis=0)).astype(np.uint8)
    top = steps.argmax(axis=0)[None]
    left = 250 - steps.sum(axis=0, dtype=np.int64)
    np.put_along_axis(steps, top, np.take_along_axis(steps, top, 0) + left.astype(np.uint8), 0)
    return steps


def product(path, steps, *, activations="uint8", legend=FINE, crs="EPSG:32631", transform=PLACE, hole=None, tags=None):
    """A product with these activations and their largest as classes."""
    data = np.concatenate(
        [steps.argmax(axis=0)[None].astype(np.uint8) + 1, steps if activations != "none" else steps[:0]]
    )
    if hole is not None:
        data[:, *hole] = 255
    height, width = data.shape[1:]
    grid = Grid(CRS.from_string(crs) if crs else None, transform, Shape(height, width))
    tags = {"LULC_LEGEND": json.dumps(legend.to_table()), **(tags or {})}
    writer = ProductWriter(path, grid, legend, activations=activations, tags=tags, fingerprint="f")
    for index, row in enumerate(range(0, height, 512)):
        writer.put(index, Window(row, 0, min(512, height - row), width), data[:, row : row + 512])
    writer.publish()
    return path


def labels(path, values, *, crs="EPSG:32631", transform=PLACE, nodata=None):
    """A label raster of one band."""
    profile = {"driver": "GTiff", "dtype": values.dtype, "count": 1, "crs": crs, "transform": transform}
    with rasterio.open(path, "w", height=values.shape[0], width=values.shape[1], nodata=nodata, **profile) as target:
        target.write(values, 1)
    return path


def coarse_values(steps, *, seed=1, wrong=0.1):
    """Values of the coarse legend made from activations, some of them wrong."""
    rng = np.random.default_rng(seed)
    top = steps[:3].argmax(axis=0)
    values = np.where(top == 0, 10, np.where(top == 1, 20, 21))
    flip = rng.random(values.shape) < wrong
    return np.where(flip, np.where(values == 10, 20, 10), values).astype(np.uint8)
