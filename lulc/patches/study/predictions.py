"""Predictions of a model for labelled patches, and its mistakes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lulc.io.files.csv_text import csv_text
from lulc.metrics.calibration import Calibration, Reliability
from lulc.metrics.confusion import ConfusionMatrix
from lulc.patches.dataset import Patch
from lulc.patches.study.evaluation_report import ConfusedPair, Mistake


@dataclass(eq=False)
class Predictions:
    """Patches with their classes and a model's probabilities.

    Attributes:
        patches: n of them.
        actual: Codes of their classes in the model's legend: uint8 (n,), from 1.
        probabilities: Calibrated, float32 (n, K).
        classes: Class names, K of them.
        predicted: Most probable class: uint8 (n,), from 1.
        confidence: Its probability: float32 (n,).
        wrong: Indices of the patches with a wrong prediction, the most confident first: int64 (m,).
    """

    patches: Sequence[Patch]
    actual: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    predicted: NDArray[np.uint8] = field(init=False)
    confidence: NDArray[np.float32] = field(init=False)
    wrong: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.predicted = (self.probabilities.argmax(axis=1) + 1).astype(np.uint8)
        self.confidence = self.probabilities.max(axis=1)
        surest = np.argsort(-self.confidence, kind="stable")
        self.wrong = surest[(self.predicted != self.actual)[surest]]

    @cached_property
    def matrix(self) -> ConfusionMatrix:
        """Counts: rows predicted, columns actual."""
        return ConfusionMatrix.from_codes(self.predicted, self.actual, self.classes)

    def top_accuracy(self, most: int) -> float:
        """Fraction of the patches whose class is among the `most` most probable."""
        top = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :most] + 1
        return float((top == self.actual[:, None]).any(axis=1).mean())

    def calibration(self, temperature: float = 1) -> Calibration:
        """Calibration of the probabilities, after undoing the model's temperature where one is given."""
        probabilities = self.probabilities if temperature == 1 else without_temperature(self.probabilities, temperature)
        collector = Reliability(len(self.classes))
        collector.feed(probabilities.T, self.actual)
        found = collector.result()
        assert found is not None, "there is at least one patch"
        return found

    def mistakes(self, indices: NDArray[np.int64]) -> Iterator[Mistake]:
        """Mistakes by the indices of their patches."""
        for index in indices.tolist():
            code = int(self.actual[index])
            yield Mistake(
                name=self.patches[index].name,
                actual=self.classes[code - 1],
                predicted=self.classes[self.predicted[index] - 1],
                confidence=float(self.confidence[index]),
                of_actual=float(self.probabilities[index, code - 1]),
            )

    def pairs(self, examples: int) -> tuple[ConfusedPair, ...]:
        """Every pair of classes that was confused, the most frequent first, with its surest mistakes."""
        counts = self.matrix.counts.T
        confused = [(row, column) for row, column in np.argwhere(counts).tolist() if row != column]
        confused.sort(key=lambda pair: -counts[pair])
        return tuple(self._pair(*pair, counts, examples) for pair in confused)

    def _pair(self, row: int, column: int, counts: NDArray[np.int64], examples: int) -> ConfusedPair:
        mine = (self.actual[self.wrong] == row + 1) & (self.predicted[self.wrong] == column + 1)
        return ConfusedPair(
            actual=self.classes[row],
            predicted=self.classes[column],
            count=int(counts[row, column]),
            of=int(counts[row].sum()),
            examples=tuple(self.mistakes(self.wrong[mine][:examples])),
        )

    def csv(self) -> bytes:
        """One line a patch: name, class, predicted class, confidence and the probability of each class."""
        rows = []
        for patch, actual, predicted, given in zip(
            self.patches, self.actual.tolist(), self.predicted.tolist(), self.probabilities.tolist(), strict=True
        ):
            names = self.classes[actual - 1], self.classes[predicted - 1]
            rows.append([patch.name, *names, *(f"{value:.6g}" for value in (max(given), *given))])
        return csv_text(["name", "actual", "predicted", "confidence", *self.classes], rows).encode()


def without_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What softmax would have given without the temperature T, float32 (n, K): p ** T, scaled to sum to 1."""
    logs = temperature * np.log(np.maximum(probabilities, np.finfo(np.float32).tiny).astype(np.float64))
    raw = np.exp(logs - logs.max(axis=1, keepdims=True))
    result: NDArray[np.float32] = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
    return result
