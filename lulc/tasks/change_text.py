"""The report of a change map as Markdown."""

import math

import numpy as np
from numpy.typing import NDArray

from lulc.io.markdown_table import markdown_table
from lulc.tasks.change_report import LEAST_SHOWN, ChangeReport, Transitions

_NONE = "-"
_ZERO = "."
_MEGA, _GIGA = 1e6, 1e9


def markdown(report: ChangeReport) -> str:
    """The whole report, ending in a line break."""
    parts = [_head(report)]
    if report.adjusted:
        parts += [_way(report, report.adjusted, "Adjusted"), _intervals(report)]
    parts += [_way(report, report.counted, "As counted"), _way(report, report.expected, "Expected"), _made(report)]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _head(report: ChangeReport) -> list[str]:
    sides = zip((report.before, report.after), report.dates, strict=True)
    dates = [f"{path.name} ({date})" if date else path.name for path, date in sides]
    whole = float(report.counted.hectares.sum())
    lines = [
        f"# Change from {dates[0]} to {dates[1]}",
        "",
        f"**{report.counted.changed:,.1f} of {whole:,.1f} ha changed ({report.changed_share:.2%}), as counted**",
        "",
        f"- threshold {report.settings['threshold']:g}, change rate {report.settings['change_rate']:g}, minimum mapping unit {report.settings['mmu']:g} ha",
    ]
    if report.adjusted is None:
        lines.append(
            f"- counts are no estimate of area: `lulc sample {report.output} points.gpkg`, label the points, then `lulc evaluate {report.output} points.gpkg` or `--reference points.gpkg`"
        )
    return [*lines, *(f"- {note}" for note in report.notes)]


def _way(report: ChangeReport, way: Transitions, title: str) -> list[str]:
    """Matrix and balance by one way of finding areas."""
    names, together = _rows_shown(report, way)
    table, balance = together @ way.hectares @ together.T, together @ way.balance()
    rows = [[name, *map(_hectares, row), _hectares(row.sum())] for name, row in zip(names, table, strict=True)]
    rows.append(["after", *map(_hectares, table.sum(axis=0)), _hectares(table.sum())])
    signed = [[name, *_signed(row)] for name, row in zip(names, balance, strict=True)]
    return [
        f"## {title}, hectares",
        "",
        f"{way.meaning[0].upper()}{way.meaning[1:]}. Rows before, columns after; {way.changed:,.1f} ha change.",
        "",
        *markdown_table(["before", *names, "sum"], rows),
        "",
        *markdown_table(["class", "before", "after", "gain", "loss", "net"], signed),
    ]


def _rows_shown(report: ChangeReport, way: Transitions) -> tuple[list[str], NDArray[np.float64]]:
    """Names of a matrix's rows, and which classes each takes together: float64 (rows, K) of 0 and 1.

    Classes with too little to be shown are taken together where that is enough, so what is shown adds up to the sums.
    """
    shown, classes = report.shown(), np.eye(len(report.classes))
    rest = np.delete(classes, shown, axis=0).sum(axis=0)
    names, together = [report.classes[place] for place in shown], classes[shown]
    if rest @ (way.hectares.sum(axis=0) + way.hectares.sum(axis=1)) >= LEAST_SHOWN:
        return [*names, "other classes"], np.vstack([together, rest])
    return names, together


def _intervals(report: ChangeReport) -> list[str]:
    """Each estimated transition with its interval."""
    assert report.estimate is not None
    names, rows = report.estimate.legend.names, []
    for place, ((row, column), counted) in enumerate(np.ndenumerate(report.counted.hectares)):
        found = report.interval(row, column)
        assert found is not None
        if found.value > 0 or counted > 0:
            ends = (found.low, found.high)
            known = all(map(math.isfinite, ends))
            spread = f"{found.low:,.1f} to {found.high:,.1f}" if known else _NONE
            rows.append([names[place], f"{found.value:,.1f}", spread, f"{counted:,.1f}"])
    overall = report.estimate.estimates.overall
    return [
        "## Adjusted areas of each transition, hectares",
        "",
        f"Overall accuracy of the change map {overall.value:.3f} (95 % interval {overall.low:.3f} to {overall.high:.3f}), weighted by area.",
        "Sums of transitions above have no interval: their errors are not independent.",
        "",
        *markdown_table(["transition", "adjusted", "95 % interval", "as counted"], rows),
    ]


def _made(report: ChangeReport) -> list[str]:
    taken = f", {report.resumed_chunks} parts taken over" if report.resumed_chunks else ""
    return [
        f"{report.output}: {report.output_bytes / _MEGA:.2f} MB, {report.seconds:.1f} s, peak memory {report.peak_bytes / _GIGA:.2f} GB{taken}"
    ]


def _hectares(value: float) -> str:
    return f"{value:,.1f}" if value > 0 else _ZERO


def _signed(row: NDArray[np.float64]) -> list[str]:
    before, after, gain, loss, net = row.tolist()
    return [f"{before:,.1f}", f"{after:,.1f}", f"+{gain:,.1f}", f"-{loss:,.1f}", f"{net:+,.1f}"]
