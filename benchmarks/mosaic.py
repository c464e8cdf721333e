"""What `lulc mosaic` costs and whether scenes show in it; prints Markdown.

python benchmarks/mosaic.py [--side 1700] [--map 3000] [--maps 1 4 16]

Seams: four overlapping scenes in two UTM zones are cut from one ground of real texture, each of another date of the demo's
series, and classified. A seam is a line along which neighbouring pixels differ in class more often than beside it.
Cost: one map laid out again and again with an overlap of a tenth, as Sentinel-2 tiles have, so that the number of maps
grows with the mosaic; each run is a process of its own. `rasterio.merge` (first map wins, classes alone) stands beside.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.merge import merge
from scenes import texture, write_scene

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.region_samples import write_region

METHODS = {
    "`lulc mosaic`": [],
    "`--feather 16`": ["--feather", "16"],
    "`--feather 0`": ["--feather", "0"],
    "`--method majority`": ["--method", "majority"],
    "`--method confidence`": ["--method", "confidence"],
    "`--method first`": ["--method", "first"],
}
_DATES = 7


def lulc(*command: str | Path) -> tuple[dict, float, float, float]:
    """Run a command as a process: what it printed, wall seconds, CPU seconds, peak GB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "lulc", *map(str, command), "--json", "-q"], stdout=subprocess.PIPE, text=True
    )
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return json.loads(text), time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def region(folder: Path, side: int) -> list[Path]:
    """Maps of four scenes of four dates."""
    tile = texture()
    width = tile.shape[2] // _DATES
    dates = [tile[:, :, number * width : (number + 1) * width] for number in (2, 3, 4, 5)]
    rows, cols = np.arange(side) % tile.shape[1], np.arange(side) % (2 * width)
    grounds = [np.concatenate([date, date[:, :, ::-1]], axis=2)[:, rows][:, :, cols] for date in dates]
    maps = []
    for scene in write_region(folder, grounds):
        maps.append(folder / f"map_{scene.name}")
        lulc("classify", scene, maps[-1])
    return maps


def seams(folder: Path, maps: list[Path]) -> None:
    """Print how often neighbours differ across borders, near them and elsewhere, for each method."""
    print(
        "\n| method | pairs differ across borders, % | within 64 px | elsewhere | across / near |\n|---|---|---|---|---|"
    )
    for name, options in METHODS.items():
        out = folder / "mosaic.tif"
        found = lulc("mosaic", *maps, out, "--seams", "--overwrite", *options)[0]["seams"]
        across, near = found["across_percent"], found["near_percent"]
        print(
            f"| {name} | {across:.2f} | {near:.2f} | {found['elsewhere_percent']:.2f} | {across / near:.2f} |",
            flush=True,
        )


def laid_out(folder: Path, product: Path, count: int) -> list[Path]:
    """Copies of a map in rows and columns, each overlapping the next by a tenth."""
    across = math.isqrt(count)
    copies = []
    for number in range(count):
        path = folder / f"copy{number:04d}.tif"
        if not path.exists():
            shutil.copy(product, path)
            with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as copy:
                row, col = divmod(number, across)
                steps = int(0.9 * copy.height) * row, int(0.9 * copy.width) * col
                copy.transform = copy.transform @ rasterio.Affine.translation(steps[1], steps[0])
        copies.append(path)
    return copies


def costs(folder: Path, product: Path, counts: list[int]) -> None:
    """Print time and memory for growing numbers of maps."""
    print(
        "\n| maps | mosaic, Mpx | wall s | CPU s | Mpx/s | peak GB | other zone: wall s | peak GB | rasterio.merge, classes alone: wall s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            maps = laid_out(Path(place), product, count)
            out = Path(place) / "mosaic.tif"
            said, wall, cpu, peak = lulc("mosaic", *maps, out, "--overwrite")
            _, wall_there, _, peak_there = lulc(
                "mosaic", *maps, out, "--overwrite", "--crs", "EPSG:32632", "--resolution", "10"
            )
            start = time.perf_counter()
            merge([str(path) for path in maps], indexes=[1], dst_path=str(Path(place) / "merged.tif"), mem_limit=64)
            merged = time.perf_counter() - start
        size = said["height"] * said["width"] / 1e6
        print(
            f"| {count} | {size:.1f} | {wall:.1f} | {cpu:.1f} | {size / wall:.1f} | {peak:.2f} | {wall_there:.1f} | {peak_there:.2f} | {merged:.1f} |",
            flush=True,
        )


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1700)
    parser.add_argument("--map", type=int, default=3000)
    parser.add_argument("--maps", type=int, nargs="+", default=[1, 4, 16])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        seams(Path(place), region(Path(place), options.side))
        scene = write_scene(Path(place) / "scene.tif", options.map, options.map)
        lulc("classify", scene, Path(place) / "map.tif")
        costs(Path(place), Path(place) / "map.tif", options.maps)


if __name__ == "__main__":
    main()
