"""What `benchmarks/faults.py` runs: small inputs, the commands that write from them, and what a run left.

Scenes are made, or cut from a given one; the network is a small one with chance weights, so that a run takes seconds.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import rasterio
from rasterio.windows import Window

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.whole_runs import BANDS, texture, write_scene, write_textured_bundle

ROOT = Path(__file__).parents[1]
os.environ["PYTHONPATH"] = str(ROOT)  # of the commands, whatever lulc is installed

_TIMED = {"report.json", "report.md", "blocks.png", "change.png"}
"""Files that say how long a run took, or are drawn."""

_LONGEST_S = 600

LATE = ["unshare", "-T", "--monotonic", "864000", "--boottime", "864000"]
"""Starts a process whose machine has been up for ten days more."""

_TRAIN = """
name = "faults"
data = "{folder}/set"
[fit]
steps = 2
"""


@dataclass
class Row:
    """A line of the table: how often a fault was tried, how often all held, and what else was seen."""

    experiment: str
    case: str
    tried: int = 0
    held: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    note: str = ""
    slowest_s: float = 0.0

    def count(self, *, held: bool, seen: str = "") -> None:
        """Add one trial."""
        self.tried += 1
        self.held += held
        if seen:
            self.seen[seen] += 1

    def line(self) -> str:
        """In Markdown."""
        seen = "; ".join(f"{count} x {what}" for what, count in self.seen.most_common())
        return f"| {self.experiment} | {self.case} | {self.tried} | {self.held} | {'; '.join(filter(None, [seen, self.note]))} |"

    def longest(self, seconds: float, name: str) -> None:
        """Note the trial that took longest."""
        if seconds > self.slowest_s:
            self.slowest_s, self.note = seconds, f"the longest took {seconds:.1f} s ({name})"


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, lines on standard error, wall seconds."""

    code: int
    lines: tuple[str, ...]
    seconds: float

    @property
    def told(self) -> list[str]:
        """Lines without warnings and progress."""
        return [line for line in self.lines if line.startswith("lulc: ") or "Traceback" in line]

    @property
    def in_one_line(self) -> bool:
        """True when standard error holds a refusal and nothing else but warnings."""
        others = [line for line in self.lines if "reading again" not in line and " Mpx (" not in line]
        return len(others) == 1 and others[0].startswith("lulc: ")


def lulc(
    arguments: Sequence[object],
    folder: Path,
    *,
    prefix: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Ended:
    """Run a command in a folder to its end."""
    start = time.monotonic()
    done = subprocess.run(
        [*prefix, *command(arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_S,
    )
    return Ended(done.returncode, tuple(done.stderr.splitlines()), time.monotonic() - start)


def command(arguments: Sequence[object]) -> list[str]:
    """Words of the process of a command."""
    return [sys.executable, "-m", "lulc", *map(str, arguments), "-q"]


def content(path: Path) -> str:
    """Hash of an output: of a file, or of all files of a folder but those that tell the time a run took."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(inside for inside in path.rglob("*") if inside.is_file() and inside.name not in _TIMED)
    text = "".join(f"{inside.relative_to(path)} {content(inside)}\n" for inside in files)
    return hashlib.sha256(text.encode()).hexdigest()


def names(folder: Path) -> list[str]:
    """All that a folder holds, hidden or not."""
    return sorted(path.name for path in folder.iterdir() if path.name != "lost+found")


class Inputs:
    """Two overlapping scenes, their maps, labels and a model, in a folder.

    Args:
        folder: Where to make them.
        scene: Scene with bands B02, B03, B04 and B08 from which both are cut; None makes them.
        side: Their sides, pixels.
    """

    def __init__(self, folder: Path, scene: Path | None, side: int) -> None:
        self.folder = folder
        self._scenes(scene, side)
        write_textured_bundle(folder / "bundle")
        for name in ("scene", "other"):
            self._must(["classify", f"{name}.tif", f"map-{name}.tif", *self.model])
        with rasterio.open(folder / "map-scene.tif") as product:
            profile = {**product.profile, "count": 1, "driver": "GTiff"}
            with rasterio.open(folder / "labels.tif", "w", **profile) as labels:
                labels.write(product.read(1), 1)

    @property
    def model(self) -> list[str]:
        """Options of a classification: a small window, so that a run has several chunks."""
        return ["--model", str(self.folder / "bundle"), "--threads", "1", "--window", "304", "--device", "cpu"]

    def writers(self) -> dict[str, tuple[list[str], str]]:
        """Commands that write, and the name of what they write: the word OUT in a command stands for it."""
        here = {path.stem: str(path) for path in self.folder.glob("*.tif")}
        maps, scene = [here["map-scene"], here["map-other"]], here["scene"]
        set_of = ["--labels", here["labels"], "--legend", "dynamic-world", "--chip", "64", "--block", "640"]
        return {
            "classify": (["classify", scene, "OUT", *self.model], "out.tif"),
            "mosaic": (["mosaic", *maps, "OUT"], "out.tif"),
            "stack .tif": (["stack", scene, "OUT", "--indices", "NDVI", "--chunk", "256"], "out.tif"),
            "stack .nc": (["stack", scene, "OUT", "--indices", "NDVI", "--chunk", "256"], "out.nc"),
            "stack .zarr": (["stack", scene, "OUT", "--indices", "NDVI", "--chunk", "256"], "out.zarr"),
            "stack --fill": (["stack", scene, "OUT", "--fill", here["other"], "--chunk", "256"], "out.tif"),
            "change": (["change", *maps, "OUT"], "out.tif"),
            "prepare": (["prepare", scene, "OUT", *set_of, "--gap", "50"], "set"),
        }

    def points_of(self) -> None:
        """Make what further commands read: a training set, points, an item of a catalogue, a plan, a patch."""
        set_words, _ = self.writers()["prepare"]
        self._must(words_for(set_words, "set"))
        self._must(["sample", "map-scene.tif", "points.csv"])
        self._must(["change", "map-scene.tif", "map-other.tif", "changed.tif"])
        self._must(["hpc", "plan", "scene.tif", "plan.json", "--out", "planned", *self.model])
        (self.folder / "train.toml").write_text(_TRAIN.format(folder=self.folder))

    def all_writers(self) -> dict[str, tuple[list[str], str]]:
        """All commands that write, `points_of` having made what they read; OUT as in `writers`."""
        maps, scene = ["map-scene.tif", "map-other.tif"], "scene.tif"
        bands = ["--bands", ",".join(BANDS)]
        further = {
            "classify --quicklook": (["classify", scene, "free.tif", "--quicklook", "OUT", *self.model], "out.png"),
            "change --out": (["change", *maps, "free.tif", "--out", "OUT"], "report"),
            "fetch": (["fetch", "http://127.0.0.1:9", "OUT", "--area", "1,1,2,2", "--dates", "2021-05-01"], "fetched"),
            "train": (["train", "train.toml", "OUT"], "trained"),
            "sample": (["sample", maps[0], "OUT"], "points.csv"),
            "report": (["report", maps[0], "OUT"], "report"),
            "evaluate": (["evaluate", maps[0], "labels.tif", "--legend", "dynamic-world", "--out", "OUT"], "report"),
            "hpc plan": (["hpc", "plan", scene, "OUT", "--out", "maps", *self.model], "plan.json"),
            "hpc plan --out": (["hpc", "plan", scene, "free.json", "--out", "OUT", *self.model], "maps"),
            "hpc render": (["hpc", "render", "plan.json", "--out", "OUT"], "scripts"),
            "patches predict --grid": (["patches", "predict", scene, "--grid", "OUT", *bands], "cells.tif"),
            "patches predict --csv": (["patches", "predict", scene, "--csv", "OUT", *bands], "all.csv"),
            "patches explain": (["patches", "explain", scene, "OUT", *bands], "why.png"),
            "patches change": (["patches", "change", scene, "other.tif", "OUT"], "cells.tif"),
            "serve --work-dir": (["serve", "--port", "0", "--work-dir", "OUT"], "work"),
        }
        return self.writers() | further

    def _scenes(self, scene: Path | None, side: int) -> None:
        """Write both; the second begins a third further down, and the first has a hole that the second fills."""
        shift = side // 3 // 16 * 16
        pixels, other = texture(side, side), texture(side, side, seed=1)
        where = {"transform": rasterio.Affine(10, 0, 356040, 0, -10, 4835680)}
        if scene is not None:
            with rasterio.open(scene) as raster:
                bands = [raster.descriptions.index(name) + 1 for name in BANDS]
                pixels = raster.read(bands, window=Window(0, 0, side, side))
                other = raster.read(bands, window=Window(0, shift, side, side))
                where = {"transform": raster.transform, "crs": raster.crs}
        pixels[:, side // 2 : side // 2 + 40, 30:90] = 0
        write_scene(self.folder / "scene.tif", *pixels.shape[1:], pixels=pixels, **where)
        where["transform"] = where["transform"] @ rasterio.Affine.translation(0, shift)
        write_scene(self.folder / "other.tif", *other.shape[1:], pixels=other, **where)

    def _must(self, arguments: Sequence[object]) -> None:
        ended = lulc(arguments, self.folder)
        if ended.code:
            raise SystemExit("\n".join(ended.lines))


def words_for(words: Sequence[str], output: str) -> list[str]:
    """Words of a command that writes to `output`."""
    return [output if word == "OUT" else word for word in words]


def unbroken(words: Sequence[str], output: str, folder: Path) -> tuple[str, list[str], float]:
    """Run a command in a new folder without any fault: hash of its output, all it left, wall seconds."""
    folder.mkdir()
    ended = lulc(words_for(words, output), folder)
    if ended.code:
        raise SystemExit("\n".join(ended.lines))
    return content(folder / output), names(folder), ended.seconds
