"""The report of labelled points of a map, as JSON and Markdown: each number is labelled as counted or estimated."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lulc.io.labels.points import Design
from lulc.io.report.markdown import NONE, WIDEST_MATRIX, Blocks, interval, markdown_table, number, page
from lulc.io.report.writer import FileWriter, plain
from lulc.legend import Legend
from lulc.metrics.area_estimate import AreaEstimates, Estimate
from lulc.tasks.accuracy.agreement_report import PICTURES

NOT_A_SAMPLE = (
    "NOT A PROBABILITY SAMPLE: the file does not say how its points were drawn (`lulc sample` keeps that in "
    "NAME.design.json, or in the layer `design` of a .gpkg), so no interval can be trusted and none is given; the values may be far off. Draw points with `lulc sample`."
)
"""Said first where points have no design."""

INTERVALS = (
    "95 % intervals: Wilson's in each stratum, put together by MOVER (Zou & Donner 2008); they also hold where few points "
    "or none disagree. The symmetric 1.96 standard errors of Olofsson et al. (2014) stand beside the areas."
)


@dataclass(frozen=True, slots=True)
class AreaReport:
    """Accuracy and areas of a map.

    Attributes:
        subject: The map.
        reference: The file of points.
        legend: Classes.
        design: How the points were drawn; None when unknown.
        strata_are_classes: False when the points were drawn from another map.
        labelled: Labelled points of each stratum.
        estimates: Accuracies and area fractions estimated from the points.
        counted: Hectares of each class in the map, as counted.
        notes: Remarks for the reader.
    """

    subject: str
    reference: str
    legend: Legend
    design: Design | None
    strata_are_classes: bool
    labelled: Mapping[int, int]
    estimates: AreaEstimates
    counted: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes, and remarks on what cannot be estimated."""
        found, names = self.estimates, dict(enumerate(self.legend.names, 1))
        remarks = [] if self.design else [NOT_A_SAMPLE]
        remarks += self.notes
        remarks += [
            f"{names[code]!r} has one labelled point: what depends on it has no standard error; label more of it"
            for code in found.single
        ]
        remarks += [
            f"{names[code]!r} has no labelled point: its {self._stratum_hectares(code):,.1f} ha are left out of every estimate"
            for code in found.unsampled
        ]
        unseen = [names[code] for code in names if not found.counts[:, code - 1].any() and self.counted[code - 1] > 0]
        if unseen:
            remarks.append(
                f"no point is labelled as {', '.join(map(repr, unseen))}: producer's accuracy is not defined"
            )
        return tuple(remarks)

    def hectares(self, index: int) -> Estimate:
        """Estimated area of a class, by its index in the legend."""
        fraction, whole = self.estimates.shares[index], self.estimates.sampled_area
        return Estimate(fraction.value * whole, fraction.se * whole, fraction.low * whole, fraction.high * whole)

    def to_json(self) -> dict[str, Any]:
        """JSON types; what is not defined is None."""
        found = self.estimates
        table = {
            "kind": "accuracy and area estimated from labelled points",
            "map": self.subject,
            "points": self.reference,
            "legend": self.legend.name,
            "probability_sample": self.design is not None,
            "strata_are_classes": self.strata_are_classes,
            "labelled": sum(self.labelled.values()),
            "design": self.design.to_table() if self.design else None,
            "notes": list(self.remarks),
            "intervals": INTERVALS,
            "overall_accuracy": asdict(found.overall),
            "classes": [self._class_json(k) for k in range(len(self.legend))],
            "quantity_disagreement": found.quantity_disagreement,
            "allocation_disagreement": found.allocation_disagreement,
            "matrix_points": found.counts,
            "matrix_area_shares": found.proportions,
            "matrix_rows": "map",
            "matrix_columns": "reference",
            "sampled_ha": found.sampled_area,
        }
        return plain(table)

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        points, percents = self.estimates.counts, 100 * self.estimates.proportions
        return page(
            self._head(),
            self._accuracy(),
            self._areas(),
            self._disagreement(),
            self._matrix("in points (not weighted)", lambda row, col: str(points[row, col])),
            self._matrix("in percent of the area", lambda row, col: f"{percents[row, col]:.2f}"),
            self._strata(),
        )

    def pictures(self) -> dict[str, FileWriter | None]:
        """None: those of a former report of agreement go."""
        return dict.fromkeys(PICTURES)

    def _stratum_hectares(self, code: int) -> float:
        drawn = {entry.code: entry.hectares for entry in self.design.strata} if self.design else {}
        return drawn.get(code, self.counted[code - 1])

    def _class_json(self, k: int) -> dict[str, Any]:
        found, entry = self.estimates, self.legend.classes[k]
        return {
            "code": entry.code,
            "name": entry.name,
            "map_points": found.counts[k].sum(),
            "reference_points": found.counts[:, k].sum(),
            "users_accuracy": asdict(found.users[k]),
            "producers_accuracy": asdict(found.producers[k]),
            "f1": asdict(found.f1[k]),
            "area_estimated_ha": asdict(self.hectares(k)),
            "area_counted_ha": self.counted[k],
        }

    def _shown(self) -> list[int]:
        """Indices of the classes that the map or the reference has."""
        counts = self.estimates.counts
        return [k for k, hectares in enumerate(self.counted) if hectares > 0 or counts[k].any() or counts[:, k].any()]

    def _head(self) -> Blocks:
        overall = self.estimates.overall
        drawn = f"{self.design.points} points drawn, seed {self.design.seed}" if self.design else "unknown design"
        of = "the map" if self.strata_are_classes else "another map"
        design = f"stratified random, strata are the classes of {of}; {drawn}" if self.design else drawn
        yield [f"# Accuracy and area of {Path(self.subject).name}"]
        yield [
            f"**Overall accuracy {number(overall.value)}** (95 % interval {interval((overall.low, overall.high))}, standard error {number(overall.se)}), weighted by area"
        ]
        yield [
            f"- {sum(self.labelled.values())} labelled points of {Path(self.reference).name}: {design}",
            *(f"- {remark}" for remark in self.remarks),
        ]

    def _accuracy(self) -> Blocks:
        found = self.estimates
        head = ["class", "points", "user's", "95 %", "producer's", "95 %", "F1", "95 %"]
        rows = []
        for k in self._shown():
            scores = (found.users[k], found.producers[k], found.f1[k])
            cells = [text for score in scores for text in (number(score.value), interval((score.low, score.high)))]
            rows.append([self.legend.names[k], str(found.counts[k].sum()), *cells])
        yield ["## Accuracy by class (weighted by area)"]
        yield markdown_table(head, rows)
        yield [
            "User's: share of the map's class that is right. Producer's: share of the class on the ground that the map finds.",
            *([INTERVALS] if self.design else []),
        ]

    def _areas(self) -> Blocks:
        head = ["class", "estimated, ha", "95 % interval, ha", "1.96 SE, ha", "counted in the map, ha"]
        rows = []
        for k in self._shown():
            area = self.hectares(k)
            margin = f"{area.margin:,.1f}" if area.se > 0 else NONE
            cells = (f"{area.value:,.1f}", interval((area.low, area.high), ",.1f"), margin, f"{self.counted[k]:,.1f}")
            rows.append([self.legend.names[k], *cells])
        yield ["## Area by class"]
        yield markdown_table(head, rows)
        yield [
            "Estimated: from the labelled points. Counted: pixels of the map, which carry its errors; not an estimate of area.",
        ]

    def _disagreement(self) -> Blocks:
        found = self.estimates
        yield ["## Where the errors come from (shares of the area)"]
        yield [
            f"- quantity {number(found.quantity_disagreement)}: classes have more or less area than on the ground",
            f"- allocation {number(found.allocation_disagreement)}: classes lie at other places",
        ]

    def _matrix(self, title: str, cell: Callable[[int, int], str]) -> Blocks:
        """The error matrix; of one too wide to read, such as that of a change map, the cells that hold points."""
        shown, names = self._shown(), self.legend.names
        yield [f"## Error matrix {title}"]
        if len(shown) > WIDEST_MATRIX:
            cells = np.argwhere(self.estimates.counts).tolist()
            listed = [[f"{names[row]} / {names[col]}", cell(row, col)] for row, col in cells]
            yield markdown_table(["map / reference", "value"], listed)
            return
        rows = [[names[row], *(cell(row, col) for col in shown)] for row in shown]
        yield ["Rows map, columns reference."]
        yield markdown_table(["map", *(names[col] for col in shown)], rows)

    def _strata(self) -> Blocks:
        if self.design is None:
            yield from (["## Sample design"], [NOT_A_SAMPLE])
            return
        rows = [
            [one.name, f"{one.pixels:,}", f"{one.hectares:,.1f}", str(one.points), str(self.labelled.get(one.code, 0))]
            for one in self.design.strata
            if one.pixels
        ]
        yield [f"## Sample design: simple random in each class of {self.design.map_name}"]
        yield markdown_table(["stratum", "pixels", "ha", "drawn", "labelled"], rows)
