"""Training throughput against a bare forward and backward pass on one batch, in one run.

    python benchmarks/train.py [--data SET] [--steps 40]

The bare loop runs the same network at the same precision on one batch that lies ready, with the optimiser's step; lulc
reads, crops, augments and averages weights besides. Both are timed in turns, so that a busy machine hurts both alike.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn

from lulc.features import FeatureSpec
from lulc.io.labels.training_set import (
    Chip,
    SetCard,
    TrainingSet,
    label_pixels,
    open_training_set,
    write_pair,
    write_set_lists,
)
from lulc.legend import load_legend
from lulc.model.allocator import keep_freed_memory
from lulc.model.build import build_network
from lulc.training.distributed import ProcessGroup
from lulc.training.loop import fit, optimiser_for
from lulc.training.run_folder import RunFolder
from lulc.training.segmentation import Segmentation, architecture_for, chosen_features
from lulc.training.settings import TrainSettings

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
NETWORKS = {
    "shipped (Lite0, depth 3)": {
        "encoder": "tu-tf_efficientnet_lite0",
        "encoder_depth": 3,
        "options": {"decoder_channels": [64, 32, 16]},
    },
    "U-Net ResNet-18": {"encoder": "resnet18", "encoder_depth": 4, "options": {"decoder_channels": [128, 64, 32, 16]}},
}
ROUNDS = 3


def random_set(folder: Path) -> Path:
    """Forty chips of 256 px with noise, as GeoTIFF."""
    rng, legend = np.random.default_rng(0), load_legend("dynamic-world")
    card = SetCard(
        name="noise",
        features=FeatureSpec(bands=BANDS, mean=(0.2,) * 9, std=(0.1,) * 9),
        planes=BANDS,
        legend=legend.to_table(),
        levels=("L2A",),
    )
    chips = []
    for number in range(40):
        image = rng.uniform(0.01, 0.4, (9, 256, 256)).astype(np.float32)
        label = rng.integers(1, 10, (1, 256, 256)).astype(np.uint8)
        write_pair(folder, card, f"c{number}", image, label)
        split = "val" if number == 0 else "train"
        chips.append(Chip(f"c{number}", split, "noise", 0, 0, 256, 256, number, "L2A", 1.0, label_pixels(label, 9)))
    write_set_lists(folder, card, chips)
    return folder


def settings(data: Path, network: dict[str, object], precision: str, steps: int) -> TrainSettings:
    """The shipped recipe on another network."""
    table = {
        "name": "bench",
        "data": str(data),
        "network": {**network, "indices": []},
        "samples": {"crop": 128},
        "augment": {"atmosphere": 0.5, "rotate": "quarter"},
        "fit": {"steps": steps, "precision": precision, "validate_every": 10**9, "checkpoint_every": 10**9},
    }
    return TrainSettings.model_validate(table)


def build(chosen: TrainSettings, data: TrainingSet) -> tuple[nn.Module, FeatureSpec]:
    """A fresh network on the CPU."""
    spec = chosen_features(chosen.network, data.card.features)
    network = build_network(architecture_for(chosen.network, spec, len(data.card.classes)))
    return network.to(memory_format=torch.channels_last), spec


def lulc_seconds(chosen: TrainSettings, data: TrainingSet) -> float:
    """Seconds a step of lulc's loop, reading and augmenting included; the validation at the end is not counted."""
    network, spec = build(chosen, data)
    group = ProcessGroup(torch.device("cpu"))
    task = Segmentation(data, spec, chosen, group)
    with tempfile.TemporaryDirectory() as folder:
        progress = fit(network, task, chosen.fit, group, RunFolder(Path(folder)))
    return progress.seconds / progress.step


def bare_seconds(chosen: TrainSettings, data: TrainingSet) -> float:
    """Seconds a step of forward, backward and optimiser on one batch that lies ready."""
    network, spec = build(chosen, data)
    group = ProcessGroup(torch.device("cpu"))
    task = Segmentation(data, spec, chosen, group)
    image, target = task.batch(task.draw(0), 0)
    optimiser = optimiser_for(network, chosen.fit)
    network.train()
    mixed = chosen.fit.precision == "bf16"

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits = network(image)
        loss = nn.functional.cross_entropy(logits.float(), target.codes, ignore_index=255)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    step()
    start = time.perf_counter()
    for _ in range(chosen.fit.steps):
        step()
    return (time.perf_counter() - start) / chosen.fit.steps


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="training set; noise when not given")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.data or random_set(Path(folder))
        data = open_training_set(path)
        print(f"{torch.get_num_threads()} threads; Mpx/s of 16 samples of 128 px, best of {ROUNDS} rounds in turns")
        print("| network | precision | bare | lulc | ratio |\n|---|---|---|---|---|")
        for name, network in NETWORKS.items():
            for precision in ("fp32", "bf16"):
                chosen = settings(path, network, precision, arguments.steps)
                rounds = [(bare_seconds(chosen, data), lulc_seconds(chosen, data)) for _ in range(ROUNDS)]
                bare, ours = (min(times) for times in zip(*rounds, strict=True))
                mpx = chosen.fit.batch * chosen.samples.crop**2 / 1e6
                print(f"| {name} | {precision} | {mpx / bare:.2f} | {mpx / ours:.2f} | {bare / ours:.2f} |", flush=True)


if __name__ == "__main__":
    main()
