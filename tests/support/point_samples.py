"""Small maps with a truth, and samples of them that are labelled with it."""

import csv
import json

import numpy as np
import rasterio
from affine import Affine

from lulc.legend import Legend

PLACE = Affine(10.0, 0.0, 350_000.0, 0.0, -10.0, 5_070_000.0)
LEGEND = Legend.from_table(
    {
        "name": "three",
        "classes": [
            {"code": 1, "name": "Forêt, dense", "color": "#008800"},
            {"code": 2, "name": "water", "color": "#0000ff"},
            {"code": 3, "name": "built", "color": "#ff0000"},
        ],
    }
)


def truth(height=300, width=400, seed=0):
    """Classes in patches, uint8 (height, width): much forest, some water, little built."""
    rng = np.random.default_rng(seed)
    patches = rng.choice(np.uint8([1, 2, 3]), (height // 10 + 1, width // 10 + 1), p=[0.7, 0.25, 0.05])
    return patches.repeat(10, axis=0).repeat(10, axis=1)[:height, :width]


def mapped(codes, share=0.1, seed=1):
    """The same with errors on a share of the pixels, and a corner without data."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(codes.shape) < share
    found = np.where(wrong, rng.choice(np.uint8([1, 2, 3]), codes.shape, p=[0.6, 0.3, 0.1]), codes).astype(np.uint8)
    found[:20, :30] = 255
    return found


def write_map(path, codes, *, legend=LEGEND, block=64, **changes):
    """A product of one band."""
    profile = {"crs": "EPSG:32633", "transform": PLACE, "nodata": 255, "tiled": True, "dtype": "uint8"}
    profile |= {"blockxsize": block, "blockysize": block} | changes
    height, width = codes.shape
    with rasterio.open(path, "w", driver="GTiff", count=1, height=height, width=width, **profile) as raster:
        raster.write(codes, 1)
        raster.update_tags(LULC_LEGEND=json.dumps(legend.to_table()))
    return path


def read_rows(path):
    """Rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    """Replace the rows of a CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def label(path, codes, legend=LEGEND):
    """Fill in the labels of a CSV from the truth."""
    rows = read_rows(path)
    for row in rows:
        row["reference"] = legend.names[codes[int(row["row"]), int(row["col"])] - 1]
    write_rows(path, rows)
