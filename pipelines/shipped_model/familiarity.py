"""Fit the familiarity of a finished model, and measure what it flags; nothing else of the bundle changes.

    python pipelines/shipped_model/familiarity.py --data DATA --bundle BUNDLE

The Gaussians are those of all training places, each place one vote. The quantiles are those of places under the Gaussians of
the others: a fifth of the places is held out at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import numpy as np
import torch
from data import LABEL_NODATA, SURVEY, Patch, by_place, training_patches, validation_patches
from numpy.typing import NDArray
from publish import rounded
from skies import UNKNOWN, cloudy_pairs
from student import Student, reflectance_of
from torch import Tensor

from lulc.io.product.bands import SKY, UNFAMILIAR
from lulc.model.bundle import Bundle, load_bundle, write_bundle
from lulc.model.trust.familiarity import Familiarity
from lulc.training.familiarity import FamiliarityFit, with_levels

_FOLDS = 5
_PER_PATCH = 2000
_FEWEST_WRONG = 100
"""Wrong and right pixels of a place whose order is worth a figure."""


def pixels_of(
    student: Student, patches: Iterable[Patch], random: np.random.Generator
) -> tuple[Tensor, NDArray[np.int64]]:
    """Logits (n, 9) and the teacher's classes (n,) of a random part of the labelled pixels of each patch."""
    logits, codes = [], []
    for patch in patches:
        known = np.flatnonzero(patch.usable & (patch.percent[0] != LABEL_NODATA))
        chosen = random.permutation(known)[:_PER_PATCH]
        logits.append(student.logits(reflectance_of(patch.image)).reshape(9, -1)[:, chosen].T)
        codes.append(patch.percent.reshape(9, -1)[:, chosen].argmax(axis=0))
    return torch.from_numpy(np.concatenate(logits)), np.concatenate(codes)


def fitted(student: Student, data: Path) -> Familiarity:
    """Fit on the training places."""
    random = np.random.default_rng(0)
    places = {name: patches for name, patches in by_place(training_patches(data)).items() if name != SURVEY}
    folds = random.permutation(np.arange(len(places)) % _FOLDS)
    fits, whole = [FamiliarityFit(classes=9) for _ in range(_FOLDS)], FamiliarityFit(classes=9)
    for fold, patches in zip(folds, places.values(), strict=True):
        logits, _ = pixels_of(student, patches, random)
        weight = 1 / max(1, len(logits))
        whole.feed(logits, weight)
        for number, fit in enumerate(fits):
            (fit.hold_out if number == fold else fit.feed)(logits, weight)
    return with_levels(whole.gaussians(), [fit.held_out() for fit in fits])


def figures(student: Student, familiarity: Familiarity, data: Path) -> dict[str, object]:
    """What is flagged on places that were not trained on, and how well it tells wrong pixels, beside the confidence."""
    places: dict[str, dict[str, float]] = {}
    pooled: list[tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]] = []
    for name, patches in by_place(validation_patches(data)).items():
        logits, codes = pixels_of(student, patches, np.random.default_rng(0))
        wrong = logits.argmax(dim=1).numpy() != codes
        familiar = of_pixels(familiarity, logits)
        confidence = (logits / student.temperature).softmax(dim=1).amax(dim=1).numpy()
        flagged = familiar < UNFAMILIAR
        places[name] = {
            "flagged": flagged.mean(),
            "wrong": wrong.mean(),
            "wrong where flagged": wrong[flagged].mean() if flagged.any() else 0.0,
        }
        if _FEWEST_WRONG <= wrong.sum() <= len(wrong) - _FEWEST_WRONG:
            places[name] |= {
                "AUROC familiarity": auroc(wrong, -familiar),
                "AUROC confidence": auroc(wrong, -confidence),
            }
            pooled.append((wrong, familiar, confidence))
    means = {
        key: float(np.mean([found[key] for found in places.values() if key in found]))
        for key in ("flagged", "AUROC familiarity", "AUROC confidence")
    }
    return {"mean of places": means, "places": places}


def of_pixels(familiarity: Familiarity, logits_pk: Tensor) -> NDArray[np.float32]:
    """Familiarity (n,) of logits (n, K)."""
    return familiarity(logits_pk.T[None, :, :, None])[0, 0, :, 0].numpy()


def auroc(wrong: NDArray[np.bool_], doubt: NDArray[np.float32]) -> float:
    """Probability that a wrong pixel is doubted more than a right one; half where equal (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    ranks = rankdata(doubt)
    count = int(wrong.sum())
    return float((ranks[wrong].sum() - count * (count + 1) / 2) / (count * (len(wrong) - count)))


def skies(student: Student, familiarity: Familiarity, data: Path) -> dict[str, float]:
    """Share of clear land, cloud and shadow in cloudy images that familiarity alone flags; masks made by rule."""
    flagged, total = np.zeros(len(SKY)), np.zeros(len(SKY))
    for sky in cloudy_pairs(data):
        known = sky.codes != UNKNOWN
        logits = torch.from_numpy(student.logits(sky.image).reshape(9, -1)[:, known.ravel()].T)
        below = of_pixels(familiarity, logits) < UNFAMILIAR
        total += np.bincount(sky.codes[known], minlength=len(SKY))
        flagged += np.bincount(sky.codes[known], weights=below, minlength=len(SKY))
    return dict(zip(SKY, (flagged / total).tolist(), strict=True))


def lines(found: dict[str, object], indent: str = "") -> Iterator[str]:
    """Nested figures as text."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield f"{indent}{key}"
            yield from lines(value, indent + "  ")
        else:
            yield f"{indent}{key} {value:.3f}"


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--bundle", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
def main(data: Path, bundle: Path) -> None:
    """Write the statistics of its training into a bundle."""
    loaded: Bundle = load_bundle(bundle)
    card = loaded.card
    student = Student(card.name, loaded.network, card.features, card.temperature)
    familiarity = fitted(student, data)
    found = {**figures(student, familiarity, data), "flagged by familiarity alone": skies(student, familiarity, data)}
    stated = card.model_dump(exclude={"weights_sha256", "weights_bytes", "familiarity_sha256", "metrics"})
    metrics = {**card.metrics, "familiarity": rounded(found)}
    write_bundle(bundle, loaded.network, familiarity, metrics=metrics, **stated)
    click.echo("\n".join(lines(found)))


if __name__ == "__main__":
    main()
