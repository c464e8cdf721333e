"""What `lulc clean` costs: a real map, laid out as a whole tile and as a quarter of one; prints Markdown.

python benchmarks/clean.py [--map MAP] [--side 10980] [--noise]

MAP is a product of the shipped model; without it the demo's scene is classified. Its copies lie side by side, mirrored at every joint.
Each run is a process of its own; memory is the peak of its resident memory. `--noise` adds a map whose classes
are drawn by chance, pixel by pixel: nearly every pixel is a patch of its own.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from scenes import write_scene
from trees import ROOT, process

from lulc.grid import Grid, Shape, Window
from lulc.io.product.bands import CLOUDS
from lulc.io.product.writer import ProductWriter
from lulc.legend import Legend

RUNS = {
    "`--mmu 0.5ha`": ["--mmu", "0.5ha"],
    "`--mmu 25ha`": ["--mmu", "25ha"],
    "`--mmu 25ha --mmu-by majority`": ["--mmu", "25ha", "--mmu-by", "majority"],
    "`--merge crops,grass=open`": ["--merge", "crops,grass=open"],
    "`--smooth bayes`": ["--smooth", "bayes"],
    "`--smooth bayes --mmu 0.5ha`": ["--smooth", "bayes", "--mmu", "0.5ha"],
}
_ROWS = 512


def laid_out(map_: Path, path: Path, side: int, *, noise: bool = False) -> Path:
    """Copies of a map as one of `side` x `side` pixels of 10 m, each a mirror image of those beside it."""
    with rasterio.open(map_) as source:
        pixels, tags = source.read(), source.tags()
    legend = Legend.from_table(json.loads(tags["LULC_LEGEND"]))
    pixels[:, pixels[0] == 255] = 255
    both = np.concatenate([pixels, pixels[:, ::-1]], axis=1)
    both = np.concatenate([both, both[:, :, ::-1]], axis=2)
    grid = Grid(CRS.from_epsg(32631), Affine(10, 0, 300_000, 0, -10, 4_900_020), Shape(side, side))
    kept = {name: text for name, text in tags.items() if name.startswith("LULC_")}
    extra = [CLOUDS] if len(pixels) > 1 + len(legend) else []
    rng, columns = np.random.default_rng(0), np.arange(side) % both.shape[2]
    with ProductWriter(path, grid, legend, extra=extra, tags=kept, overwrite=True) as writer:
        for index, row in enumerate(range(0, side, _ROWS)):
            rows = np.arange(row, min(row + _ROWS, side))
            data = both[:, rows % both.shape[1]][:, :, columns]
            if noise:
                drawn = rng.integers(1, len(legend) + 1, data[0].shape, dtype=np.uint8)
                data[0] = np.where(data[0] == 255, np.uint8(255), drawn)
            writer.put(index, Window(row, 0, rows.size, side), data)
    return path


def measured(map_: Path, options: list[str]) -> tuple[dict, float, float]:
    """The report of a run, its wall seconds and its CPU seconds."""
    out = map_.with_name("cleaned.tif")
    command = ["-m", "lulc", "clean", str(map_), str(out), "--overwrite", "--json", "-q", *options]
    text, cpu, wall, _ = process(ROOT, command)
    return json.loads(text), wall, cpu


def main() -> None:
    """Print a table: each run on a quarter and on a whole tile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--map", type=Path)
    parser.add_argument("--side", type=int, default=10_980)
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = given.map
        if source is None:
            source = folder / "demo.tif"
            process(
                ROOT, ["-m", "lulc", "classify", str(write_scene(folder / "scene.tif", 2048, 2048)), str(source), "-q"]
            )
        print(
            "| run | pixels | wall s | CPU s | peak MB | changed | patches gone |\n|---|---|---|---|---|---|---|",
            flush=True,
        )
        maps = [(laid_out(source, folder / f"map{side}.tif", side), "") for side in (given.side // 2, given.side)]
        if given.noise:
            maps.append((laid_out(source, folder / "noise.tif", given.side // 2, noise=True), ", noise"))
        for title, options in RUNS.items():
            if given.only and not any(part in title for part in given.only):
                continue
            for map_, kind in maps:
                found, wall, cpu = measured(map_, options)
                with rasterio.open(map_) as opened:
                    size = f"{opened.width} x {opened.height}{kind}"
                gone = "" if found["removed_patches"] is None else f"{found['removed_patches']:,d}"
                share, peak = f"{found['changed_share']:.2%}", found["peak_bytes"] / 1e6
                print(f"| {title} | {size} | {wall:.0f} | {cpu:.0f} | {peak:.0f} | {share} | {gone} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
