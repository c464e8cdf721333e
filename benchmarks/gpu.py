"""What a GPU reaches with lulc, and what a node with one would take for whole tiles; prints Markdown.

python benchmarks/gpu.py [--device cuda] [--side 4096] [--cores 16] [--price 4]

On a machine with a GPU: copies, the bare network, lanes, whole commands, and whether maps are equal. `--device cpu` runs the
same code without one, to see that it works. The last table is computed: CPU seconds of every stage, measured here with one
thread, and the network by its operations, for a Sentinel-2 tile on a node of `--cores` and one GPU of `--tflops`.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import rasterio
import torch
from classify import BENCH, classify
from scenes import write_scene
from torch.utils.flop_counter import FlopCounterMode

from lulc import ClassifyOptions
from lulc.bands import Radiometry
from lulc.grid import Shape
from lulc.io.files.gdal import gdal_cache
from lulc.io.product.writer import ProductWriter
from lulc.io.scene.source import Raster
from lulc.model.bundle import load_bundle
from lulc.model.device import Placement
from lulc.model.inference import ChunkInference
from lulc.model.lane import DeviceLane
from lulc.model.predictor import Predictor
from lulc.tasks.classify.job import Job, plan_job
from lulc.tasks.classify.memory import gdal_cache_bytes
from lulc.tasks.classify.series import Series, open_series

_TILE = Shape(10_980, 10_980)
_TILE_KM2 = 109.8**2
_ROUNDS = 3
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def rate(device: torch.device, work: Callable[[], object]) -> float:
    """Wall seconds of one call, the best of some."""
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def copies(device: torch.device) -> None:
    """GB a second between host and device."""
    size = 1 << 28
    print("\n| copy | GB/s |\n|---|---|")
    for name, pinned in (("pageable", False), ("pinned", True)):
        if pinned and device.type != "cuda":
            continue
        host = torch.empty(size, dtype=torch.uint8, pin_memory=pinned)
        there = torch.empty(size, dtype=torch.uint8, device=device)
        for way, to, come in (("up", there, host), ("down", host, there)):
            taken = rate(device, partial(to.copy_, come, non_blocking=pinned))
            print(f"| {name}, {way} | {size / taken / 1e9:.1f} |")


def bare_network(device: torch.device, window: int) -> None:
    """Mpx a second of forward passes alone."""
    bundle = load_bundle()
    print("\n| bare network | windows a pass | Mpx/s |\n|---|---|---|")
    for precision, dtype in _DTYPES.items():
        if device.type == "cpu" and precision == "fp16":
            continue
        predictor = Predictor(bundle, Radiometry(), bundle.card.features.bands, Placement(device, dtype))
        for batch in (1, 2, 4):
            shape = (batch, len(bundle.card.features.channels), window, window)
            image = torch.rand(shape, device=device).to(dtype).to(memory_format=torch.channels_last)
            predictor.logits(image)
            taken = rate(device, partial(predictor.logits, image))
            print(f"| {precision} | {batch} | {batch * window**2 / taken / 1e6:.1f} |")


def lanes(series: Series, job: Job) -> None:
    """Mpx a second from pixels in memory to product bands in memory, by lanes and windows a pass."""
    placement = job.placement
    chunks = list(job.plan.chunks())
    pixels = [job.readers[0].raw(chunk.read) for chunk in chunks]
    print(f"\n| lanes, {placement.precision} | windows a pass | Mpx/s | equal |\n|---|---|---|---|")
    first: list[np.ndarray] = []
    for count in (1, 2, 3, 4):
        for batch in (1, 2):
            predictor = Predictor(job.bundle, series.first.radiometry, job.names, placement, batch)
            infer = ChunkInference(
                [DeviceLane(predictor) for _ in range(count)], job.plan, "uint8", flagged=bool(job.extra)
            )
            started = time.perf_counter()
            pending = [infer.begin(chunk, part) for chunk, part in zip(chunks, pixels, strict=True)]
            products = [finish() for finish in pending]
            taken = time.perf_counter() - started
            infer.close()
            first = first or products
            equal = all(map(np.array_equal, products, first))
            print(f"| {count} | {batch} | {job.plan.shape.size / taken / 1e6:.1f} | {'yes' if equal else 'NO'} |")


def commands(scene: Path, device: torch.device) -> None:
    """Whole commands on the device, beside the same on the CPU."""
    print(
        "\n| command | wall s | start-up s | CPU s | read, infer, write, publish s | classes that differ |\n"
        + "|---" * 6
        + "|"
    )
    truth = classify(scene, "--device", "cpu", "--precision", "fp32")["out"]
    for precision in ("fp32", "bf16"):
        row = classify(scene, "--device", str(device), "--precision", precision)
        stages = [f"{row['report']['stages'][name]['wall_s']:.1f}" for name in ("read", "infer", "write", "publish")]
        with rasterio.open(row["out"]) as one, rasterio.open(truth) as other:
            differ = float((one.read(1) != other.read(1)).mean())
        print(
            f"| {row['name']} | {row['wall_s']:.1f} | {row['report']['start_up_s']:.1f} | {row['cpu_s']:.1f} | {', '.join(stages)} | {100 * differ:.4f} % |"
        )


@contextmanager
def spent(costs: dict[str, float], stage: str, pixels: int) -> Iterator[None]:
    """Add the CPU seconds of the block, for each megapixel, to a stage."""
    start = time.process_time()
    yield
    costs[stage] = costs.get(stage, 0.0) + (time.process_time() - start) / pixels * 1e6


def host_costs(series: Series, job: Job) -> dict[str, float]:
    """CPU seconds a megapixel of all that a node does for its GPU, reading apart; one thread each."""
    lane = DeviceLane(Predictor(job.bundle, series.first.radiometry, job.names, job.placement))
    costs: dict[str, float] = {}
    pixels = job.plan.shape.size
    out = BENCH / "gpu_paper.tif"
    with ProductWriter(
        out, series.grid, job.card.classes, extra=job.extra, overwrite=True, resume=False, threads=1
    ) as writer:
        for chunk in job.plan.chunks():
            raster = job.readers[0].raw(chunk.read)
            product = real_map()[:, : chunk.core.height, : chunk.core.width].copy()
            down = torch.from_numpy(product)
            with spent(costs, "copy", pixels):
                lane.up([Raster(*(np.ascontiguousarray(plane) for plane in raster))])
                product[:] = lane.down(down)[0]
            with spent(costs, "encode", pixels):
                writer.put(chunk.index, chunk.core, product)
        started = time.process_time()
    costs["publish"] = (time.process_time() - started) / pixels * 1e6
    return costs


@cache
def real_map() -> np.ndarray:
    """All bands of a map."""
    scene = write_scene(BENCH / "scene_2048.tif", 2048, 2048)
    with rasterio.open(classify(scene)["out"]) as made:
        return made.read()


def inputs(scene: Path) -> dict[str, Path]:
    """The scene as producers deliver it."""
    made = {"deflate": scene}
    for name, options in {
        "zstd": [
            "-co",
            "COMPRESS=ZSTD",
            "-co",
            "PREDICTOR=2",
            "-co",
            "TILED=YES",
            "-co",
            "BLOCKXSIZE=512",
            "-co",
            "BLOCKYSIZE=512",
        ],
        "JPEG 2000": ["-of", "JP2OpenJPEG", "-co", "QUALITY=100", "-co", "REVERSIBLE=YES"],
    }.items():
        made[name] = BENCH / f"gpu_{name.split()[0].lower()}.{'jp2' if 'JPEG' in name else 'tif'}"
        if not made[name].exists():
            subprocess.run(["gdal_translate", "-q", *options, str(scene), str(made[name])], check=True)
    return made


def decode_cost(path: Path, bands: tuple[str, ...]) -> float:
    """CPU seconds a megapixel of reading all bands; what the plan has looked at is forgotten first."""
    options = ClassifyOptions(bands=bands, device="cpu", allow_no_georef=True)
    costs: dict[str, float] = {}
    with open_series([path], options) as series:
        job = plan_job(series, load_bundle(), options)
    with open_series([path], options) as series, gdal_cache(gdal_cache_bytes(job.plan, series, len(job.names))):
        reader = series.readers(job.names)[0]
        for chunk in job.plan.chunks():
            with spent(costs, "decode", job.plan.shape.size):
                reader.raw(chunk.read)
    return costs["decode"]


def paper(given: argparse.Namespace) -> None:
    """The table of a node that nobody has measured."""
    scene = write_scene(BENCH / "scene_2048.tif", 2048, 2048)
    options = ClassifyOptions(device="cpu")
    with open_series([scene], options) as series:
        job = plan_job(series, load_bundle(), options)
        costs = host_costs(series, job)
        window = torch.zeros(1, len(job.card.features.channels), job.plan.window, job.plan.window)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            job.bundle.network(window)
        tera = counter.get_total_flops() / job.plan.core**2 * _TILE.size / 1e12
        moved = (2 * len(job.names) + 1 + 1 + len(job.card.classes) + len(job.extra)) * _TILE.size / 1e9
        decoded = {name: decode_cost(path, series.names) for name, path in inputs(scene).items()}
    computing, copying = tera / (given.tflops * given.efficiency), moved / given.pcie
    on_gpu = max(computing, copying)
    mpx = _TILE.size / 1e6
    print(
        f"\nA tile of {mpx:.0f} Mpx: {tera:.1f} Tflop, {computing:.2f} s at {given.efficiency:.0%} of {given.tflops:.0f} Tflop/s;"
    )
    print(
        f"{moved:.1f} GB up and down, {copying:.2f} s at {given.pcie:.0f} GB/s, at the same time. {given.cores} cores:\n"
    )
    print(
        "| input | decode, copy, encode, publish: CPU s a tile | s a tile | what binds | cores that feed one GPU | hours for 10,000 tiles | $ for 1000 km2 |"
    )
    print("|---" * 7 + "|")
    for name, decode in decoded.items():
        stages = [decode, costs["copy"], costs["encode"], costs["publish"]]
        host = sum(stages) * mpx
        taken = max(host / given.cores, on_gpu)
        print(
            f"| {name} | {', '.join(f'{cost * mpx:.1f}' for cost in stages)} | {taken:.2f} | {'GPU' if taken == on_gpu else 'cores'} "
            f"| {host / on_gpu:.0f} | {taken * 10_000 / 3600:.1f} | {taken / 3600 * given.price / _TILE_KM2 * 1000:.5f} |"
        )


def main() -> None:
    """Everything, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--paper", action="store_true", help="the computed table alone")
    for name, default, what in (
        ("side", 4096, "of the scene, pixels"),
        ("cores", 16, "of the node"),
        ("price", 4.0, "of the node, $ an hour"),
        ("tflops", 989.0, "dense bf16 of the GPU by its data sheet"),
        ("efficiency", 0.1, "share of it that a small U-Net reaches"),
        ("pcie", 50.0, "GB/s of a copy from pinned memory"),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=what)
    given = parser.parse_args()
    BENCH.mkdir(exist_ok=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {given.device}")
    if not given.paper:
        device = torch.device(given.device)
        scene = write_scene(BENCH / f"scene_{given.side}.tif", given.side, given.side)
        options = ClassifyOptions(device=given.device)
        copies(device)
        with open_series([scene], options) as series:
            job = plan_job(series, load_bundle(), options)
            bare_network(device, job.plan.window)
            lanes(series, job)
        commands(scene, device)
    paper(given)


if __name__ == "__main__":
    main()
