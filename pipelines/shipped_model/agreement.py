"""How well a student agrees with its teacher, place by place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from data import CLASSES, Patch
from numpy.typing import NDArray
from student import Student, reflectance_of
from torch import Tensor


@dataclass(frozen=True)
class Place:
    """Labelled pixels of one place.

    Attributes:
        name: Of the place.
        logits: float32 (pixels, 9), the student's.
        teacher: float32 (pixels, 9), the teacher's probabilities.
    """

    name: str
    logits: NDArray[np.float32]
    teacher: NDArray[np.float32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Confusion matrix: rows teacher, columns student."""
        size = len(CLASSES)
        pairs = self.teacher.argmax(axis=1) * size + self.logits.argmax(axis=1)
        return np.bincount(pairs, minlength=size * size).reshape(size, size)

    @property
    def agreement(self) -> float:
        """Part of the pixels on which both name the same class."""
        return float(np.trace(self.counts) / self.counts.sum())

    def calibration_error(self, temperature: float) -> float:
        """Expected calibration error of the winning probability, with the teacher's class as the truth."""
        logits = torch.from_numpy(self.logits)
        return calibration_error(logits, torch.from_numpy(self.teacher).argmax(dim=1), temperature)


def compare(student: Student, name: str, patches: Iterable[Patch]) -> Place:
    """Run a student over the patches of a place."""
    logits, teacher = [], []
    for patch in patches:
        found = student.logits(reflectance_of(patch.image))
        logits.append(found.transpose(1, 2, 0)[patch.usable])
        percent = patch.percent.transpose(1, 2, 0)[patch.usable].astype(np.float32)
        teacher.append(percent / percent.sum(axis=1, keepdims=True))
    return Place(name, np.concatenate(logits), np.concatenate(teacher))


def macro_f1(places: Iterable[Place]) -> tuple[float, dict[str, float]]:
    """Mean F1 and F1 of each class that occurs, each place one vote."""
    counts = sum((place.counts / place.counts.sum() for place in places), np.zeros((len(CLASSES),) * 2))
    hits, truth, found = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    seen = truth > 0
    f1 = {name: float(2 * hits[k] / (truth[k] + found[k])) for k, name in enumerate(CLASSES) if seen[k]}
    return float(np.mean([*f1.values()])), f1


def calibration_error(logits: Tensor, truth: Tensor, temperature: float = 1.0, bins: int = 15) -> float:
    """Expected calibration error of the winning probability: bins of equal width."""
    confidence, found = (logits / temperature).softmax(dim=1).max(dim=1)
    return binned_gap(confidence, (found == truth).double(), bins)


def binned_gap(confidence: Tensor, right: Tensor, bins: int = 15) -> float:
    """Mean over pixels of the gap between confidence and accuracy in bins of equal width."""
    which = (confidence * bins).long().clamp_max(bins - 1)
    gaps = torch.zeros(bins, dtype=torch.double).index_add_(0, which, right - confidence.double())
    return float(gaps.abs().sum() / len(right))
