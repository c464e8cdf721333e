"""What a comparison with a reference found, as JSON, as Markdown and as pictures.

A map compared with a whole other map gives agreement, and every output calls it so: the reference has errors of its own.
Accuracy and areas with intervals need a probability sample (lulc/tasks/accuracy/estimate.py).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.io.figures.markdown_table import markdown_table
from lulc.legend import Legend
from lulc.metrics.calibration import Calibration
from lulc.metrics.confusion import ConfusionMatrix, defined_mean
from lulc.tasks.accuracy.scores import CountedArea, EdgeAgreement, ScoreIntervals

CAVEAT = (
    "This is agreement, not accuracy: the reference has errors of its own. Accuracy and areas with intervals need a "
    "probability sample of labelled points (`lulc sample`)."
)
"""Said in every output."""

_WIDEST_MATRIX = 16
_NONE = "-"
_DISAGREEMENTS = ("quantity", "allocation", "exchange", "shift")


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

    def to_markdown(self) -> str:
        """The whole report for people, ending in a line break."""
        return _markdown(self)

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


def _markdown(report: EvaluationReport) -> str:
    """The whole report, ending in a line break."""
    parts = (_head, _classes, _disagreement, _matrix, _edges, _calibration_section, _areas)
    texts = (part(report) for part in parts)
    return "\n\n".join("\n".join(lines) for lines in texts if lines) + "\n"


def _head(report: EvaluationReport) -> list[str]:
    matrix, ends = report.matrix, report.intervals
    share = matrix.total / max(report.candidates, 1)
    interval = f"95 % block-bootstrap interval {_range(ends.overall)}, {ends.blocks} blocks of {report.block}"
    means = (
        f"mean F1 {_score(defined_mean(matrix.f1))} ({_range(ends.macro_f1)}), "
        f"mean IoU {_score(defined_mean(matrix.iou))} ({_range(ends.macro_iou)}), overall IoU {_score(matrix.micro_iou)}"
    )
    return [
        f"# Agreement of {Path(report.subject).name} with {Path(report.reference).name}",
        "",
        f"**Overall agreement {_score(matrix.overall)}** ({interval})",
        "",
        f"- {means}",
        f"- {matrix.total:,} pixels compared, {share:.1%} of the map's pixels with data; legend {report.legend.name}",
        f"- {CAVEAT}",
        *(f"- {note}" for note in report.notes),
    ]


def _classes(report: EvaluationReport) -> list[str]:
    matrix, ends = report.matrix, report.intervals
    head = ["class", "map px", "reference px", "user's", "producer's", "F1", "F1, 95 %", "IoU"]
    scores = (matrix.users, matrix.producers, matrix.f1, matrix.iou)
    rows = []
    for k, name in enumerate(matrix.names):
        users, producers, f1, iou = (_score(of_class[k]) for of_class in scores)
        sizes = (f"{matrix.map_totals[k]:,}", f"{matrix.reference_totals[k]:,}")
        rows.append([name, *sizes, users, producers, f1, _range(ends.f1[:, k]), iou])
    users, producers, f1, iou = (_score(defined_mean(of_class)) for of_class in scores)
    rows.append(["mean", "", "", users, producers, f1, _range(ends.macro_f1), iou])
    return [
        "## Agreement by class",
        "",
        *markdown_table(head, rows),
        "",
        "User's: share of the map's class that the reference confirms (precision). Producer's: share of the reference's",
        f"class that the map finds (recall). {_NONE}: not defined, and not in the mean; of an interval, too few blocks.",
    ]


def _disagreement(report: EvaluationReport) -> list[str]:
    parts = report.matrix.disagreement
    within = f"exchange of pairs {_score(parts.exchange)}, shift among more {_score(parts.shift)}"
    return [
        "## Where the disagreement comes from",
        "",
        f"- quantity {_score(parts.quantity)}: classes have more or fewer pixels than in the reference",
        f"- allocation {_score(parts.allocation)}: classes lie at other places ({within})",
    ]


def _matrix(report: EvaluationReport) -> list[str]:
    names, counts = report.matrix.names, report.matrix.counts
    if len(names) > _WIDEST_MATRIX:
        return ["## Confusion matrix", "", "Too wide for a page; report.json holds it."]
    rows = [[name, *(f"{count:,}" for count in row)] for name, row in zip(names, counts, strict=True)]
    return [
        "## Confusion matrix",
        "",
        "Pixels; rows map, columns reference.",
        "",
        *markdown_table(["map", *names], rows),
    ]


def _edges(report: EvaluationReport) -> list[str]:
    edges = report.edges
    if edges is None:
        return []
    near = "the map's class occurs in the reference within one pixel"
    inside = f"where the 3 x 3 reference pixels are of one class, {edges.inside_share:.1%} of the pixels"
    return [
        "## Borders between classes",
        "",
        f"- strict agreement {_score(report.matrix.overall)} ({_range(report.intervals.overall)})",
        f"- any in 3 x 3: {_score(edges.any_in_3x3)} ({_range(edges.any_in_3x3_interval)}), {near}",
        f"- inside: {_score(edges.inside)} ({_range(edges.inside_interval)}), {inside}",
    ]


def _calibration_section(report: EvaluationReport) -> list[str]:
    found = report.calibration
    if found is None:
        return []
    leaning = "surer" if found.confidence > found.overall else "less sure"
    error = f"expected calibration error {found.ece:.4f} (15 equal-mass bins), class-wise {found.classwise_ece:.4f}"
    floor = f"probabilities below {found.floor:g} count as {found.floor:g}"
    return [
        "## Calibration against the reference",
        "",
        f"- {error}",
        f"- Brier score {found.brier:.4f} (0..2), negative log-likelihood {found.nll:.4f} nats ({floor})",
        f"- mean top probability {found.confidence:.3f}, agreement {found.overall:.3f}: {leaning} than the reference confirms",
    ]


def _areas(report: EvaluationReport) -> list[str]:
    if not report.areas:
        return []
    rows = [[area.name, _hectares(area.map_ha), _hectares(area.reference_ha)] for area in report.areas]
    return [
        "## Area as counted (not an estimate of area)",
        "",
        *markdown_table(["class", "map, ha", "reference, ha"], rows),
        "",
        "Compared pixels, each with its ground area. A count carries the map's errors.",
    ]


def _score(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else _NONE


def _range(ends: tuple[float, float] | NDArray[np.floating[Any]]) -> str:
    low, high = ends
    return f"{low:.3f} to {high:.3f}" if math.isfinite(low) and math.isfinite(high) else _NONE


def _hectares(area: float | None) -> str:
    return _NONE if area is None else f"{area:,.1f}"
