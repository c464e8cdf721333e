"""What a comparison with a reference found, as JSON, as Markdown and as pictures.

A map compared with a whole other map gives agreement, and every output calls it so: the reference has errors of its own.
Accuracy and areas with intervals need a probability sample (lulc/tasks/estimate.py).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.io.durable import storage_errors, write_whole
from lulc.io.evaluation_figure import write_confusion, write_reliability
from lulc.io.staging import check_folder
from lulc.legend import Legend
from lulc.metrics.bootstrap import Intervals, block_intervals
from lulc.metrics.calibration import Calibration
from lulc.metrics.confusion import ConfusionMatrix, defined_mean

CAVEAT = (
    "This is agreement, not accuracy: the reference has errors of its own. Accuracy and areas with intervals need a "
    "probability sample of labelled points (`lulc sample`)."
)
"""Said in every output."""

FILES = ("report.json", "report.md", "confusion.png", "reliability.png")
"""What `write_report` makes; the last one only with probabilities."""

_DISAGREEMENTS = ("quantity", "allocation", "exchange", "shift")


@dataclass(frozen=True, slots=True)
class CountedArea:
    """What a class covers among the compared pixels, as counted.

    Attributes:
        name: Class name.
        map_ha: Hectares in the map; None where the CRS does not give them.
        reference_ha: Hectares in the reference.
    """

    name: str
    map_ha: float | None
    reference_ha: float | None


@dataclass(frozen=True, slots=True)
class EdgeAgreement:
    """Agreement that forgives, or leaves out, the borders between classes.

    Attributes:
        any_in_3x3: Share of the pixels whose map class occurs in the reference within one pixel of it.
        any_in_3x3_interval: Its 95 % block-bootstrap interval.
        inside: Agreement where the 3 x 3 reference pixels are of one class.
        inside_interval: Its 95 % block-bootstrap interval.
        inside_share: Share of the compared pixels that are such.
    """

    any_in_3x3: float
    any_in_3x3_interval: tuple[float, float]
    inside: float
    inside_interval: tuple[float, float]
    inside_share: float


@dataclass(frozen=True, slots=True)
class ScoreIntervals:
    """95 % block-bootstrap intervals: each array float64 (2, ...), lower and upper ends; NaN where the blocks cannot say.

    Attributes:
        blocks: Blocks that were resampled.
        overall: Of the overall agreement.
        macro_f1: Of the mean F1.
        macro_iou: Of the mean intersection over union.
        users: (2, K), as the next three.
        producers: Of the producer's agreement.
        f1: Of F1.
        iou: Of intersection over union.
    """

    blocks: int
    overall: NDArray[np.float64]
    macro_f1: NDArray[np.float64]
    macro_iou: NDArray[np.float64]
    users: NDArray[np.float64]
    producers: NDArray[np.float64]
    f1: NDArray[np.float64]
    iou: NDArray[np.float64]


def score_intervals(per_block: NDArray[np.int64], names: tuple[str, ...], seed: int) -> ScoreIntervals:
    """Intervals of all scores from the confusion matrices of blocks, (blocks, K, K)."""

    def scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        matrix = ConfusionMatrix(counts, names)
        f1, iou = matrix.f1, matrix.iou
        single = [matrix.overall, defined_mean(f1), defined_mean(iou)]
        return np.concatenate([single, matrix.users, matrix.producers, f1, iou])

    found: Intervals = block_intervals(per_block, scores, seed=seed)
    ends = np.array([found.low, found.high])
    users, producers, f1, iou = np.split(ends[:, 3:], 4, axis=1)
    return ScoreIntervals(found.blocks, ends[:, 0], ends[:, 1], ends[:, 2], users, producers, f1, iou)


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """A map, or a model, against a reference that labels every pixel.

    Attributes:
        subject: The map or model.
        reference: The reference.
        legend: Classes of the comparison.
        matrix: Pixels by class of both.
        intervals: What resampling blocks says about the scores.
        block: What a block is, such as `256 x 256 px` or `chip`.
        seed: Of the resampling.
        candidates: Pixels of the map with data; `matrix.total` of them have a reference class too.
        calibration: Whether the probabilities are honest; None without probabilities.
        uncalibrated: The same without the model's temperature; None when it is not known.
        areas: Areas as counted, by class; empty where they have no meaning.
        edges: Agreement without the borders between classes; None when not asked for.
        notes: What the reader has to know.
        seconds: Wall time.
    """

    subject: str
    reference: str
    legend: Legend
    matrix: ConfusionMatrix
    intervals: ScoreIntervals
    block: str
    seed: int
    candidates: int
    calibration: Calibration | None = None
    uncalibrated: Calibration | None = None
    areas: tuple[CountedArea, ...] = ()
    edges: EdgeAgreement | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain form; what is not defined is null."""
        matrix, ends = self.matrix, self.intervals
        table: dict[str, Any] = {
            "kind": "agreement",
            "map": self.subject,
            "reference": self.reference,
            "legend": self.legend.name,
            "pixels": matrix.total,
            "pixels_of_map": self.candidates,
            "overall_agreement": matrix.overall,
            "overall_agreement_interval": ends.overall,
            "interval": {"level": 0.95, "method": "block bootstrap, percentile", "block": self.block}
            | {"blocks": ends.blocks, "seed": self.seed},
            "macro": {
                "users_agreement": defined_mean(matrix.users),
                "producers_agreement": defined_mean(matrix.producers),
            }
            | {"f1": defined_mean(matrix.f1), "f1_interval": ends.macro_f1}
            | {"iou": defined_mean(matrix.iou), "iou_interval": ends.macro_iou},
            "micro": {"f1": matrix.overall, "iou": matrix.micro_iou},
            "disagreement": {name: getattr(matrix.disagreement, name) for name in _DISAGREEMENTS},
            "classes": [self._class_json(position) for position in range(len(self.legend))],
            "confusion": {"rows": "map", "columns": "reference", "counts": matrix.counts},
            "calibration": _calibration_json(self.calibration, matrix.names),
            "calibration_without_temperature": _calibration_json(self.uncalibrated, matrix.names),
            "areas_as_counted": [
                {"name": a.name, "map_ha": a.map_ha, "reference_ha": a.reference_ha} for a in self.areas
            ],
            "edges": {name: getattr(self.edges, name) for name in EdgeAgreement.__slots__} if self.edges else None,
            "notes": [CAVEAT, *self.notes],
            "seconds": round(self.seconds, 3),
        }
        plain: dict[str, Any] = _plain(table)
        return plain

    def _class_json(self, position: int) -> dict[str, Any]:
        matrix, ends = self.matrix, self.intervals
        return {
            "code": self.legend.classes[position].code,
            "name": matrix.names[position],
            "map_pixels": matrix.map_totals[position],
            "reference_pixels": matrix.reference_totals[position],
            "users_agreement": matrix.users[position],
            "users_agreement_interval": ends.users[:, position],
            "producers_agreement": matrix.producers[position],
            "producers_agreement_interval": ends.producers[:, position],
            "f1": matrix.f1[position],
            "f1_interval": ends.f1[:, position],
            "iou": matrix.iou[position],
            "iou_interval": ends.iou[:, position],
            "true_positives": matrix.true_positives[position],
            "false_positives": matrix.false_positives[position],
            "false_negatives": matrix.false_negatives[position],
            "true_negatives": matrix.true_negatives[position],
        }

    def to_markdown(self) -> str:
        """Report for people, Markdown."""
        from lulc.tasks.evaluation_text import markdown

        return markdown(self)


def make_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Make the folder of a report.

    Raises:
        StorageError: As `check_folder`.
    """
    check_folder(folder, FILES, overwrite=overwrite)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_report(report: EvaluationReport, folder: Path, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write report.json, report.md, confusion.png and, with probabilities, reliability.png.

    Args:
        report: What to write.
        folder: Where; made when it is not there.
        overwrite: Replace a former report.

    Returns:
        The files, each written whole; report.json is the last.

    Raises:
        StorageError: A former report is there, or the disk is full or refuses.
    """
    make_folder(folder, overwrite=overwrite)
    numbers, text, confusion, reliability = (folder / name for name in FILES)
    title = f"{Path(report.subject).name} and {Path(report.reference).name}"
    write_confusion(confusion, report.matrix, title)
    if report.calibration:
        write_reliability(reliability, report.calibration, title, report.uncalibrated)
    else:
        with storage_errors(reliability):
            reliability.unlink(missing_ok=True)  # of a former report
    write_whole(text, report.to_markdown().encode())
    write_whole(numbers, (json.dumps(report.to_json(), indent=1) + "\n").encode())
    return (confusion, *([reliability] if report.calibration else []), text, numbers)


def _calibration_json(found: Calibration | None, names: tuple[str, ...]) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "pixels": found.pixels,
        "ece": found.ece,
        "classwise_ece": found.classwise_ece,
        "class_ece": dict(zip(names, found.class_ece, strict=True)),
        "brier": found.brier,
        "nll": found.nll,
        "nll_floor": found.floor,
        "mean_confidence": found.confidence,
        "agreement": found.overall,
        "curve": {
            "pixels": found.bin_pixels,
            "confidence": found.bin_confidence,
            "agreement": found.bin_agreement,
        },
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - any nesting of what a report holds
    """JSON types: arrays and tuples as lists, NaN as None."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
