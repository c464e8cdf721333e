"""Scenes of any size with real texture: mirrored and turned tiles of the demo's composite series.

python benchmarks/scenes.py OUT.tif --height 4096 --width 4096
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines" / "demo"))
from fetch_scene import BANDS, DATES, download

NAMES = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
_ROWS = 512


def texture() -> np.ndarray:
    """uint16 (9, rows, columns): the seven dates side by side, then the same turned and mirrored below."""
    with tempfile.TemporaryDirectory() as folder:
        series = download(Path(folder))
    with rasterio.MemoryFile(series) as memory, memory.open(driver="GTiff") as source:
        stack = source.read().reshape(len(DATES), len(BANDS), source.height, source.width)
    order = [BANDS.index(name) for name in NAMES]
    strip = np.concatenate([np.clip(date[order], 1, None).astype(np.uint16) for date in stack], axis=2)
    return np.concatenate([strip, strip[:, ::-1, ::-1], strip[:, :, ::-1], strip[:, ::-1]], axis=1)


def write_scene(path: Path, height: int, width: int, first: int = 0) -> Path:
    """Write a scene block row by block row, whose left edge shows the date `first`; an existing one of that name is kept."""
    if path.exists():
        return path
    tile = texture()
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": len(NAMES),
        "dtype": "uint16",
        "nodata": 0,
        "crs": "EPSG:32631",
        "transform": from_origin(300_000, 4_900_020, 10, 10),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "predictor": 2,
        "zlevel": 1,
        "BIGTIFF": "IF_SAFER",
    }
    partial = path.with_suffix(".partial.tif")
    with rasterio.open(partial, "w", **profile) as target:
        target.descriptions = NAMES
        columns = (np.arange(width) + first * (tile.shape[2] // len(DATES))) % tile.shape[2]
        for row in range(0, height, _ROWS):
            rows = np.arange(row, min(row + _ROWS, height)) % tile.shape[1]
            target.write(tile[:, rows][:, :, columns], window=Window(0, row, width, len(rows)))
    partial.rename(path)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--height", type=int, default=4096)
    parser.add_argument("--width", type=int, default=4096)
    arguments = parser.parse_args()
    write_scene(arguments.out, arguments.height, arguments.width)
