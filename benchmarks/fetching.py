"""How long `lulc fetch` takes from a server that lets every request wait; prints Markdown.

python benchmarks/fetching.py [--latency-ms 50] [--blocks 3 8] [--rounds 3]

One item of nine bands on this machine: cloud-optimised GeoTIFFs with blocks of 512 px, four of 10 m and five of 20 m. The area is so
many blocks of 10 m wide and high. The server is a process of its own; the pixels of all rounds are compared.
"""

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import rasterio
from rasterio.shutil import copy
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

sys.path.insert(0, str(Path(__file__).parents[1]))
from lulc.tasks.fetch.fetch import fetch
from lulc.tasks.fetch.options import FetchOptions

NAMES = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
FINE = ("B02", "B03", "B04", "B08")
SIDE, BLOCK = 5120, 512
LEFT, TOP, CRS = 600_000.0, 5_000_000.0, "EPSG:32633"


def write_item(folder: Path) -> None:
    """Nine bands of noise, and the item that lists them."""
    random, assets = np.random.default_rng(0), {}
    for name in NAMES:
        size = 10 if name in FINE else 20
        plane = random.integers(300, 4000, (SIDE * 10 // size,) * 2).astype(np.uint16)
        place = {"crs": CRS, "transform": from_origin(LEFT, TOP, size, size), "nodata": 0}
        shape = {"height": len(plane), "width": len(plane), "count": 1, "dtype": "uint16"}
        with rasterio.MemoryFile() as memory:
            with memory.open(driver="GTiff", **shape, **place) as raster:
                raster.write(plane, 1)
            with memory.open() as raster:
                copy(raster, folder / f"{name}.tif", driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=BLOCK, LEVEL=1)
        media = "image/tiff; application=geotiff; profile=cloud-optimized"
        assets[name] = {"href": f"{name}.tif", "type": media, "eo:bands": [{"name": name}], "gsd": size}
    west, south, east, north = ground(SIDE)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "scene",
        "collection": "sentinel-2-l2a",
        "bbox": [west, south, east, north],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2021-06-03T10:05:59Z", "eo:cloud_cover": 1.0},
        "links": [],
        "assets": assets,
    }
    (folder / "item.json").write_text(json.dumps(item))


def ground(pixels: int) -> tuple[float, float, float, float]:
    """West, south, east and north, degrees, of so many pixels in the middle of the item."""
    start = (SIDE - pixels) // 2 * 10
    box = LEFT + start, TOP - start - pixels * 10, LEFT + start + pixels * 10, TOP - start
    return transform_bounds(CRS, "EPSG:4326", *box)


@contextmanager
def slow_server(folder: Path, latency_ms: float) -> Iterator[str]:
    """Address of a process that serves a folder, every answer after a while; its last word is the number of requests."""
    command = [sys.executable, __file__, "--serve", str(folder), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def serve(folder: Path, latency_s: float) -> None:
    """Serve a folder until the process is ended."""
    server = _SlowServer(folder, latency_s)
    print(server.server_port, flush=True)
    server.serve_forever()


class _SlowServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path, latency_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents = {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}
        self.latency_s, self.requests = latency_s, 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server: _SlowServer = self.server
        server.requests += 1
        time.sleep(server.latency_s)
        content = server.contents.get(self.path, str(server.requests).encode() if self.path == "/requests" else None)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        total = len(content or b"")
        first, last = (int(asked[1]), min(int(asked[2] or total), total - 1)) if asked else (0, total - 1)
        self.send_response(404 if content is None else 206 if asked else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.end_headers()
        if content and self.command != "HEAD":
            self.wfile.write(content[first : last + 1])
        self.wfile.flush()


def fetched(server: str, blocks: int, scratch: Path) -> tuple[float, float, int, str]:
    """Wall and CPU seconds and requests of one fetch, and the digest of its pixels."""
    area = ",".join(f"{number:.9f}" for number in ground(blocks * BLOCK - 2))
    options = FetchOptions(area=area, dates="2021-06-03", bands=NAMES, overwrite=True)
    began, used = time.perf_counter(), time.process_time()
    fetch(f"{server}/item.json", scratch, options)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    with urlopen(f"{server}/requests") as answer:  # noqa: S310 - of this machine
        requests = int(answer.read()) - 1
    with rasterio.open(scratch / "scene.tif") as raster:
        return wall, cpu, requests, hashlib.sha256(raster.read()).hexdigest()


def main() -> None:
    """Serve an item and fetch areas of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--blocks", type=int, nargs="+", default=[3, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=Path, help="serve a folder; the benchmark starts this itself")
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.latency_ms / 1000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "item"
        folder.mkdir()
        write_item(folder)
        print(f"\n{given.latency_ms:g} ms a request, median of {given.rounds}, load {os.getloadavg()[0]:.1f}\n")
        print("| blocks | s | CPU s | requests | pixels |\n|---|---|---|---|---|")
        for blocks in given.blocks:
            rounds = []
            for _ in range(given.rounds):
                with slow_server(folder, given.latency_ms) as server:  # a new port: GDAL has kept nothing of it
                    rounds.append(fetched(server, blocks, Path(name) / "out"))
            wall, cpu, requests = (statistics.median(values) for values in list(zip(*rounds, strict=True))[:3])
            (digest,) = {each[-1] for each in rounds}
            print(f"| {blocks} x {blocks} | {wall:.2f} | {cpu:.2f} | {requests:.0f} | {digest[:8]} |", flush=True)


if __name__ == "__main__":
    main()
