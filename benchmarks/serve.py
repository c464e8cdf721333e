"""How fast `lulc serve` draws map tiles, against titiler.core on the same file in the same run; prints Markdown.

python benchmarks/serve.py [--side 10980] [--tiles 400] [--product out.tif]

Both run as servers of their own and stay up; each tile is asked of both, one right after the other, in turns of who comes
first, over one connection that is kept. No tile is asked twice, so no cache of tiles can help. Then four clients ask at once.
"""

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import morecantile
import numpy as np
from scenes import write_scene

ROOT = Path(__file__).parents[1]
ZOOMS = range(8, 17)
LAYERS = {"classes": ("class", "bidx=1"), "activation": ("activation-2", "bidx=3&rescale=0,250&colormap_name=viridis")}
CLIENTS = 4

_TITILER = """
import sys, uvicorn
from fastapi import FastAPI
from titiler.core.factory import TilerFactory
app = FastAPI()
app.include_router(TilerFactory().router)
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], port: int, path: str) -> Iterator[subprocess.Popen]:
    """A server, from when it first answers."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    try:
        for _ in range(600):
            try:
                if get(http.client.HTTPConnection("127.0.0.1", port), path)[0] < 500:
                    break
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit(f"{command} does not answer")
        yield process
    finally:
        process.terminate()
        process.wait()


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    """Status and body."""
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def timed(connection: http.client.HTTPConnection, path: str) -> tuple[float, int]:
    """Milliseconds and bytes of a tile."""
    start = time.perf_counter()
    status, body = get(connection, path)
    spent = 1e3 * (time.perf_counter() - start)
    if status != 200:
        raise SystemExit(f"{path}: {status} {body[:200]!r}")
    return spent, len(body)


def tiles_within(bounds: tuple[float, ...], count: int) -> list[morecantile.Tile]:
    """As many tiles of every zoom as there are, at most `count` in all, drawn by chance."""
    pyramid = morecantile.tms.get("WebMercatorQuad")
    generator = random.Random(0)  # noqa: S311 - a sample, not a secret
    west, south, east, north = bounds
    inset = 0.08 * (east - west), 0.08 * (north - south)  # a UTM grid is askew in degrees
    shrunk = west + inset[0], south + inset[1], east - inset[0], north - inset[1]
    found = []
    for zoom in ZOOMS:
        here = list(pyramid.tiles(*shrunk, zooms=[zoom]))
        found += generator.sample(here, min(len(here), count // len(ZOOMS)))
    generator.shuffle(found)
    return found


def row(name: str, times: np.ndarray, sizes: np.ndarray) -> str:
    """A line of the table."""
    middle, high, highest = np.percentile(times, [50, 95, 99])
    return f"| {name} | {middle:.1f} | {high:.1f} | {highest:.1f} | {sizes.mean() / 1e3:.1f} |"


def compare(ports: dict[str, int], paths: dict[str, list[str]]) -> None:
    """Ask for each tile of both servers, in turns."""
    connections = {name: http.client.HTTPConnection("127.0.0.1", port) for name, port in ports.items()}
    for name, connection in connections.items():
        get(connection, paths[name][0])  # what is done once
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in ports}
    for number in range(1, len(paths["lulc"])):
        for name in sorted(ports, reverse=number % 2 == 0):
            found[name].append(timed(connections[name], paths[name][number]))
    report({name: np.array(values) for name, values in found.items()})


def together(ports: dict[str, int], paths: dict[str, list[str]]) -> None:
    """Four clients at once, of one server after the other."""
    found = {}
    for name, port in ports.items():
        shares: list[list[tuple[float, int]]] = [[] for _ in range(CLIENTS)]

        def ask(number: int, port: int = port, name: str = name, shares: list = shares) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            shares[number] = [timed(connection, path) for path in paths[name][number::CLIENTS]]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found[name] = np.array([one for share in shares for one in share])
    report(found)


def report(found: dict[str, np.ndarray]) -> None:
    """Print both and their ratio."""
    print("| server | median ms | p95 ms | p99 ms | kB a tile |\n|---|---|---|---|---|")
    for name, values in found.items():
        print(row(name, values[:, 0], values[:, 1]))
    ratio = np.percentile(found["lulc"][:, 0], 95) / np.percentile(found["titiler.core"][:, 0], 95)
    print(f"\np95 of lulc / titiler.core: **{ratio:.2f}** ({len(found['lulc'])} tiles)\n", flush=True)


def resident(process: subprocess.Popen) -> float:
    """Megabytes of main memory."""
    fields = Path(f"/proc/{process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def product_of(folder: Path, side: int) -> Path:
    """A product of a scene of that many pixels a side."""
    scene, product = write_scene(folder / "scene.tif", side, side), folder / "map.tif"
    subprocess.run([sys.executable, "-m", "lulc", "classify", scene, product, "-q"], check=True, cwd=ROOT)
    return product


def main() -> None:
    """Make a product, start both servers, ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=10_980)
    parser.add_argument("--tiles", type=int, default=400)
    parser.add_argument("--product", type=Path, help="use this one")
    options = parser.parse_args()
    ports = {"lulc": free_port(), "titiler.core": free_port()}
    with tempfile.TemporaryDirectory() as place:
        product = (options.product or product_of(Path(place), options.side)).resolve()
        ours = ["-m", "lulc", "serve", "--view-only", "--map", str(product), "--port", str(ports["lulc"]), "-q"]
        theirs = ["-c", _TITILER, str(ports["titiler.core"])]
        with (
            running(ours, ports["lulc"], "/maps") as own,
            running(theirs, ports["titiler.core"], "/healthz") as other,
        ):
            connection = http.client.HTTPConnection("127.0.0.1", ports["lulc"])
            listed = json.loads(get(connection, "/maps")[1])["maps"][0]["id"]
            about = json.loads(get(connection, f"/maps/{listed}")[1])
            print(f"{about['width']} x {about['height']} px, {product.stat().st_size / 1e9:.2f} GB, zooms {ZOOMS}\n")
            tiles = tiles_within(about["bounds"], options.tiles)
            half = len(tiles) // 2
            for title, (layer, query) in LAYERS.items():
                there = (
                    f"/tiles/WebMercatorQuad/{{}}/{{}}/{{}}.png?url={quote(str(product))}&resampling=nearest&{query}"
                )
                paths = {
                    "lulc": [f"/maps/{listed}/tiles/{layer}/{tile.z}/{tile.x}/{tile.y}.png" for tile in tiles],
                    "titiler.core": [there.format(tile.z, tile.x, tile.y) for tile in tiles],
                }
                print(f"{title}, one client\n")
                compare(ports, {name: some[:half] for name, some in paths.items()})
                print(f"{title}, {CLIENTS} clients at once\n")
                together(ports, {name: some[half:] for name, some in paths.items()})
            print(f"main memory: lulc {resident(own):.0f} MB, titiler.core {resident(other):.0f} MB")


if __name__ == "__main__":
    main()
