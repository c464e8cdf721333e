"""Bundles that know their training, and calibrations of them."""

import json

import numpy as np
import torch

from lulc.model.bundle import load_bundle, write_bundle
from lulc.tasks.accuracy.calibrate import COVERAGES
from lulc.training.familiarity import FamiliarityFit


def statistics(classes):
    """Familiarity of normal logits."""
    fit = FamiliarityFit(classes)
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(6000, classes)).astype(np.float32))
    fit.feed(logits)
    fit.hold_out(logits)
    return fit.result()


def write_knowing(bundle, folder):
    """A copy of a bundle with statistics of a training."""
    loaded = load_bundle(bundle)
    card = loaded.card.model_dump(exclude={"weights_sha256", "weights_bytes", "familiarity_sha256"})
    write_bundle(folder, loaded.network, statistics(len(loaded.card.classes)), **card)
    return folder


def calibration_for(folder, thresholds, path, **changes):
    """A calibration with one threshold for each class, at every coverage; it doubles the temperature."""
    card = load_bundle(folder).card
    classes = [
        {"name": name, "pixels": 100, "thresholds": [step] * len(COVERAGES), "coverage": 0.9}
        for name, step in zip(card.classes.names, thresholds, strict=True)
    ]
    table = {
        "model": "m",
        "model_sha256": card.weights_sha256,
        "reference": "points.gpkg",
        "temperature": 2 * card.temperature,
        "coverages": COVERAGES,
        "checked": 0.9,
        "set_size": 2.0,
        "classes": classes,
    }
    path.write_text(json.dumps(table | changes))
    return path
