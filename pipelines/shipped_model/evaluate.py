"""Measure a network against the teacher: agreement, divergence, per-class scores, calibration, patch majority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from data import CLASSES, Tiles
from network import Inputs

MARGIN = 32
"""Chips and scenes are mirrored by this much before the network sees them, as lulc does at the edge of a scene."""

EUROSAT_COVER: dict[str, tuple[str, ...]] = {
    "AnnualCrop": ("crops",),
    "PermanentCrop": ("crops",),
    "Forest": ("trees",),
    "HerbaceousVegetation": ("grass", "shrub_and_scrub"),
    "Pasture": ("grass",),
    "Industrial": ("built",),
    "Residential": ("built",),
    "SeaLake": ("water",),
}
"""What the most frequent class of an areal EuroSAT patch should be."""


@dataclass(frozen=True)
class Prediction:
    """Logits beside teacher probabilities over the usable pixels of one source, and the class maps of its tiles.

    Attributes:
        name: of the source.
        logits: ``(pixels, 9)`` float32.
        target: ``(pixels, 9)`` float32 teacher probabilities.
        maps: ``(n, h, w)`` class of every pixel, usable or not.
        tags: ``(n,)`` of the tiles.
    """

    name: str
    logits: NDArray[np.float32]
    target: NDArray[np.float32]
    maps: NDArray[np.int64]
    tags: NDArray[np.str_]


@torch.inference_mode()
def predict_logits(network: nn.Module, inputs: Inputs, images: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Logits ``(9, h, w)`` of one ``(9, h, w)`` image of reflectance x 10000; any size."""
    height, width = images.shape[-2:]
    margin = min(MARGIN, height - 1, width - 1)
    pads = ((0, 0), (margin, margin + -height % 8), (margin, margin + -width % 8))
    padded = torch.from_numpy(np.pad(images.astype(np.float32) / 10000, pads, mode="reflect"))[None]
    logits = network(inputs(padded, (padded == 0).all(1)))
    return logits[0, :, margin : margin + height, margin : margin + width].float().numpy()


def predict(network: nn.Module, inputs: Inputs, tiles: Tiles) -> Prediction:
    """Run the network over a source, one tile at a time."""
    network.eval()
    logits = np.stack([predict_logits(network, inputs, image) for image in tiles.images])
    usable = tiles.usable()
    target = tiles.percent.transpose(0, 2, 3, 1)[usable].astype(np.float32)
    target /= target.sum(axis=1, keepdims=True)
    return Prediction(tiles.name, logits.transpose(0, 2, 3, 1)[usable], target, logits.argmax(axis=1), tiles.tags)


def confusion(prediction: Prediction) -> NDArray[np.int64]:
    """Rows teacher, columns network."""
    size = len(CLASSES)
    pairs = prediction.target.argmax(1) * size + prediction.logits.argmax(1)
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def mean_divergence(prediction: Prediction, temperature: float = 1.0) -> float:
    """Mean Kullback-Leibler divergence (nat) of the network from the teacher."""
    log_probability = functional.log_softmax(torch.from_numpy(prediction.logits) / temperature, dim=1)
    return float(functional.kl_div(log_probability, torch.from_numpy(prediction.target), reduction="batchmean"))


def class_scores(counts: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Recall, precision, F1 and number of teacher pixels per class; NaN-free (0 where undefined)."""
    hits, truth, found = np.diag(counts), counts.sum(1), counts.sum(0)
    return {
        name: {
            "recall": float(hits[k] / max(truth[k], 1)),
            "precision": float(hits[k] / max(found[k], 1)),
            "f1": float(2 * hits[k] / max(truth[k] + found[k], 1)),
            "pixels": int(truth[k]),
        }
        for k, name in enumerate(CLASSES)
    }


def patch_majority_accuracy(prediction: Prediction, maps: NDArray[np.int64] | None = None) -> dict[str, float]:
    """Share of areal EuroSAT patches whose most frequent class is the one their name promises."""
    maps = prediction.maps if maps is None else maps
    areal = [(m, EUROSAT_COVER[t]) for m, t in zip(maps, prediction.tags, strict=True) if t in EUROSAT_COVER]
    right = [CLASSES[np.bincount(m.ravel(), minlength=len(CLASSES)).argmax()] in cover for m, cover in areal]
    return {"accuracy": float(np.mean(right)), "patches": len(right)}


def calibration_error(logits: torch.Tensor, truth: torch.Tensor, temperature: float = 1.0, bins: int = 15) -> float:
    """Expected calibration error of the winning probability against the teacher's class."""
    confidence, found = (logits / temperature).softmax(1).max(1)
    which = (confidence * bins).long().clamp_max(bins - 1)
    right = (found == truth).double()
    gaps = torch.zeros(bins, dtype=torch.double).index_add_(0, which, right - confidence.double())
    return float(gaps.abs().sum() / len(truth))


def fit_temperature(logits: torch.Tensor, target: torch.Tensor) -> float:
    """The scalar that minimises the cross-entropy of ``softmax(logits / T)`` with ``target`` (probabilities)."""
    log_t = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t], max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = -(target * functional.log_softmax(logits / log_t.exp(), 1)).sum(1).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(log_t.detach().exp())


def balanced_pixels(predictions: list[Prediction], per_source: int = 40_000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The same number of pixels from every source, for calibration: logits and teacher probabilities."""
    rng = np.random.default_rng(seed)
    logits, target = [], []
    for p in predictions:
        chosen = rng.choice(len(p.logits), min(per_source, len(p.logits)), replace=False)
        logits.append(torch.from_numpy(p.logits[chosen]))
        target.append(torch.from_numpy(p.target[chosen]))
    return torch.cat(logits), torch.cat(target)


def calibration(predictions: list[Prediction]) -> dict[str, float]:
    """Temperatures that match the teacher's class (hard) and the teacher's probabilities (soft), and their errors."""
    logits, target = balanced_pixels(predictions)
    truth = target.argmax(1)
    hard = fit_temperature(logits, functional.one_hot(truth, len(CLASSES)).float())
    soft = fit_temperature(logits, target)
    return {
        "temperature_class": hard,
        "temperature_probability": soft,
        "ece_before": calibration_error(logits, truth),
        "ece_after": calibration_error(logits, truth, hard),
        "ece_soft": calibration_error(logits, truth, soft),
        "mean_confidence": float(logits.softmax(1).amax(1).mean()),
        "teacher_mean_confidence": float(target.amax(1).mean()),
    }


def report(network: nn.Module, inputs: Inputs, sources: list[Tiles]) -> tuple[dict[str, Any], list[Prediction]]:
    """Every number of the model card, and the predictions they come from."""
    predictions = [predict(network, inputs, tiles) for tiles in sources]
    counts = {p.name: confusion(p) for p in predictions}
    agreement = {name: float(np.trace(c) / c.sum()) for name, c in counts.items()}
    metrics: dict[str, Any] = {
        "agreement": agreement,
        "mean_agreement": float(np.mean(list(agreement.values()))),
        "mean_kl": {p.name: mean_divergence(p) for p in predictions},
        "per_class": class_scores(sum(counts.values())),
        "confusion": {name: c.tolist() for name, c in counts.items()},
        "calibration": calibration(predictions),
    }
    eurosat = next((p for p in predictions if p.name.startswith("eurosat")), None)
    if eurosat is not None:
        teacher = next(s for s in sources if s.name == eurosat.name).percent.argmax(1)
        metrics["eurosat_patch_majority"] = patch_majority_accuracy(eurosat)
        metrics["eurosat_patch_majority_teacher"] = patch_majority_accuracy(eurosat, teacher)
    return metrics, predictions
