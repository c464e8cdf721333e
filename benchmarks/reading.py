"""How fast windows of a scene are decoded, by format and number of threads; prints Markdown.

python benchmarks/reading.py [--side 4096] [--threads 1 2] [--rounds 3]

The same nine bands of uint16 in every format. The windows are those of `lulc classify`; rounds go through all numbers of
threads in turns. JPEG 2000 is one lossless file a band with tiles of 1024 px, four bands of 10 m and five of 20 m, as ESA
writes them. MB are those of the pixels that come out; pixels are compared with those of one thread.
"""

import argparse
import hashlib
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from affine import Affine
from rasterio.shutil import copy
from scenes import NAMES, write_scene

from lulc.grid import Shape, Window
from lulc.io.files.gdal import gdal_cache
from lulc.io.scene.scene import Scene, open_scene
from lulc.model.allocator import keep_freed_memory

BENCH = Path(__file__).parents[1] / "bench" / "reading"
TILED = {"TILED": "YES", "BLOCKXSIZE": 512, "BLOCKYSIZE": 512}
FORMATS = {
    "GeoTIFF, planar, deflate": TILED | {"COMPRESS": "DEFLATE", "PREDICTOR": 2, "INTERLEAVE": "BAND"},
    "GeoTIFF, pixels, deflate": TILED | {"COMPRESS": "DEFLATE", "PREDICTOR": 2, "INTERLEAVE": "PIXEL"},
    "GeoTIFF, planar, zstd": TILED | {"COMPRESS": "ZSTD", "PREDICTOR": 2, "INTERLEAVE": "BAND"},
    "GeoTIFF, pixels, zstd": TILED | {"COMPRESS": "ZSTD", "PREDICTOR": 2, "INTERLEAVE": "PIXEL"},
    "GeoTIFF, strips, none": {},
    "GeoTIFF, strips, LZW": {"COMPRESS": "LZW"},
    "COG, deflate": {"driver": "COG", "COMPRESS": "DEFLATE", "PREDICTOR": "YES", "BLOCKSIZE": 512},
    "JPEG 2000, a file a band": {"driver": "JP2OpenJPEG"},
}
FINE = ("B02", "B03", "B04", "B08")
LOSSLESS = {"QUALITY": 100, "REVERSIBLE": "YES", "BLOCKXSIZE": 1024, "BLOCKYSIZE": 1024}
_CHUNK, _CORE, _HALO = 2048, 1056, 40
_CACHE = 256 << 20


class Cost(NamedTuple):
    """Of one pass over a scene: wall and CPU seconds."""

    wall_s: float
    cpu_s: float


def written(name: str, scene: Path) -> Path:
    """The scene in a format; what is there already is kept."""
    options = dict(FORMATS[name])
    driver = options.pop("driver", "GTiff")
    target = (
        BENCH / f"{'_'.join(name.replace(',', '').split())}{'' if driver == 'JP2OpenJPEG' else f'_{scene.stem}.tif'}"
    )
    if driver == "JP2OpenJPEG":
        write_band_files(target / scene.stem, scene)
        return target / scene.stem
    if not target.exists():
        copy(scene, target, driver=driver, **options)
    return target


def write_band_files(folder: Path, scene: Path) -> None:
    """A JPEG 2000 file for each band."""
    folder.mkdir(parents=True, exist_ok=True)
    with rasterio.open(scene) as source:
        for number, name in enumerate(NAMES, start=1):
            step = 1 if name in FINE else 2
            target = folder / f"T31TCJ_20180708T105031_{name}_{10 * step}m.jp2"
            if not target.exists():
                write_jpeg2000(target, source.read(number)[::step, ::step], source.crs, source.transform, step)


def write_jpeg2000(target: Path, plane: np.ndarray, crs: object, transform: Affine, step: int) -> None:
    """One band, whose pixels are `step` times as large as the transform says."""
    height, width = plane.shape
    place = {"crs": crs, "transform": transform @ Affine.scale(step)}
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", height=height, width=width, count=1, dtype=plane.dtype, **place) as raster:
            raster.write(plane, 1)
        with memory.open() as raster:
            copy(raster, target, driver="JP2OpenJPEG", **LOSSLESS)


def windows(shape: Shape) -> Iterator[Window]:
    """Chunks down panels of 2048 px, with a halo around each."""
    for col in range(0, shape.width, _CHUNK):
        for row in range(0, shape.height, _CORE):
            yield Window(row, col, _CORE, _CHUNK).grown(_HALO).intersection(Window(0, 0, shape.height, shape.width))


def cost_of(scene: Scene, digests: set[str]) -> Cost:
    """Read all windows; the digest of their pixels goes to `digests`."""
    digest, wall, cpu = hashlib.sha256(), 0.0, 0.0
    for window in windows(scene.grid.shape):
        began, used = time.perf_counter(), time.process_time()
        pixels = scene.read(NAMES, window).data
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - used
        digest.update(pixels)
    digests.add(digest.hexdigest())
    return Cost(wall, cpu)


def measured(path: Path, threads: list[int], rounds: int) -> dict[int, list[Cost]]:
    """Costs of every round by number of threads."""
    found: dict[int, list[Cost]] = {count: [] for count in threads}
    digests: set[str] = set()
    for _ in range(rounds):
        for count in threads:
            with gdal_cache(_CACHE), open_scene([path]) as scene:
                scene.use_threads(count)
                found[count].append(cost_of(scene, digests))
    if len(digests) > 1:
        raise SystemExit(f"{path}: the pixels depend on the number of threads")
    return found


def main() -> None:
    """Write the scene in every format, read it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    keep_freed_memory()
    BENCH.mkdir(parents=True, exist_ok=True)
    scene = write_scene(BENCH / f"scene_{given.side}.tif", given.side, given.side)
    shape = Shape(given.side, given.side)
    megabytes = sum(window.shape.size for window in windows(shape)) * len(NAMES) * 2 / 1e6
    print(f"\n{given.side} x {given.side} px, median of {given.rounds}, load {os.getloadavg()[0]:.1f}\n")
    print("| format | threads | MB/s | CPU s |\n|---|---|---|---|")
    for name in FORMATS:
        for count, costs in measured(written(name, scene), given.threads, given.rounds).items():
            wall, cpu = (statistics.median(values) for values in zip(*costs, strict=True))
            print(f"| {name} | {count} | {megabytes / wall:.0f} | {cpu:.2f} |", flush=True)


if __name__ == "__main__":
    main()
