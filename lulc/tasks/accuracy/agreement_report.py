"""The report of a comparison with a reference, as JSON, as Markdown and as pictures.

A map compared with a whole other map gives agreement, and every output calls it so: the reference has errors of its own.
Accuracy and areas with intervals need a probability sample (lulc/tasks/accuracy/estimate.py).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.io.figures.agreement import write_confusion, write_reliability
from lulc.io.report.markdown import NONE, Blocks, interval, markdown_table, number, page
from lulc.io.report.scores import calibration_json, calibration_section, matrix_section
from lulc.io.report.writer import FileWriter, plain
from lulc.legend import Legend
from lulc.metrics.bootstrap import Intervals, block_intervals
from lulc.metrics.calibration import Calibration
from lulc.metrics.confusion import ConfusionMatrix, defined_mean

CAVEAT = (
    "This is agreement, not accuracy: the reference has errors of its own. Accuracy and areas with intervals need a "
    "probability sample of labelled points (`lulc sample`)."
)
"""Said in every output."""

PICTURES = ("confusion.png", "reliability.png")
"""Beside the texts of a report; the last one only with probabilities."""

_OUTCOMES = ("true_positives", "false_positives", "false_negatives", "true_negatives")
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
        any_in_3x3: Fraction of the pixels whose map class occurs in the reference within one pixel of it.
        any_in_3x3_interval: Its 95 % block-bootstrap interval.
        inside: Agreement where the 3 x 3 reference pixels are of one class.
        inside_interval: Its 95 % block-bootstrap interval.
        inside_share: Fraction of the compared pixels that are such.
    """

    any_in_3x3: float
    any_in_3x3_interval: tuple[float, float]
    inside: float
    inside_interval: tuple[float, float]
    inside_share: float


@dataclass(frozen=True, slots=True)
class FlaggedAgreement:
    """Agreement of the pixels that the map flags as cloud, shadow or unfamiliar, apart from the others.

    Attributes:
        pixels: Compared pixels that are flagged.
        agreement: Share of them on which map and reference agree; NaN when there are none.
        elsewhere: The same of the other compared pixels.
    """

    pixels: int
    agreement: float
    elsewhere: float


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
        intervals: Block-bootstrap intervals of the scores.
        block: What a block is, such as `256 x 256 px` or `chip`.
        seed: Of the resampling.
        candidates: Pixels of the map with data; `matrix.total` of them have a reference class too.
        calibration: Calibration of the probabilities; None without probabilities.
        uncalibrated: The same without the model's temperature; None when it is not known.
        areas: Areas as counted, by class; empty where they have no meaning.
        edges: Agreement without the borders between classes; None unless requested.
        flagged: Agreement of the pixels that the map flags; None for a map that flags nothing.
        notes: Remarks for the reader.
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
    flagged: FlaggedAgreement | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON types; what is not defined is None."""
        matrix, ends = self.matrix, self.intervals
        table = {
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
            "classes": [self._class_json(k) for k in range(len(self.legend))],
            "confusion": {"rows": "map", "columns": "reference", "counts": matrix.counts},
            "calibration": self._calibration_json(self.calibration),
            "calibration_without_temperature": self._calibration_json(self.uncalibrated),
            "areas_as_counted": [asdict(area) for area in self.areas],
            "edges": asdict(self.edges) if self.edges else None,
            "flagged": asdict(self.flagged) if self.flagged else None,
            "notes": [CAVEAT, *self.notes],
            "seconds": round(self.seconds, 3),
        }
        return plain(table)

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        parts = (_head, _classes, _disagreement, _matrix, _edges, _calibration, _areas)
        return page(*(part(self) for part in parts))

    def pictures(self) -> dict[str, FileWriter | None]:
        """Writers of `PICTURES`."""
        title, calibration = f"{Path(self.subject).name} and {Path(self.reference).name}", self.calibration

        def draw_reliability(path: Path) -> None:
            assert calibration is not None
            write_reliability(path, calibration, title, self.uncalibrated)

        writers = (
            lambda path: write_confusion(path, self.matrix, title),
            draw_reliability if calibration else None,
        )
        return dict(zip(PICTURES, writers, strict=True))

    def _class_json(self, k: int) -> dict[str, Any]:
        matrix, ends = self.matrix, self.intervals
        table = {
            "code": self.legend.classes[k].code,
            "name": matrix.names[k],
            "map_pixels": matrix.map_totals[k],
            "reference_pixels": matrix.reference_totals[k],
        }
        for name, scores, spread in (
            ("users_agreement", matrix.users, ends.users),
            ("producers_agreement", matrix.producers, ends.producers),
            ("f1", matrix.f1, ends.f1),
            ("iou", matrix.iou, ends.iou),
        ):
            table |= {name: scores[k], f"{name}_interval": spread[:, k]}
        return table | {name: getattr(matrix, name)[k] for name in _OUTCOMES}

    def _calibration_json(self, found: Calibration | None) -> dict[str, Any] | None:
        if found is None:
            return None
        return {"pixels": found.pixels} | calibration_json(found, self.matrix.names, "pixels", "agreement")


def _head(report: EvaluationReport) -> Blocks:
    matrix, ends = report.matrix, report.intervals
    compared = matrix.total / max(report.candidates, 1)
    spread = f"95 % block-bootstrap interval {interval(ends.overall)}, {ends.blocks} blocks of {report.block}"
    means = (
        f"mean F1 {number(defined_mean(matrix.f1))} ({interval(ends.macro_f1)}), "
        f"mean IoU {number(defined_mean(matrix.iou))} ({interval(ends.macro_iou)}), overall IoU {number(matrix.micro_iou)}"
    )
    yield [f"# Agreement of {Path(report.subject).name} with {Path(report.reference).name}"]
    yield [f"**Overall agreement {number(matrix.overall)}** ({spread})"]
    yield [
        f"- {means}",
        f"- {matrix.total:,} pixels compared, {compared:.1%} of the map's pixels with data; legend {report.legend.name}",
        *_flagged_lines(report.flagged),
        f"- {CAVEAT}",
        *(f"- {note}" for note in report.notes),
    ]


def _flagged_lines(found: FlaggedAgreement | None) -> list[str]:
    if found is None or not found.pixels:
        return []
    apart = f"{number(found.agreement)} there, {number(found.elsewhere)} elsewhere"
    return [f"- {found.pixels:,} of these pixels are flagged as cloud, shadow or unfamiliar: agreement {apart}"]


def _classes(report: EvaluationReport) -> Blocks:
    matrix, ends = report.matrix, report.intervals
    head = ["class", "map px", "reference px", "user's", "producer's", "F1", "F1, 95 %", "IoU"]
    scores = (matrix.users, matrix.producers, matrix.f1, matrix.iou)
    rows = []
    for k, name in enumerate(matrix.names):
        users, producers, f1, iou = (number(of_class[k]) for of_class in scores)
        sizes = (f"{matrix.map_totals[k]:,}", f"{matrix.reference_totals[k]:,}")
        rows.append([name, *sizes, users, producers, f1, interval(ends.f1[:, k]), iou])
    users, producers, f1, iou = (number(defined_mean(of_class)) for of_class in scores)
    rows.append(["mean", "", "", users, producers, f1, interval(ends.macro_f1), iou])
    yield ["## Agreement by class"]
    yield markdown_table(head, rows)
    yield [
        "User's: share of the map's class that the reference confirms (precision). Producer's: share of the reference's",
        f"class that the map finds (recall). {NONE}: not defined, and not in the mean; of an interval, too few blocks.",
    ]


def _disagreement(report: EvaluationReport) -> Blocks:
    parts = report.matrix.disagreement
    within = f"exchange of pairs {number(parts.exchange)}, shift among more {number(parts.shift)}"
    yield ["## Where the disagreement comes from"]
    yield [
        f"- quantity {number(parts.quantity)}: classes have more or fewer pixels than in the reference",
        f"- allocation {number(parts.allocation)}: classes lie at other places ({within})",
    ]


def _matrix(report: EvaluationReport) -> Blocks:
    yield matrix_section("Pixels; rows map, columns reference.", "map", report.matrix.names, report.matrix.counts)


def _edges(report: EvaluationReport) -> Blocks:
    edges = report.edges
    if edges is None:
        return
    near = "the map's class occurs in the reference within one pixel"
    inside = f"where the 3 x 3 reference pixels are of one class, {edges.inside_share:.1%} of the pixels"
    yield ["## Borders between classes"]
    yield [
        f"- strict agreement {number(report.matrix.overall)} ({interval(report.intervals.overall)})",
        f"- any in 3 x 3: {number(edges.any_in_3x3)} ({interval(edges.any_in_3x3_interval)}), {near}",
        f"- inside: {number(edges.inside)} ({interval(edges.inside_interval)}), {inside}",
    ]


def _calibration(report: EvaluationReport) -> Blocks:
    found = report.calibration
    if found is None:
        return
    leaning = "surer" if found.confidence > found.overall else "less sure"
    scores = f"mean top probability {found.confidence:.3f}, agreement {found.overall:.3f}"
    conclusion = f"{scores}: {leaning} than the reference confirms"
    yield calibration_section("Calibration against the reference", found, conclusion)


def _areas(report: EvaluationReport) -> Blocks:
    if not report.areas:
        return
    rows = [[area.name, number(area.map_ha, ",.1f"), number(area.reference_ha, ",.1f")] for area in report.areas]
    yield ["## Area as counted (not an estimate of area)"]
    yield markdown_table(["class", "map, ha", "reference, ha"], rows)
    yield ["Compared pixels, each with its ground area. A count carries the map's errors."]
