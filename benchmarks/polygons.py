"""What `lulc polygons` costs on maps of growing size; prints Markdown.

python benchmarks/polygons.py MAP [--sides 5490 10980] [--runs gpkg parquet]

Each map is MAP laid out again and again, mirrored at every seam, so its patches are real and none ends at a seam. Each run is a
process of its own. GeoPackages that hold all patches are read again: the areas of their polygons in
the plane are summed, and every segment of a border must be run back by a neighbour, except at the map's edge. (MAP may hold no pixel
without data. `shapely.coverage_is_valid` takes hours where one polygon has a million vertices.)
"""

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from mosaic import lulc
from rasterio.windows import Window

RUNS = {
    "gpkg": [".gpkg"],
    "gpkg, `--simplify 10`": [".gpkg", "--simplify", "10"],
    "gpkg, `--simplify 20 --min-ha 0.5`": [".gpkg", "--simplify", "20", "--min-ha", "0.5"],
    "parquet": [".parquet"],
}
_BLOCK = 512
_ROWS = 300_000
"""Features that are read at once."""


def laid_out(path: Path, product: Path, side: int) -> Path:
    """A map of some side, in pixels, with all bands and tags of another."""
    with rasterio.open(product) as source:
        planes = source.read()
        profile = {**source.profile, "width": side, "height": side, "driver": "GTiff", "compress": "deflate"}
        profile |= {"zlevel": 1, "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "BIGTIFF": "IF_SAFER"}
        tags, names, units = source.tags(), source.descriptions, source.units
    planes = np.concatenate([planes, planes[:, ::-1]], axis=1)
    planes = np.concatenate([planes, planes[:, :, ::-1]], axis=2)
    columns = np.arange(side) % planes.shape[2]
    with rasterio.open(path, "w", **profile) as target:
        target.update_tags(**tags)
        target.descriptions, target.units = names, units
        for row in range(0, side, _BLOCK):
            rows = np.arange(row, min(row + _BLOCK, side)) % planes.shape[1]
            target.write(planes[:, rows][:, :, columns], window=Window(0, row, side, len(rows)))
    return path


def checked(path: Path, product: Path) -> tuple[float, int]:
    """How far the areas in the plane are from those of the pixels, as a share; how many segments inside the map have no partner.

    The border between two polygons is drawn twice, once each way. So a segment that no other runs back is a gap or an overlap.
    """
    with rasterio.open(product) as opened:
        to_lattice, height, width = ~opened.transform, opened.height, opened.width
        pixel_m2 = abs(opened.transform.determinant)
    area, pixels, start, segments = 0.0, 0, 0, []
    count = pyogrio.read_info(path, layer="polygons")["features"]
    while start < count:
        meta, _, wkb, columns = pyogrio.raw.read(path, layer="polygons", skip_features=start, max_features=_ROWS)
        polygons = shapely.from_wkb(wkb)
        area += float(shapely.area(polygons).sum())
        pixels += int(columns[list(meta["fields"]).index("pixels")].sum())
        _, points, (rings, _) = shapely.to_ragged_array(polygons)
        columns_rows = np.rint(to_lattice @ points.T).astype(np.int64)
        number = columns_rows[1] * (width + 1) + columns_rows[0]
        inner = np.ones(number.size, bool)
        inner[rings[1:] - 1] = False
        inner = np.flatnonzero(inner)
        segments.append(number[inner] << 32 | number[inner + 1])
        start += len(polygons)
    there = np.concatenate(segments)
    back = (there & 0xFFFFFFFF) << 32 | there >> 32
    alone = np.setxor1d(there, back)
    ends = np.stack([alone >> 32, alone & 0xFFFFFFFF])
    rows, columns = np.divmod(ends, width + 1)
    frame = [rows == 0, rows == height, columns == 0, columns == width]
    on_frame = np.any([side.all(axis=0) for side in frame], axis=0)
    return area / (pixels * pixel_m2) - 1, int((~on_frame).sum()) + there.size - np.unique(there).size


def apart(function: Callable, *arguments: object) -> object:
    """The result of a function in a process of its own: a run would count the memory of the process that starts it as its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    """Run all kinds of files on all sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=[5490, 10980])
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS))
    options = parser.parse_args()
    print(
        "| side | file | polygons | vertices | wall s | CPU s | peak MB | file MB | area of polygons / pixels - 1 | segments that do not fit |"
    )
    print(f"|{'---|' * 10}")
    with tempfile.TemporaryDirectory() as folder:
        for side in options.sides:
            product = apart(laid_out, Path(folder) / "map.tif", options.map, side)
            for name in options.runs:
                ending, *more = RUNS[name]
                out = Path(folder) / f"polygons{ending}"
                said, wall, cpu, peak = lulc("polygons", product, out, "--overwrite", *more)
                error, alone = ("", "")
                if ending == ".gpkg" and "--min-ha" not in more:
                    share, alone = apart(checked, out, product)
                    error = f"{share:.0e}"
                print(
                    f"| {side} | {name} | {said['polygons']:,} | {said['vertices']:,} | {wall:.1f} | {cpu:.1f} | "
                    f"{peak * 1e3:.0f} | {out.stat().st_size / 1e6:.0f} | {error} | {alone} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
