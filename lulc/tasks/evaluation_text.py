"""The report of a comparison as Markdown."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.io.markdown_table import markdown_table
from lulc.metrics.confusion import defined_mean
from lulc.tasks.evaluation_report import CAVEAT, EvaluationReport

_WIDEST_MATRIX = 16
_NONE = "-"


def markdown(report: EvaluationReport) -> str:
    """The whole report, ending in a line break."""
    parts = (_head, _classes, _disagreement, _matrix, _edges, _calibration, _areas)
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


def _calibration(report: EvaluationReport) -> list[str]:
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
