"""What losses and sampling do for rare classes, on a training set that is made imbalanced.

    python benchmarks/imbalance.py SET --rare grass --rare built [--keep 0.05] [--steps 300] [--out DIR]

Labels become hard codes; of the training chips in which a rare class covers more than a tenth, only a share is kept. Every
recipe trains on the same chips with the same seed and number of steps; macro-F1 is that of the validation split as it was.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from lulc.io.labels.training_set import TrainingSet, label_pixels, open_training_set, write_pair, write_set_lists
from lulc.legend import NODATA_CODE
from lulc.training.scenes import train_scenes
from lulc.training.settings import TrainSettings

RECIPES = {
    "cross-entropy": {},
    "cross-entropy, effective number": {"loss": {"class_weights": "effective"}},
    "focal": {"loss": {"terms": {"focal": 1.0}}},
    "cross-entropy + dice": {"loss": {"terms": {"cross_entropy": 1.0, "dice": 1.0}}},
    "cross-entropy + Lovasz": {"loss": {"terms": {"cross_entropy": 1.0, "lovasz": 1.0}}},
    "cross-entropy, balanced chips": {"samples": {"balance": 0.7}},
    "effective number + dice, balanced chips": {
        "loss": {"terms": {"cross_entropy": 1.0, "dice": 1.0}, "class_weights": "effective"},
        "samples": {"balance": 0.7},
    },
}


def imbalanced(data: TrainingSet, folder: Path, rare: list[str], keep: float) -> TrainingSet:
    """The set with hard labels and few training chips of the rare classes."""
    names = data.card.classes.names
    positions, rng = [names.index(name) for name in rare], np.random.default_rng(0)
    card = data.card.model_copy(update={"labels": "codes", "files": "npy"})
    kept = []
    for chip in data.chips:
        pixels = np.array(chip.pixels)
        share = pixels[positions].sum() / max(pixels.sum(), 1)
        if chip.split == "train" and share > 0.1 and rng.random() > keep:
            continue
        label = data.label(chip)
        codes = label if len(label) == 1 else label.argmax(axis=0, keepdims=True).astype(np.uint8) + np.uint8(1)
        codes = np.where(label[:1] == NODATA_CODE, np.uint8(NODATA_CODE), codes)
        write_pair(folder, card, chip.name, data.image(chip), codes)
        kept.append(replace(chip, pixels=label_pixels(codes, len(names))))
    write_set_lists(folder, card, kept)
    return open_training_set(folder)


def settings(data: TrainingSet, recipe: dict[str, dict[str, object]], steps: int) -> TrainSettings:
    """The shipped network, from scratch."""
    table: dict[str, object] = {
        "name": "imbalance",
        "data": str(data.path),
        "network": {
            "encoder": "tu-tf_efficientnet_lite0",
            "encoder_depth": 3,
            "options": {"decoder_channels": [64, 32, 16]},
            "indices": [],
        },
        "samples": {"crop": 128, **recipe.get("samples", {})},
        "loss": recipe.get("loss", {}),
        "fit": {"steps": steps, "learning_rate": 2e-3, "validate_every": steps, "ema": 0.98, "keep": "last"},
    }
    return TrainSettings.model_validate(table)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rare", action="append", required=True)
    parser.add_argument("--keep", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "set").mkdir()
        data = imbalanced(open_training_set(arguments.data), home / "set", arguments.rare, arguments.keep)
        names, pixels = data.card.classes.names, data.class_pixels("train")
        shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(names, pixels / pixels.sum(), strict=True))
        print(f"training pixels: {shares}\n")
        print("| recipe | macro-F1 | agreement | " + " | ".join(f"F1 {name}" for name in arguments.rare) + " |")
        print("|---|---|---|" + "---|" * len(arguments.rare))
        for number, (name, recipe) in enumerate(RECIPES.items()):
            report = train_scenes(settings(data, recipe, arguments.steps), home / f"run{number}")
            assert report is not None
            found = [report.metrics["per_class"][rare]["f1"] or 0.0 for rare in arguments.rare]
            cells = [report.metrics["macro_f1"], report.metrics["agreement"], *found]
            print(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
