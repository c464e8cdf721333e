"""Transitions in hectares: as counted, as expected and as estimated, each labelled as such."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lulc.io.files.csv_text import csv_text
from lulc.io.product.areas import class_areas
from lulc.io.report.markdown import Blocks, interval, markdown_table, page
from lulc.io.report.writer import plain
from lulc.tasks.change.inputs import MapPair
from lulc.tasks.classify.memory import peak_resident_bytes

if TYPE_CHECKING:  # estimates need scipy and tables of points, which a change map without points does not
    from lulc.metrics.area_estimate import Estimate
    from lulc.tasks.accuracy.area_report import AreaReport

_ZERO = "."
_MEGA, _GIGA = 1e6, 1e9
_COLUMNS = (
    "before",
    "after",
    "pixels",
    "counted_ha",
    "expected_ha",
    "adjusted_ha",
    "adjusted_low_ha",
    "adjusted_high_ha",
)
_BALANCE = ("before", "after", "gain", "loss", "net")


COUNTED = "as counted: pixels of the change map, which carry its errors; not an estimate of area"
EXPECTED = (
    "expected: sums of the joint probabilities. Model-based: as trustworthy as the activations are calibrated, and "
    "every doubt between two dates counts as a little change, so the sum of changes is too large where little changed"
)
BY_LABELS = (
    "compared by labels alone: no probability of change exists, every pixel whose labels differ counts as change, and "
    "differences include the errors of both maps"
)
"""Said of maps without activations."""

ADJUSTED = "adjusted: estimated from labelled points of a probability sample of the change map, with 95 % intervals"

LEAST_SHOWN = 0.05
"""Hectares below which a class is left out of tables: it would read 0.0."""


def changes_in(hectares: NDArray[np.float64]) -> NDArray[np.float64]:
    """A table of transitions without what stays the same: (K, K) with 0 on the diagonal. Sums of nothing are then 0, never -0.0."""
    return np.where(np.eye(len(hectares), dtype=bool), 0.0, hectares)


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """Hectares of every pair of classes.

    Attributes:
        meaning: How they were determined: `COUNTED`, `EXPECTED` or `ADJUSTED`.
        hectares: float64 (K, K), rows before, columns after.
    """

    meaning: str
    hectares: NDArray[np.float64]

    @property
    def changed(self) -> float:
        """Hectares off the diagonal."""
        return float(changes_in(self.hectares).sum())

    def balance(self) -> NDArray[np.float64]:
        """Per class before, after, gain, loss and net, hectares: float64 (K, 5)."""
        before, after = self.hectares.sum(axis=1), self.hectares.sum(axis=0)
        loss, gain = changes_in(self.hectares).sum(axis=1), changes_in(self.hectares).sum(axis=0)
        return np.column_stack([before, after, gain, loss, gain - loss])


@dataclass(frozen=True, slots=True, eq=False)
class ChangeReport:
    """Report of a change map.

    Attributes:
        output: The map.
        before: The earlier map.
        after: The later map.
        dates: Their dates of acquisition, empty where they do not say.
        classes: Class names, K.
        pixels: int64 (K, K) pixels of each transition in the map.
        counted: Its hectares as counted.
        expected: Hectares by the joint probabilities; None where labels alone were compared.
        adjusted: Hectares estimated from labelled points; None without them.
        estimate: Report of those points; None without them.
        settings: Threshold, change rate, minimum mapping unit; empty where labels alone were compared.
        notes: Remarks for the reader.
        resumed_chunks: Chunks taken over from an interrupted run.
        output_bytes: Size of the map.
        peak_bytes: Peak of the process's main memory.
        seconds: Wall time.
    """

    output: Path
    before: Path
    after: Path
    dates: tuple[str, str]
    classes: tuple[str, ...]
    pixels: NDArray[np.int64]
    counted: Transitions
    expected: Transitions | None
    adjusted: Transitions | None
    estimate: "AreaReport | None"
    settings: Mapping[str, float]
    notes: tuple[str, ...]
    resumed_chunks: int
    output_bytes: int
    peak_bytes: int
    seconds: float

    @property
    def changed_fraction(self) -> float:
        """Fraction of the map's area that is changed, as counted."""
        return self.counted.changed / max(float(self.counted.hectares.sum()), 1e-12)

    def interval(self, before: int, after: int) -> "Estimate | None":
        """Estimated hectares of a transition with their interval; None without points."""
        return self.estimate.hectares(before * len(self.classes) + after) if self.estimate else None

    def to_json(self) -> dict[str, Any]:
        """JSON types; what is not known is None."""
        table = {
            "kind": "land-cover change",
            "output": str(self.output),
            "before": str(self.before),
            "after": str(self.after),
            "before_acquired": self.dates[0] or None,
            "after_acquired": self.dates[1] or None,
            "decided_by": "activations" if self.expected else "labels",
            **self.settings,
            "classes": self.classes,
            "matrix_rows": "before",
            "matrix_columns": "after",
            "changed_share_as_counted": self.changed_fraction,
            "pixels": self.pixels,
            "as_counted": self._transitions_json(self.counted),
            "expected": self._transitions_json(self.expected) if self.expected else None,
            "adjusted": self._adjusted_json(),
            "notes": self.notes,
            "resumed_chunks": self.resumed_chunks,
            "output_bytes": self.output_bytes,
            "peak_bytes": self.peak_bytes,
            "seconds": round(self.seconds, 3),
        }
        return plain(table)

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        sections = [_head(self)]
        if self.adjusted:
            sections += [_areas(self, self.adjusted, "Adjusted"), _intervals(self)]
        sections.append(_areas(self, self.counted, "As counted"))
        if self.expected:
            sections.append(_areas(self, self.expected, "Expected"))
        return page(*sections, _made(self))

    def to_csv(self) -> str:
        """One row a transition that occurs in any of the three."""
        rows = []
        for (row, column), pixels in np.ndenumerate(self.pixels):
            found = self.interval(row, column)
            ends = (found.value, found.low, found.high) if found else (math.nan,) * 3
            areas = [one.hectares[row, column] for one in (self.counted, self.expected) if one]
            numbers = (*map(float, areas), *ends)
            if pixels or any(math.isfinite(number) and round(number, 4) for number in numbers):
                cells = [f"{number:.4f}" if math.isfinite(number) else "" for number in numbers]
                rows.append([self.classes[row], self.classes[column], pixels, *cells])
        return csv_text([name for name in _COLUMNS if self.expected or name != "expected_ha"], rows)

    def shown(self) -> list[int]:
        """Indices of the classes that occur: as counted, as expected, or as points name them."""
        found = [one for one in (self.counted, self.expected, self.adjusted) if one]
        cover = sum(one.hectares.sum(axis=0) + one.hectares.sum(axis=1) for one in found)
        return [int(k) for k in np.flatnonzero(cover >= LEAST_SHOWN)]

    def _transitions_json(self, transitions: Transitions) -> dict[str, Any]:
        balance = [
            {"name": name} | {f"{column}_ha": value for column, value in zip(_BALANCE, row, strict=True)}
            for name, row in zip(self.classes, transitions.balance().tolist(), strict=True)
        ]
        return {
            "meaning": transitions.meaning,
            "matrix_ha": transitions.hectares,
            "changed_ha": transitions.changed,
            "classes": balance,
        }

    def _adjusted_json(self) -> dict[str, Any] | None:
        if self.adjusted is None or self.estimate is None:
            return None
        count = range(len(self.classes))
        found = [[self.interval(row, column) for column in count] for row in count]
        ends = {
            f"matrix_{end}_ha": [[getattr(cell, end) for cell in row] for row in found] for end in ("low", "high", "se")
        }
        return self._transitions_json(self.adjusted) | ends | {"estimate": self.estimate.to_json()}


def change_report(
    output: Path,
    whole: Path,
    pair: MapPair,
    expected: NDArray[np.float64] | None,
    estimate: "AreaReport | None",
    *,
    settings: Mapping[str, float],
    resumed_chunks: int,
    seconds: float,
) -> ChangeReport:
    """Count the map and make its report.

    Args:
        output: Name of the change map.
        whole: The change map, which need not have its name yet.
        pair: The two maps.
        expected: float64 (K, K) hectares by the joint probabilities; None where labels alone were compared.
        estimate: Report of labelled points of the map; None without them.
        settings: Threshold, change rate, minimum mapping unit.
        resumed_chunks: Chunks taken over.
        seconds: Wall time.
    """
    side = (len(pair.legend),) * 2
    areas = class_areas(whole)
    counted = np.array([area.hectares or 0.0 for area in areas]).reshape(side)
    adjusted = None
    if estimate is not None:
        values = np.array([estimate.hectares(k).value for k in range(counted.size)])
        adjusted = Transitions(ADJUSTED, np.nan_to_num(values).reshape(side))
    return ChangeReport(
        output=output,
        before=pair.before.name,
        after=pair.after.name,
        dates=(pair.before.acquired, pair.after.acquired),
        classes=pair.legend.names,
        pixels=np.array([area.pixels for area in areas]).reshape(side),
        counted=Transitions(COUNTED, counted),
        expected=None if expected is None else Transitions(EXPECTED, expected),
        adjusted=adjusted,
        estimate=estimate,
        settings=settings,
        notes=(*([BY_LABELS] if pair.by_labels else []), *pair.notes(), *(estimate.remarks if estimate else ())),
        resumed_chunks=resumed_chunks,
        output_bytes=whole.stat().st_size,
        peak_bytes=peak_resident_bytes(),
        seconds=seconds,
    )


def _head(report: ChangeReport) -> Blocks:
    sides = zip((report.before, report.after), report.dates, strict=True)
    dates = [f"{path.name} ({date})" if date else path.name for path, date in sides]
    whole = float(report.counted.hectares.sum())
    yield [f"# Change from {dates[0]} to {dates[1]}"]
    yield [f"**{report.counted.changed:,.1f} of {whole:,.1f} ha changed ({report.changed_fraction:.2%}), as counted**"]
    lines, decided = [], report.settings
    if decided:
        lines.append(
            f"- threshold {decided['threshold']:g}, change rate {decided['change_rate']:g}, minimum mapping unit {decided['mmu']:g} ha"
        )
    if report.adjusted is None:
        lines.append(
            f"- counts are no estimate of area: `lulc sample {report.output} points.gpkg`, label the points, then `lulc evaluate {report.output} points.gpkg` or `--reference points.gpkg`"
        )
    yield [*lines, *(f"- {note}" for note in report.notes)]


def _areas(report: ChangeReport, transitions: Transitions, title: str) -> Blocks:
    """Matrix and balance: areas as counted, expected or adjusted."""
    names, together = _rows_shown(report, transitions)
    table, balance = together @ transitions.hectares @ together.T, together @ transitions.balance()
    rows = [[name, *map(_hectares, row), _hectares(row.sum())] for name, row in zip(names, table, strict=True)]
    rows.append(["after", *map(_hectares, table.sum(axis=0)), _hectares(table.sum())])
    signed = [[name, *_signed(row)] for name, row in zip(names, balance, strict=True)]
    yield [f"## {title}, hectares"]
    yield [
        f"{transitions.meaning[0].upper()}{transitions.meaning[1:]}. Rows before, columns after; {transitions.changed:,.1f} ha change."
    ]
    yield markdown_table(["before", *names, "sum"], rows)
    yield markdown_table(["class", "before", "after", "gain", "loss", "net"], signed)


def _rows_shown(report: ChangeReport, transitions: Transitions) -> tuple[list[str], NDArray[np.float64]]:
    """Names of a matrix's rows, and which classes each takes together: float64 (rows, K) of 0 and 1.

    Classes with too little to be shown are taken together where that is enough, so what is shown adds up to the sums.
    """
    shown, classes = report.shown(), np.eye(len(report.classes))
    rest = np.delete(classes, shown, axis=0).sum(axis=0)
    names, together = [report.classes[k] for k in shown], classes[shown]
    if rest @ (transitions.hectares.sum(axis=0) + transitions.hectares.sum(axis=1)) >= LEAST_SHOWN:
        return [*names, "other classes"], np.vstack([together, rest])
    return names, together


def _intervals(report: ChangeReport) -> Blocks:
    """Each estimated transition with its interval."""
    assert report.estimate is not None
    names, rows = report.estimate.legend.names, []
    for k, ((row, column), counted) in enumerate(np.ndenumerate(report.counted.hectares)):
        found = report.interval(row, column)
        assert found is not None
        if found.value > 0 or counted > 0:
            ends = interval((found.low, found.high), ",.1f")
            rows.append([names[k], f"{found.value:,.1f}", ends, f"{counted:,.1f}"])
    overall = report.estimate.estimates.overall
    yield ["## Adjusted areas of each transition, hectares"]
    yield [
        f"Overall accuracy of the change map {overall.value:.3f} (95 % interval {overall.low:.3f} to {overall.high:.3f}), weighted by area.",
        "Sums of transitions above have no interval: their errors are not independent.",
    ]
    yield markdown_table(["transition", "adjusted", "95 % interval", "as counted"], rows)


def _made(report: ChangeReport) -> Blocks:
    taken = f", {report.resumed_chunks} parts taken over" if report.resumed_chunks else ""
    yield [
        f"{report.output}: {report.output_bytes / _MEGA:.2f} MB, {report.seconds:.1f} s, peak memory {report.peak_bytes / _GIGA:.2f} GB{taken}"
    ]


def _hectares(value: float) -> str:
    return f"{value:,.1f}" if value > 0 else _ZERO


def _signed(row: NDArray[np.float64]) -> list[str]:
    before, after, gain, loss, net = row.tolist()
    return [f"{before:,.1f}", f"{after:,.1f}", *(_with_sign(value) for value in (gain, -loss, net))]


def _with_sign(value: float) -> str:
    """A number with its sign; one that is shown as 0 has none."""
    return f"{value:+,.1f}" if round(value, 1) else "0.0"
