"""What areas of zones cost: thousands of zones on a full Sentinel-2 tile; prints Markdown.

python benchmarks/zones.py MAP [--zones 10 500 5000] [--side 10980]

MAP is a real map, such as that of `lulc classify` and a scene; it is laid out again and again, mirrored, to a tile. The zones
are the Voronoi polygons of points drawn by chance, in degrees, and make up the tile. `lulc report` without zones stands beside.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from mosaic import lulc
from pyproj import Transformer


def write_tile(source: Path, path: Path, side: int) -> None:
    """Lay a map out to a tile of a side, in blocks, with the tags of the map."""
    with rasterio.open(source) as small:
        pixels, tags, names = small.read(), small.tags(), small.descriptions
    rows, cols = ((np.arange(side) % (2 * length)) for length in pixels.shape[1:])
    rows, cols = (np.minimum(at, 2 * n - 1 - at) for at, n in zip((rows, cols), pixels.shape[1:], strict=True))
    place = {"crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 300_000, 0, -10, 5_000_040), "nodata": 255}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "zstd", "interleave": "band"}
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=len(pixels), dtype="uint8", **place, **layout
    ) as tile:
        for row in range(0, side, 512):
            for number, band in enumerate(pixels, 1):
                strip = band[rows[row : row + 512]][:, cols]
                tile.write(strip, number, window=rasterio.windows.Window(0, row, side, len(strip)))
        tile.update_tags(**tags)
        tile.descriptions = names


def write_zones(path: Path, count: int, side: int) -> None:
    """Voronoi polygons that make up the tile, in degrees."""
    rng = np.random.default_rng(0)
    box = shapely.box(300_000, 5_000_040 - 10 * side, 300_000 + 10 * side, 5_000_040)
    west, south, east, north = box.bounds
    points = shapely.MultiPoint([west, south] + rng.random((count, 2)) * [east - west, north - south])
    parts = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=box))
    cut = shapely.segmentize(shapely.intersection(parts, box), 500)
    to_degrees = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)
    degrees = shapely.transform(cut, to_degrees.transform, interleaved=False)
    names = np.array([f"zone {number}" for number in range(count)], object)
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(degrees),
        field_data=[names],
        fields=["name"],
        crs="EPSG:4326",
        geometry_type="Polygon",
        driver="GPKG",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("map", type=Path)
    parser.add_argument("--zones", type=int, nargs="+", default=[10, 500, 5000])
    parser.add_argument("--side", type=int, default=10_980)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tile(chosen.map, folder / "tile.tif", chosen.side)
        print(
            f"\n| {chosen.side} x {chosen.side} px | wall s | CPU s | peak MB | sum of zones / map - 1 |\n|---|---|---|---|---|"
        )
        _, wall, cpu, peak = lulc("report", folder / "tile.tif", folder / "plain")
        print(f"| no zones | {wall:.1f} | {cpu:.1f} | {1000 * peak:.0f} | |", flush=True)
        whole = json.loads((folder / "plain" / "report.json").read_text())["classes"]
        for count in chosen.zones:
            write_zones(folder / f"{count}.gpkg", count, chosen.side)
            out = folder / str(count)
            _, wall, cpu, peak = lulc("report", folder / "tile.tif", out, "--zones", folder / f"{count}.gpkg")
            zones = json.loads((out / "report.json").read_text())["zones"]["zones"]
            sums = np.sum([[entry["hectares"] for entry in zone["classes"]] for zone in zones], axis=0)
            off = max(abs(s / entry["hectares"] - 1) for s, entry in zip(sums, whole, strict=True) if entry["hectares"])
            with (out / "zones.csv").open(newline="") as file:
                assert len(list(csv.DictReader(file))) == count
            print(f"| {count} zones | {wall:.1f} | {cpu:.1f} | {1000 * peak:.0f} | {off:.1e} |", flush=True)


if __name__ == "__main__":
    main()
