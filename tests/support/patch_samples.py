"""Small patches of three classes that a small network tells apart."""

import io
import zipfile

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from lulc.config import parse_config
from lulc.patches.image import EUROSAT_MS
from lulc.patches.learn.settings import PatchSettings

CLASSES = ("Field", "Lake", "Town")
SIDE = 32


def picture(kind, number, side=SIDE):
    """Colours (side, side, 3): stripes for fields, one dark blue for lakes, noise for towns."""
    rng = np.random.default_rng([CLASSES.index(kind), number])
    noise = rng.normal(0, 6, (side, side, 3))
    if kind == "Field":
        stripes = 30 * np.sign(np.sin(np.arange(side) / 2 + rng.uniform(0, 6)))
        base = np.array([120, 130, 60]) + stripes[:, None, None]
    elif kind == "Lake":
        base = np.broadcast_to(np.array([30, 50, 90]), (side, side, 3))
    else:
        base = 130 + rng.normal(0, 50, (side, side, 1)).repeat(3, axis=2)
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def write_tree(folder, count=20, ending="png"):
    """A folder per class with `count` pictures each."""
    for kind in CLASSES:
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(kind, number)).save(folder / kind / f"{kind}_{number}.{ending}")
    return folder


def write_zip(path, count=20, prefix="2750/"):
    """The same in a zip, below another folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for kind in CLASSES:
            archive.writestr(f"{prefix}{kind}/", "")
            for number in range(count):
                data = io.BytesIO()
                Image.fromarray(picture(kind, number)).save(data, "png")
                archive.writestr(f"{prefix}{kind}/{kind}_{number}.png", data.getvalue())
    return path


def write_bands(path, kind="Lake", number=0, names=EUROSAT_MS, *, described=False):
    """A 13-band GeoTIFF of digital numbers x 10000 whose colours show `picture`."""
    colors = picture(kind, number).astype(np.float32) / 255 * 2750
    planes = {"B04": colors[..., 0], "B03": colors[..., 1], "B02": colors[..., 2]}
    data = np.stack([planes.get(name, np.full((SIDE, SIDE), 500 + 10 * at)) for at, name in enumerate(names)])
    place = {"crs": CRS.from_epsg(32632), "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000)}
    with rasterio.open(
        path, "w", driver="GTiff", height=SIDE, width=SIDE, count=len(names), dtype="uint16", **place
    ) as file:
        file.write(data.astype(np.uint16))
        if described:
            file.descriptions = names
    return path


def settings_for(data, **changes):
    """Settings of a training that takes a few seconds."""
    table = {
        "name": "tiny",
        "data": str(data),
        "network": {"name": "cnn6", "side": SIDE, "dropout": 0.0},
        "fit": {"epochs": 4, "batch": 8, "learning_rate": 3e-3, "ema": 0.0, "precision": "fp32", "device": "cpu"},
        "augment": {"haze": 0.0},
    }
    for key, value in changes.items():
        part, _, name = key.partition("__")
        if name:
            table.setdefault(part, {})[name] = value
        else:
            table[part] = value
    return parse_config(PatchSettings, table, "test")
