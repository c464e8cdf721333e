"""One region three ways, and killed at random moments; prints Markdown.

python benchmarks/region.py [--side 1600] [--kills 20] [--ways make slurm dask]

Four overlapping scenes in two UTM zones become one mosaic: by `make -j2`, by a Slurm array (a real one, started here; needs root,
slurm-wlm and munge) and by Dask (two workers). The maps and the mosaic must have the same bytes. Then each way is killed
at random moments (SIGKILL: of make and all it runs, of a running shard of the array, of the Dask client and all it runs), done
again by the same command, and compared with the clean one; with Slurm and Dask one scene at a time. There it is also counted how many chunks had been stored
and were inferred a second time all the same; what is lost otherwise is the chunk in work.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from mosaic import lulc
from scenes import texture

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.region_samples import write_region
from tests.support.slurm_cluster import slurm, why_not

ROOT = Path(__file__).parents[1]
CLASSIFY = {"window": 624, "threads": 1}
"""Chunks of 512 rows, so that a scene has several; one thread, so that the bytes do not depend on who runs it."""

_REGION = """
name = "zones"
out = "made"
scenes = ["scene1.tif", "scene2.tif", "scene3.tif", "scene4.tif"]
[stack]
preset = "bands9"
[classify]
window = 624
threads = 1
"""
_SITE = """
memory = "3G"
cpus = 1
time = "00:10:00"
signal_seconds = 30
lulc = "{lulc}"
[environment]
OMP_WAIT_POLICY = "PASSIVE"
[merge]
memory = "2G"
time = "00:10:00"
"""
_DATES = 7
_SCENES = 4


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def scenes_of(folder: Path, side: int) -> None:
    """Four scenes of four dates, and the region file."""
    tile = texture()
    width = tile.shape[2] // _DATES
    dates = [tile[:, :, number * width : (number + 1) * width] for number in (2, 3, 4, 5)]
    rows, cols = np.arange(side) % tile.shape[1], np.arange(side) % (2 * width)
    write_region(folder, [np.concatenate([date, date[:, :, ::-1]], axis=2)[:, rows][:, :, cols] for date in dates])
    (folder / "region.toml").write_text(_REGION)


class Make:
    """The whole region by `make -j2`."""

    def __init__(self, source: Path, work: Path) -> None:
        for path in source.iterdir() if work != source else ():
            if path.is_file():
                (work / path.name).hardlink_to(path)
        self.work = work
        self.command = [
            "make",
            "-C",
            str(ROOT / "pipelines"),
            f"REGION={work / 'region.toml'}",
            f"PYTHON={sys.executable}",
            "-j2",
            "-s",
        ]

    def run(self) -> int:
        """To its end; chunks inferred twice are not known."""
        subprocess.run(self.command, check=True)
        return 0

    def killed(self, after: float) -> bool:
        """Kill everything after some seconds; False when it had ended."""
        return kill_after(self.command, after)

    def products(self) -> dict[str, str]:
        """What came of it."""
        return {
            path.name: sha256(path)
            for path in [*sorted((self.work / "made" / "maps").glob("*.tif")), self.work / "made" / "mosaic.tif"]
        }


class Stacks:
    """Maps of stacks that lie ready, and their mosaic."""

    def __init__(self, stacks: list[Path], work: Path) -> None:
        self.stacks, self.work = stacks, work
        self.maps = [work / stack.name for stack in stacks]

    def products(self) -> dict[str, str]:
        """Maps, and their mosaic when they are all."""
        mosaic = self.work / "mosaic.tif"
        if len(self.maps) == _SCENES:
            lulc("mosaic", *self.maps, mosaic, "--overwrite")
        return {path.name: sha256(path) for path in [*self.maps, mosaic] if path.exists()}


class Dask(Stacks):
    """Each scene on two workers."""

    def commands(self) -> list[list[str]]:
        """One a scene."""
        options = [word for name, value in CLASSIFY.items() for word in (f"--{name}", str(value))]
        return [
            [
                sys.executable,
                "-m",
                "lulc",
                "classify",
                str(stack),
                str(out),
                "--scheduler",
                "local:2",
                "-q",
                "--json",
                *options,
            ]
            for stack, out in zip(self.stacks, self.maps, strict=True)
        ]

    def run(self) -> int:
        """Those scenes that have no map yet; chunks inferred twice."""
        twice = 0
        for command, out in zip(self.commands(), self.maps, strict=True):
            if not out.exists():
                stored = len(list(Path(f"{out}.lulc").glob("chunk-*.tiles")))
                said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                twice += stored - said["resumed_chunks"]
        return twice

    def killed(self, after: float) -> bool:
        """Kill client and workers of the first scene after some seconds; False when they had ended."""
        return kill_after(self.commands()[0], after)


class Slurm(Stacks):
    """An array of shards of two chunks, and merges after them."""

    def __init__(self, stacks: list[Path], work: Path) -> None:
        super().__init__(stacks, work)
        self.plan, self.site = work / "plan.json", work / "site.toml"
        self.stored: dict[int, int] = {}
        self.site.write_text(_SITE.format(lulc=Path(sys.executable).with_name("lulc")))
        options = [word for name, value in CLASSIFY.items() for word in (f"--{name}", str(value))]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "lulc",
                "hpc",
                "plan",
                *map(str, stacks),
                str(self.plan),
                "--out",
                str(work),
                "--shard-chunks",
                "2",
                "-q",
                *options,
            ],
            check=True,
        )

    def _stored(self) -> dict[int, int]:
        """Chunks that each shard has stored."""
        said = subprocess.run(
            [sys.executable, "-m", "lulc", "hpc", "status", str(self.plan), "--json"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return {shard["shard"]: shard["done"] for shard in json.loads(said)["shards"]}

    def _submit(self) -> list[int]:
        """Submit what is not done; which shards these are."""
        said = subprocess.run(
            [sys.executable, "-m", "lulc", "hpc", "submit", str(self.plan), "--site", str(self.site), "--json"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return json.loads(said)["shards"]

    def _resumed(self, shard: int) -> int:
        """Chunks that the shard's last job says it found stored."""
        logs = sorted(
            (self.work / "plan.run" / "logs").glob(f"shard-*_{shard}.log"), key=lambda log: log.stat().st_mtime_ns
        )
        said = re.search(rf"shard {shard}: \d+ chunks done(?:, (\d+) of them by an earlier run)?", logs[-1].read_text())
        return int(said.group(1) or 0)

    def run(self) -> int:
        """Submit what is not done, once; chunks inferred twice."""
        submitted = self._submit()
        wait_for_queue()
        if not all(out.exists() for out in self.maps):
            raise SystemExit(f"one submission left {self.work} unfinished; its logs are in plan.run/logs")
        return sum(self.stored.get(shard, 0) - self._resumed(shard) for shard in submitted)

    def killed(self, after: float) -> bool:
        """Kill the processes of jobs after some seconds, cancel jobs that wait; False when all had ended."""
        self._submit()
        time.sleep(after)
        subprocess.run(["scancel", "--state=PENDING", "--user=root"], check=True)
        subprocess.run(["pkill", "-9", "-f", f"hpc (run|merge) {self.plan}"], check=False)
        wait_for_queue()
        self.stored = self._stored()
        return not all(out.exists() for out in self.maps)


def wait_for_queue() -> None:
    """Until no job is left."""
    while subprocess.run(["squeue", "--noheader"], check=True, capture_output=True, text=True).stdout.strip():
        time.sleep(0.5)


def kill_after(command: list[str], seconds: float) -> bool:
    """Start a command with a process group of its own and kill the group after some seconds; False when it had ended."""
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def main() -> None:
    """Run all ways clean, compare, then kill each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1600)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--ways", nargs="+", choices=["make", "slurm", "dask"], default=["make", "slurm", "dask"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as place, ExitStack() as running:
        folder = Path(place)
        source = folder / "source"
        source.mkdir()
        scenes_of(source, options.side)
        if "slurm" in options.ways:
            if why_not():
                raise SystemExit(f"no Slurm here: {why_not()}")
            (folder / "slurm").mkdir()
            running.enter_context(slurm(folder / "slurm"))
        stacks = [source / "made" / "stacks" / f"scene{number + 1}.tif" for number in range(_SCENES)]
        print(
            "| way | wall s, clean | same bytes | killed | ended equal | chunks inferred twice |\n|---|---|---|---|---|---|",
            flush=True,
        )
        expected: dict[str, str] = {}
        for way in sorted({"make", *options.ways}, key=("make", "slurm", "dask").index):
            report(way, folder, source, stacks, expected, options.kills if way in options.ways else 0, chance)


def report(
    way: str,
    folder: Path,
    source: Path,
    stacks: list[Path],
    expected: dict[str, str],
    kills: int,
    chance: np.random.Generator,
) -> None:
    """One line of the table; the first way says what all others must give."""
    first = Make(source, source) if way == "make" else made(way, folder / f"{way}-clean", source, stacks)
    clean = timed(first)
    found = first.products()
    expected.update(found if way == "make" else {})
    part = stacks[:1]  # of Slurm and Dask, one scene is killed
    longest = clean if way == "make" or not kills else timed(made(way, folder / f"{way}-one", source, part))
    killed, equal, twice = 0, 0, 0
    while killed < kills:
        again = made(way, Path(tempfile.mkdtemp(dir=folder)), source, part)
        if not again.killed(chance.uniform(1, longest)):
            continue
        killed += 1
        twice += again.run()
        products = again.products()
        equal += bool(products) and all(expected[name] == digest for name, digest in products.items())
        print(f"{way} {killed}/{kills}: {equal} equal, {twice} chunks twice", file=sys.stderr, flush=True)
    told = "" if way == "make" else twice
    print(f"| {way} | {clean:.1f} | {found == expected} | {killed} | {equal} | {told} |", flush=True)


def timed(way: Make | Dask | Slurm) -> float:
    """Wall seconds of a run."""
    start = time.perf_counter()
    way.run()
    return time.perf_counter() - start


def made(way: str, work: Path, source: Path, stacks: list[Path]) -> Make | Dask | Slurm:
    """A fresh one in a folder of its own."""
    work.mkdir(exist_ok=True)
    return Make(source, work) if way == "make" else {"dask": Dask, "slurm": Slurm}[way](stacks, work)


if __name__ == "__main__":
    main()
