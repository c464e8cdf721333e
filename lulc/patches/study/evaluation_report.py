"""The scores of a patch model on labelled patches, as JSON, Markdown and text."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.io.report.markdown import NONE, Blocks, markdown_table, number, page
from lulc.io.report.scores import calibration_json, calibration_section, matrix_section
from lulc.io.report.writer import plain
from lulc.metrics.calibration import Calibration
from lulc.metrics.confusion import ConfusionMatrix, defined_mean
from lulc.metrics.share_interval import wilson

_PAIRS = 10
_OUTCOMES = ("true_positives", "true_negatives", "false_positives", "false_negatives")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A patch with a wrong prediction.

    Attributes:
        name: Of the patch.
        actual: Its class.
        predicted: The predicted class.
        confidence: Probability of the predicted class, 0..1.
        of_actual: Probability of its actual class.
    """

    name: str
    actual: str
    predicted: str
    confidence: float
    of_actual: float


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Patches of one class that were predicted as another.

    Attributes:
        actual: Their class.
        predicted: The predicted class.
        count: Number of these patches.
        of: Patches of the class.
        examples: The surest of them.
    """

    actual: str
    predicted: str
    count: int
    of: int
    examples: tuple[Mistake, ...]

    @property
    def header(self) -> str:
        """`Highway taken for River: 9 of 400`."""
        return f"{self.actual} taken for {self.predicted}: {self.count:,} of {self.of:,}"


@dataclass(frozen=True, slots=True, eq=False)
class PatchEvaluation:
    """A model tried on labelled patches.

    Attributes:
        model: Its name and version.
        data: The patches, as the user named them.
        split: `train`, `val`, `test` or `all`.
        matrix: Counts; as in every `ConfusionMatrix`, rows are what was predicted and columns what is actual.
        top2_accuracy: Fraction of the patches whose class is among the two most probable.
        pairs: Every pair of classes that was confused, the most frequent first.
        surest: Mistakes with the highest confidence, the surest first.
        calibration: Calibration of the probabilities.
        uncalibrated: The same without the model's temperature; None where that is 1 or cannot be undone.
        temperature: The model's.
        missing: Patches that the split lists and the data lacks.
        notes: Remarks for the reader.
        device: Where the network ran.
        seconds: Wall time of reading and classifying.
    """

    model: str
    data: str
    split: str
    matrix: ConfusionMatrix
    top2_accuracy: float
    pairs: tuple[ConfusedPair, ...]
    surest: tuple[Mistake, ...]
    calibration: Calibration
    uncalibrated: Calibration | None = None
    temperature: float = 1.0
    missing: int = 0
    notes: tuple[str, ...] = ()
    device: str = "cpu"
    seconds: float = 0.0

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the model's probabilities."""
        return self.matrix.names

    @property
    def counts(self) -> NDArray[np.int64]:
        """Counts as reports print them, int64 (K, K): rows actual, columns predicted."""
        return self.matrix.counts.T

    @property
    def accuracy(self) -> float:
        """Fraction of the patches whose most probable class is theirs."""
        return self.matrix.overall

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson(self.accuracy, self.matrix.total)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that the patches have."""
        return defined_mean(self.matrix.producers)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that were there or predicted."""
        return defined_mean(self.matrix.f1)

    def to_json(self) -> dict[str, Any]:
        """JSON types; what is not defined is None."""
        table = {
            "kind": "patches",
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "patches": self.matrix.total,
            "missing": self.missing,
            "accuracy": self.accuracy,
            "accuracy_interval": {"level": 0.95, "method": "Wilson", "ends": self.accuracy_interval},
            "top2_accuracy": self.top2_accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "classes": [self._class_json(k) for k in range(len(self.classes))],
            "confusion": {"rows": "actual", "columns": "predicted", "counts": self.counts},
            "confused_pairs": [asdict(pair) for pair in self.pairs],
            "surest_mistakes": [asdict(found) for found in self.surest],
            "temperature": self.temperature,
            "calibration": self._calibration_json(self.calibration),
            "calibration_without_temperature": self.uncalibrated and self._calibration_json(self.uncalibrated),
            "notes": self.notes,
            "device": self.device,
            "seconds": round(self.seconds, 3),
            "patches_per_s": self.matrix.total / self.seconds if self.seconds else None,
        }
        return plain(table)

    def _class_json(self, k: int) -> dict[str, Any]:
        matrix = self.matrix
        return {
            "name": self.classes[k],
            "patches": matrix.reference_totals[k],
            **{name: getattr(matrix, name)[k] for name in _OUTCOMES},
            "precision": matrix.users[k],
            "recall": matrix.producers[k],
            "f1": matrix.f1[k],
        }

    def _calibration_json(self, found: Calibration) -> dict[str, Any]:
        return calibration_json(found, self.classes, "patches", "accuracy")

    def to_text(self) -> str:
        """What a terminal shows: the scores, the classes, and what was taken for what."""
        return page(_head(self), _classes(self), _pairs(self)).removesuffix("\n")

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        parts = (_head, _classes, _matrix, _pairs, _surest, _calibration)
        return page(*(part(self) for part in parts))


def _head(report: PatchEvaluation) -> Blocks:
    low, high = report.accuracy_interval
    second = f"class among the two most probable {report.top2_accuracy:.2%}"
    total, right = report.matrix.total, int(report.matrix.true_positives.sum())
    rate = f"; {total / report.seconds:,.0f} patches a second on {report.device}" if report.seconds else ""
    yield [f"# {report.model} on {report.data} ({report.split})"]
    yield [
        f"**Accuracy {report.accuracy:.2%}** ({right:,} of {total:,} patches; 95 % interval {low:.2%} to {high:.2%})"
    ]
    yield [
        f"- balanced accuracy {report.balanced_accuracy:.2%}, mean F1 {number(report.macro_f1, '.4f')}, {second}",
        f"- calibration error {report.calibration.ece:.4f}{rate}",
        *(f"- {note}" for note in report.notes),
    ]


def _classes(report: PatchEvaluation) -> Blocks:
    matrix = report.matrix
    counts = [getattr(matrix, name) for name in _OUTCOMES]
    scores = matrix.users, matrix.producers, matrix.f1
    table = [
        [
            name,
            *(f"{of[k]:,}" for of in counts),
            *(number(of[k], ".4f") for of in scores),
            f"{matrix.reference_totals[k]:,}",
        ]
        for k, name in enumerate(report.classes)
    ]
    table.append(["mean", "", "", "", "", *(number(defined_mean(of), ".4f") for of in scores), ""])
    head = ["class", "TP", "TN", "FP", "FN", "precision", "recall", "F1", "patches"]
    yield ["## Classes"]
    yield markdown_table(head, table)
    if any(not np.isfinite(of).all() for of in scores):
        yield [f"{NONE}: not defined (no patch of the class, or never predicted), and not in the mean."]


def _matrix(report: PatchEvaluation) -> Blocks:
    yield matrix_section("Patches; rows actual, columns predicted.", "actual", report.classes, report.counts)


def _pairs(report: PatchEvaluation) -> Blocks:
    pairs = report.pairs
    yield ["## Most confused"]
    if not pairs:
        yield ["No patch was taken for another class."]
        return
    rows = [
        [pair.actual, pair.predicted, f"{pair.count:,}", f"{pair.count / pair.of:.1%}", _example(pair.examples[0])]
        for pair in pairs[:_PAIRS]
    ]
    yield markdown_table(["actual", "taken for", "patches", "of the class", "surest example"], rows)
    if len(pairs) > _PAIRS:
        yield [f"And {len(pairs) - _PAIRS} more pairs."]


def _surest(report: PatchEvaluation) -> Blocks:
    if not report.surest:
        return
    rows = [
        [one.name, one.actual, one.predicted, f"{one.confidence:.3f}", f"{one.of_actual:.3f}"] for one in report.surest
    ]
    yield ["## Surest mistakes"]
    yield markdown_table(["patch", "actual", "predicted", "confidence", "of the actual class"], rows)
    yield ["Look at these first: some may be labelled wrongly."]


def _calibration(report: PatchEvaluation) -> Blocks:
    found, before = report.calibration, report.uncalibrated
    leaning = "surer than it is right" if found.confidence > found.overall else "less sure than it is right"
    without = f"; {before.ece:.4f} without the model's temperature {report.temperature:g}" if before else ""
    conclusion = f"mean confidence {found.confidence:.4f}, accuracy {found.overall:.4f}: {leaning}"
    yield calibration_section("Calibration", found, conclusion, without)


def _example(found: Mistake) -> str:
    return f"{found.name.rpartition('/')[2]} ({found.confidence:.2f})"
