"""Measure networks against the teacher: agreement, divergence, per-class scores, calibration, patch majority.

python pipelines/shipped_model/evaluate.py --data DATA MODEL [MODEL ...]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from data import BANDS, CLASSES, Tiles, read_aberystwyth_map, validation_sources
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lulc.features import FeatureSpec
from lulc.model.bundle import load_bundle
from lulc.model.channels import REFLECTANCE, network_channels

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

ABERYSTWYTH_COVER: dict[int, tuple[str, ...]] = {
    1: ("trees",),
    2: ("grass", "flooded_vegetation", "crops", "shrub_and_scrub"),
    3: ("built", "bare"),
    4: ("water",),
}
"""Which classes a code of the independent Aberystwyth map stands for."""


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


class Student:
    """A trained network and its channels.

    Args:
        network: In evaluation mode.
        features: What it sees.
    """

    def __init__(self, network: nn.Module, features: FeatureSpec) -> None:
        self.network, self.features = network.eval(), features

    @classmethod
    def of(cls, bundle: Path | str) -> Student:
        """The network of a model bundle."""
        loaded = load_bundle(bundle)
        return cls(loaded.network, loaded.card.features)

    def __call__(self, reflectance_nbyx: Tensor, nodata_nyx: Tensor) -> Tensor:
        """Logits ``(n, 9, h, w)`` of reflectance in the order of `BANDS`."""
        planes = {name: reflectance_nbyx[:, i] for i, name in enumerate(BANDS)}
        return self.network(network_channels(self.features, planes, REFLECTANCE, ~nodata_nyx))


@torch.inference_mode()
def predict_logits(student: Student, images: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Logits ``(9, h, w)`` of one ``(9, h, w)`` image of reflectance x 10000; any size."""
    height, width = images.shape[-2:]
    margin = min(MARGIN, height - 1, width - 1)
    pads = ((0, 0), (margin, margin + -height % 8), (margin, margin + -width % 8))
    padded = torch.from_numpy(np.pad(images.astype(np.float32) / 10000, pads, mode="reflect"))[None]
    logits = student(padded, (padded == 0).all(1))
    return logits[0, :, margin : margin + height, margin : margin + width].float().numpy()


def predict(student: Student, tiles: Tiles) -> Prediction:
    """Run the network over a source, one tile at a time."""
    logits = np.stack([predict_logits(student, image) for image in tiles.images])
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


def patch_majority_accuracy(maps: NDArray[np.int64], tags: NDArray[np.str_]) -> dict[str, float]:
    """Share of areal EuroSAT patches (maps ``(n, h, w)``) whose most frequent class is what their name promises."""
    areal = [(m, EUROSAT_COVER[t]) for m, t in zip(maps, tags, strict=True) if t in EUROSAT_COVER]
    right = [CLASSES[np.bincount(m.ravel(), minlength=len(CLASSES)).argmax()] in cover for m, cover in areal]
    return {"accuracy": float(np.mean(right)), "patches": len(right)}


def calibration_error(logits: Tensor, truth: Tensor, temperature: float = 1.0, bins: int = 15) -> float:
    """Expected calibration error of the winning probability against the teacher's class."""
    confidence, found = (logits / temperature).softmax(1).max(1)
    return _binned_gap(confidence, (found == truth).double(), bins)


def _binned_gap(confidence: Tensor, right: Tensor, bins: int = 15) -> float:
    """Mean over pixels of the gap between confidence and accuracy in bins of equal width."""
    which = (confidence * bins).long().clamp_max(bins - 1)
    gaps = torch.zeros(bins, dtype=torch.double).index_add_(0, which, right - confidence.double())
    return float(gaps.abs().sum() / len(right))


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """The scalar that minimises the cross-entropy of ``softmax(logits / T)`` with ``target`` (probabilities)."""
    log_t = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t], max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = -(target * functional.log_softmax(logits / log_t.exp(), 1)).sum(1).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(log_t.detach().exp())


def balanced_pixels(predictions: list[Prediction], per_source: int = 40_000, seed: int = 0) -> tuple[Tensor, Tensor]:
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


def calibration_against_maps(predictions: list[Prediction], data_dir: Path) -> dict[str, Any]:
    """Temperature and calibration errors against labels that are not the teacher's.

    The labels are the EuroSAT names of the areal validation patches and the four-class map of Aberystwyth. Each names
    a group of classes; the probability of a group is the sum over its classes. Both sources weigh the same.
    """
    by_name = {p.name: p for p in predictions}
    groups = [_eurosat_groups(by_name["eurosat_val"]), _aberystwyth_groups(by_name["aber"], data_dir)]
    chosen = [_thinned(*pair) for pair in groups]
    logits, allowed = torch.cat([c[0] for c in chosen]), torch.cat([c[1] for c in chosen])
    grid = torch.linspace(0.2, 1.5, 131)
    losses = [float(-((logits / t).log_softmax(1) + allowed.log()).logsumexp(1).mean()) for t in grid]
    best = float(grid[int(np.argmin(losses))])
    agreement = [float(a.gather(1, x.argmax(1, keepdim=True)).mean()) for x, a in groups]
    return {
        "temperature": best,
        "ece_before": _group_calibration_error(logits, allowed, 1.0),
        "ece_after": _group_calibration_error(logits, allowed, best),
        "pixels_right_eurosat": agreement[0],
        "pixels_right_aberystwyth": agreement[1],
    }


def _eurosat_groups(prediction: Prediction) -> tuple[Tensor, Tensor]:
    """Logits and allowed classes (pixels, 9) of the areal patches."""
    per_tile = len(prediction.logits) // len(prediction.tags)
    keep = np.repeat([t in EUROSAT_COVER for t in prediction.tags], per_tile)
    rows = [_allowed(EUROSAT_COVER[t]).expand(per_tile, -1) for t in prediction.tags if t in EUROSAT_COVER]
    return torch.from_numpy(prediction.logits[keep]), torch.cat(rows)


def _aberystwyth_groups(prediction: Prediction, data_dir: Path) -> tuple[Tensor, Tensor]:
    codes = torch.from_numpy(read_aberystwyth_map(data_dir).ravel().astype(np.int64))
    table = torch.stack(
        [torch.zeros(len(CLASSES)), *(_allowed(ABERYSTWYTH_COVER[c]) for c in sorted(ABERYSTWYTH_COVER))]
    )
    named = (codes >= 1) & (codes <= len(ABERYSTWYTH_COVER))
    return torch.from_numpy(prediction.logits)[named], table[codes[named]]


def _allowed(names: tuple[str, ...]) -> Tensor:
    return torch.tensor([float(c in names) for c in CLASSES])


def _thinned(logits: Tensor, allowed: Tensor, count: int = 40_000) -> tuple[Tensor, Tensor]:
    chosen = torch.randperm(len(logits), generator=torch.Generator().manual_seed(0))[:count]
    return logits[chosen], allowed[chosen]


def _group_calibration_error(logits: Tensor, allowed: Tensor, temperature: float) -> float:
    """Calibration error of the winning class, right when the independent label allows it."""
    right = allowed.gather(1, logits.argmax(1, keepdim=True)).squeeze(1).double()
    return _binned_gap((logits / temperature).softmax(1).amax(1), right)


def report(student: Student, data_dir: Path) -> dict[str, Any]:
    """Every number of the model card, on the validation sources."""
    sources = validation_sources(data_dir)
    predictions = [predict(student, tiles) for tiles in sources]
    counts = {p.name: confusion(p) for p in predictions}
    agreement = {name: float(np.trace(c) / c.sum()) for name, c in counts.items()}
    metrics: dict[str, Any] = {
        "agreement": agreement,
        "mean_agreement": float(np.mean(list(agreement.values()))),
        "majority_share": {name: float(c.sum(1).max() / c.sum()) for name, c in counts.items()},
        "mean_kl": {p.name: mean_divergence(p) for p in predictions},
        "per_class": class_scores(sum(counts.values())),
        "confusion": {name: c.tolist() for name, c in counts.items()},
        "calibration": calibration(predictions),
    }
    by_name = dict(zip((s.name for s in sources), zip(sources, predictions, strict=True), strict=True))
    tiles, found = by_name["eurosat_val"]
    metrics["eurosat_patch_majority"] = patch_majority_accuracy(found.maps, tiles.tags)
    metrics["eurosat_patch_majority_teacher"] = patch_majority_accuracy(tiles.percent.argmax(1), tiles.tags)
    metrics["against_other_labels"] = other = calibration_against_maps(predictions, data_dir)
    logits, target = balanced_pixels(predictions)
    metrics["calibration"]["ece_at_other_temperature"] = calibration_error(
        logits, target.argmax(1), other["temperature"]
    )
    return metrics


def headline(metrics: dict[str, Any]) -> str:
    """One line of the numbers that decide between variants."""
    parts = [f"{name} {value:.4f}" for name, value in metrics["agreement"].items()]
    divergence = sum(metrics["mean_kl"].values()) / len(metrics["mean_kl"])
    patches = metrics["eurosat_patch_majority"]["accuracy"]
    pixels = metrics["against_other_labels"]["pixels_right_eurosat"]
    return (
        f"mean {metrics['mean_agreement']:.4f} | {' | '.join(parts)} | KL {divergence:.4f} | "
        f"patches {patches:.3f} | areal pixels {pixels:.4f}"
    )


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--threads", default=2, show_default=True)
def main(models: tuple[str, ...], data: Path, threads: int) -> None:
    """Print one line for each model bundle."""
    torch.set_num_threads(threads)
    for model in models:
        click.echo(f"{Path(model).name:24s} {headline(report(Student.of(model), data))}")


if __name__ == "__main__":
    main()
