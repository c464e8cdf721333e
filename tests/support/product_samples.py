"""Small products, made the same way by several test files."""

import json
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from lulc.grid import Grid, Shape, Window
from lulc.io.product.writer import ProductWriter
from lulc.legend import Legend, load_legend

LEGEND: Legend = load_legend("dynamic-world")
UTM = Affine(10.0, 0.0, 300_000.0, 0.0, -10.0, 4_900_020.0)


def names(folder: Path) -> list[str]:
    """What a folder holds, sorted."""
    return sorted(path.name for path in folder.iterdir())


def grid_of(height, width, transform=UTM, crs="EPSG:32631", **more):
    return Grid(CRS.from_string(crs) if crs else None, transform, Shape(height, width), **more)


def pixels(height, width, *, activations="uint8", seed=0):
    """A smooth product with a nodata wedge: (1 + K | 1, height, width)."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((len(LEGEND), height // 8 + 2, width // 8 + 2), np.float32) ** 4
    shares = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    shares += 0.05 * rng.random(shares.shape, np.float32)
    shares /= shares.sum(axis=0)
    classes = shares.argmax(axis=0) + 1
    steps = (shares * 250).astype(np.uint8)
    left = 250 - steps.sum(axis=0, dtype=np.uint8)
    np.put_along_axis(steps, classes[None] - 1, np.take_along_axis(steps, classes[None] - 1, 0) + left, 0)
    empty = np.add.outer(np.arange(height) * 2, np.arange(width)) < max(height, width) // 3
    maps = {"uint8": steps, "float32": shares, "none": steps[:0]}[activations]
    product = np.concatenate([classes[None].astype(maps.dtype), maps])
    product[:, empty] = 255
    return product


def chunk_windows(height, width, chunk=(512, 1024)):
    """Chunks down one panel of columns, then the next."""
    corners = [(row, col) for col in range(0, width, chunk[1]) for row in range(0, height, chunk[0])]
    return [Window(r, c, min(chunk[0], height - r), min(chunk[1], width - c)) for r, c in corners]


def writer_of(path: Path, data, *, grid=None, **options) -> ProductWriter:
    activations = {(9 + 1, "uint8"): "uint8", (9 + 1, "float32"): "float32"}.get((len(data), data.dtype.name), "none")
    tags = {"LULC_LEGEND": json.dumps(LEGEND.to_table()), "LULC_INPUT": "scène <1> & co.tif"}
    known = {"activations": activations, "tags": tags, "fingerprint": "f"} | options
    return ProductWriter(path, grid or grid_of(*data.shape[1:]), LEGEND, **known)


def put_all(writer, data, order=None):
    windows = list(enumerate(chunk_windows(*data.shape[1:])))
    for index, window in windows if order is None else [windows[place] for place in order]:
        if index not in writer.finished:
            writer.put(index, window, data[(slice(None), *window.slices())])


def write(path: Path, data, **options):
    writer = writer_of(path, data, **options)
    put_all(writer, data)
    return writer.publish()
