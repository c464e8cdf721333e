"""Patches a second against the bare network, in one run: classifying files, classifying cells of a scene, training.

    python benchmarks/patches.py [--data FOLDER|ZIP] [--patches 1024] [--steps 30]

The bare network runs forward passes (or steps with backward pass and optimiser) at the same size, precision and batch on
patches that lie ready. Everything is timed in turns, so that a busy machine hurts all alike. Without --data the patches
are noise written as JPEG.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import lulc.patches  # sets how OpenMP threads wait, before torch  # noqa: F401

# isort: split
import numpy as np
import rasterio
import torch
from PIL import Image
from torch import nn

from lulc.io.scene.scene import open_scene
from lulc.patches.card import load_patch_model
from lulc.patches.cells import Cells, classify_cells
from lulc.patches.classifier import AT_ONCE, Classifier
from lulc.patches.dataset import PatchSet, open_patch_set
from lulc.patches.learn.settings import PatchSettings
from lulc.patches.learn.train import plan_patches
from lulc.patches.learn.trained import PatchPlan
from lulc.training.distributed import ProcessGroup
from lulc.training.loop import fit, optimiser_for
from lulc.training.run_folder import RunFolder

ROUNDS = 5
SIDE = 64
ROWS, COLUMNS = 8, 64


def noise_set(folder: Path, count: int) -> Path:
    """Two classes of noise pictures as JPEG."""
    rng = np.random.default_rng(0)
    for number in range(count):
        kind = folder / ("A", "B")[number % 2]
        kind.mkdir(parents=True, exist_ok=True)
        colors = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(colors).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(kind / f"{number}.jpg", quality=90)
    return folder


def noise_scene(path: Path) -> Path:
    """A scene of 8 rows of 64 cells."""
    rng, height, width = np.random.default_rng(0), ROWS * SIDE, COLUMNS * SIDE
    data = rng.integers(100, 2700, (3, height, width)).astype(np.uint16)
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)}
    shape = {"height": height, "width": width, "count": 3, "dtype": "uint16"}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, compress="deflate", **shape, **place) as file:
        file.write(data)
        file.descriptions = ("B04", "B03", "B02")
    return path


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turns(ways: dict[str, tuple[int, Callable[[], object]]]) -> dict[str, list[float]]:
    """Patches a second of each way, of which the patches are told, in each of some rounds, after one to warm up."""
    for _, work in ways.values():
        work()
    rounds = [{name: count / seconds(work) for name, (count, work) in ways.items()} for _ in range(ROUNDS)]
    return {name: [rates[name] for rates in rounds] for name in ways}


def tell(name: str, rates: list[float], bare: list[float]) -> None:
    """Print the median rate, and the median over the rounds of what it is of the bare network's."""
    share = median(rate / most for rate, most in zip(rates, bare, strict=True))
    print(f"{name:15} {median(rates):6.0f} patches/s, bare {median(bare):6.0f}: {share:.2f}", flush=True)


def classifying(data: PatchSet, count: int, scene_file: Path) -> None:
    """Print patches a second of files and of cells."""
    classifier = Classifier(load_patch_model(), "cpu")
    patches = data.patches[:count]
    ready = classifier.inputs([data.read(patch) for patch in patches[:AT_ONCE]])
    steps = len(patches) // AT_ONCE

    def cells_of_scene() -> None:
        with open_scene([scene_file]) as scene:
            for _ in classify_cells(scene, classifier, Cells(scene.grid, SIDE, SIDE)):
                pass

    rates = in_turns(
        {
            "bare": (steps * AT_ONCE, lambda: [classifier.logits(ready) for _ in range(steps)]),
            "files": (len(patches), lambda: list(classifier.classify(patches, data.read))),
            "cells": (ROWS * COLUMNS, cells_of_scene),
        }
    )
    for name in ("files", "cells"):
        tell(f"classify {name}", rates[name], rates["bare"])


def training(plan: PatchPlan, group: ProcessGroup, steps: int) -> None:
    """Print patches a second of the loop and of bare steps."""
    settings, task = plan.settings, plan.task
    image, target = task.batch(task.draw(0), 0)
    network = plan.network.train()
    optimiser = optimiser_for(network, settings.fit)

    def bare() -> None:
        for _ in range(steps):
            loss = nn.functional.cross_entropy(network(image), target.codes[:, 0, 0])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    def lulc_loop() -> float:
        with tempfile.TemporaryDirectory() as folder:
            done = fit(plan.network, task, settings.fit, group, RunFolder(Path(folder)))
        return done.seconds

    bare()
    rounds = [(lulc_loop(), seconds(bare)) for _ in range(ROUNDS)]
    loop, plain = ([steps * settings.fit.batch / times for times in way] for way in zip(*rounds, strict=True))
    tell("train", loop, plain)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--patches", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.data or noise_set(Path(folder) / "set", given.patches)
        classifying(open_patch_set(path), given.patches, noise_scene(Path(folder) / "scene.tif"))
        table = {
            "name": "bench",
            "data": path,
            "network": {"name": "lite0", "side": 128},
            "augment": {"gain": 0.1, "zoom": 0.25, "cutmix": 0.5},
            "fit": {"epochs": 0, "steps": given.steps, "precision": "fp32", "device": "cpu"}
            | {"validate_every": 10**9, "checkpoint_every": 10**9},
        }
        group = ProcessGroup(torch.device("cpu"))
        training(plan_patches(PatchSettings.model_validate(table), group), group, given.steps)


if __name__ == "__main__":
    main()
