"""One worker against two on the same shards, and what 100 or 10,000 scenes would take; prints Markdown.

python benchmarks/scaling.py [--side 4096] [--rounds 2]

Each worker has one thread, so that two of them on two cores do twice the work of one at best. Both are timed in turns, in
both orders, so that a busy machine hurts both alike; on one that is busy the ratio says little, so its load is printed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scenes import write_scene

from lulc.grid import Shape
from lulc.tiling import TilePlan

BENCH = Path(__file__).parents[1] / "bench" / "scaling"
OPTIONS = ("--threads", "1", "--precision", "fp32", "--device", "cpu", "--overwrite")
TILE = 10980
_AT_ONCE = 64
_SHARD_CHUNKS = 22
_FILES_OF_A_MAP = 3


@dataclass
class Ran:
    """What a command printed and took; CPU seconds with all its threads."""

    text: str
    wall_s: float
    cpu_s: float


@dataclass
class Measured:
    """What one scene took here: CPU seconds, which a busy machine changes little, and bytes.

    Attributes:
        plan_s: Of `lulc hpc plan`.
        start_s: Of a shard that is done already: start-up alone.
        infer_s: Of all shards, less their start-ups.
        merge_s: Of `lulc hpc merge`, less a start-up.
        map_bytes: Size of the map.
        parts_bytes: Size of all parts.
    """

    plan_s: float
    start_s: float
    infer_s: float
    merge_s: float
    map_bytes: int
    parts_bytes: int


def lulc(*arguments: object) -> Ran:
    """Run lulc."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "lulc", *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    text = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"lulc {arguments} failed with {status}")
    return Ran(text, time.perf_counter() - started, usage.ru_utime + usage.ru_stime)


def run_shards(plan: Path, shards: int, workers: int) -> tuple[float, float]:
    """Wall seconds of all shards with so many processes at a time, and CPU seconds of all."""
    shutil.rmtree(BENCH / "maps" / "scene.tif.parts", ignore_errors=True)
    waiting, spent = list(range(shards)), []

    def work() -> None:
        while waiting:
            spent.append(lulc("hpc", "run", plan, waiting.pop(0), "-q").cpu_s)

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started, sum(spent)


def run_dask(scene: Path, workers: int) -> float:
    """Wall seconds of a run on Dask workers, less the start-up of client and cluster."""
    command = ("classify", scene, BENCH / "dask.tif", *OPTIONS, "--scheduler", f"local:{workers}", "--json", "-q")
    report = json.loads(lulc(*command).text)
    return report["seconds"] - report["start_up_s"]


def scaling(scene: Path, rounds: int) -> Measured:
    """Time one worker and two in turns, in both orders; print the ratios."""
    (BENCH / "maps").mkdir(parents=True, exist_ok=True)
    plan = BENCH / "plan.json"
    planned = lulc("hpc", "plan", scene, plan, "--out", BENCH / "maps", "--shard-chunks", 2, *OPTIONS)
    shards = len(json.loads(lulc("hpc", "status", plan, "--json").text)["shards"])
    walls: dict[tuple[str, int], list[float]] = {}
    spent = []
    for number in range(rounds):
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            wall, cpu = run_shards(plan, shards, workers)
            spent.append(cpu)
            walls.setdefault(("shards as processes, start-up included", workers), []).append(wall)
            walls.setdefault(("Dask workers, start-up of client and cluster left out", workers), []).append(
                run_dask(scene, workers)
            )
    print(f"\nload {os.getloadavg()[0]:.1f} at the end, {os.cpu_count()} cores, {shards} shards\n")
    print("| what | 1 worker, s | 2 workers, s | ratio of medians |\n|---|---|---|---|")
    for what in dict.fromkeys(name for name, _ in walls):
        one, two = walls[what, 1], walls[what, 2]
        shown = [", ".join(f"{wall:.1f}" for wall in each) for each in (one, two)]
        print(f"| {what} | {shown[0]} | {shown[1]} | {median(one) / median(two):.2f} |")
    return _measured(plan, planned.cpu_s, median(spent), shards)


def _measured(plan: Path, plan_s: float, shards_s: float, shards: int) -> Measured:
    start = lulc("hpc", "run", plan, 0, "-q").cpu_s
    parts = sum(path.stat().st_size for path in (BENCH / "maps" / "scene.tif.parts").rglob("*") if path.is_file())
    merge = lulc("hpc", "merge", plan, "-q").cpu_s
    size = (BENCH / "maps" / "scene.tif").stat().st_size
    return Measured(plan_s, start, shards_s - shards * start, merge - start, size, parts)


def table(measured: Measured, side: int) -> None:
    """What many whole Sentinel-2 tiles would take, computed from one scene's figures."""
    pixels = (TILE / side) ** 2
    chunks = TilePlan(Shape(TILE, TILE), 8, 1024, 56).chunk_count
    shards = -(-chunks // _SHARD_CHUNKS)
    print(f"""
Measured on {side} x {side} px, one thread, float32, CPU seconds: plan {measured.plan_s:.1f}, start-up of a job {measured.start_s:.1f}, inference and
storing {measured.infer_s:.1f}, merge {measured.merge_s:.1f}; map {measured.map_bytes / 1e6:.1f} MB, parts {measured.parts_bytes / 1e6:.1f} MB.

Computed for scenes of {TILE} x {TILE} px ({chunks} chunks), {_SHARD_CHUNKS} chunks a shard, {_AT_ONCE} jobs of one CPU at a time; inference, merge and
bytes by pixels, start-up by jobs; waiting in a queue not counted:

| scenes | shard jobs | merge jobs | files of maps | files of parts, at most | TB of maps | CPU hours | wall hours |
|---|---|---|---|---|---|---|---|""")
    for scenes in (100, 10_000):
        jobs = scenes * (shards + 1)
        hours = (jobs * measured.start_s + scenes * pixels * (measured.infer_s + measured.merge_s)) / 3600
        size = scenes * pixels * measured.map_bytes / 1e12
        print(
            f"| {scenes:,} | {scenes * shards:,} | {scenes:,} | {scenes * _FILES_OF_A_MAP:,} "
            f"| {scenes * (chunks + 2 * shards):,} | {size:.3f} | {hours:,.1f} | {hours / _AT_ONCE:,.1f} |"
        )


def main() -> None:
    """Measure, then compute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    BENCH.mkdir(parents=True, exist_ok=True)
    scene = write_scene(BENCH / f"scene_{arguments.side}" / "scene.tif", arguments.side, arguments.side)
    table(scaling(scene, arguments.rounds), arguments.side)
    shutil.rmtree(BENCH)


if __name__ == "__main__":
    main()
