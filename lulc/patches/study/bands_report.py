"""What a band study found, as text, as a page and as a picture."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.io.files.durable import write_whole
from lulc.io.report.markdown import markdown_table
from lulc.metrics.share_interval import wilson

HELBER_2019 = {"RGB": 0.9857, "CIR": 0.9830, "SWIR": 0.9705}
"""Accuracies of EuroSAT's paper (doi:10.1109/JSTARS.2019.2918242, Table IV), for scale."""

_INK, _FAINT, _LIGHT = "#222222", "#6b6b6b", "#bbbbbb"
_SINGLE, _SEVERAL = "#7fb9ea", "#2166ac"
_LONGEST = 30


@dataclass(frozen=True, slots=True)
class Combination:
    """Some bands under one name."""

    name: str
    bands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoldScore:
    """What a network made of patches that it had not seen.

    Attributes:
        fold: From 1.
        patches: Patches tested.
        correct: Of them, those whose class was found.
        found: By class, patches found and patches there are.
        seconds: Spent in training steps.
    """

    fold: int
    patches: int
    correct: int
    found: dict[str, tuple[int, int]]
    seconds: float


@dataclass(frozen=True, slots=True)
class BandRow:
    """A combination and its scores, one a fold."""

    combination: Combination
    folds: tuple[FoldScore, ...]

    @property
    def patches(self) -> int:
        """Patches tested, each once."""
        return sum(score.patches for score in self.folds)

    @property
    def correct(self) -> int:
        """Of them, those whose class was found."""
        return sum(score.correct for score in self.folds)

    @property
    def accuracy(self) -> float:
        """Share of the patches whose class was found."""
        return self.correct / self.patches

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy; patches are taken as independent."""
        return wilson(self.accuracy, self.patches)

    @property
    def spelled(self) -> str:
        """Its bands; how many there are when they are many or name themselves."""
        bands = self.combination.bands
        text = " ".join(bands)
        return text if len(text) <= _LONGEST else f"{len(bands)} bands"

    def recalls(self) -> dict[str, float | None]:
        """Share found of each class; None for a class of which no patch was tested."""
        sums: dict[str, tuple[int, int]] = {}
        for score in self.folds:
            for name, (found, there) in score.found.items():
                before = sums.get(name, (0, 0))
                sums[name] = before[0] + found, before[1] + there
        return {name: found / there if there else None for name, (found, there) in sums.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        low, high = self.interval
        return {
            "combination": self.combination.name,
            "bands": list(self.combination.bands),
            "correct": self.correct,
            "patches": self.patches,
            "accuracy": self.accuracy,
            "interval_95": [low, high],
            "folds": [asdict(score) for score in self.folds],
        }


@dataclass(frozen=True, slots=True)
class BandStudy:
    """What a study found.

    Attributes:
        output: Its folder.
        data: Name of the patch set.
        network: Name of the network, and what its weights started from.
        folds: Folds; 1 tested one split only.
        rows: The best first.
        notes: What was left out, and whether the spectra bear out the names of the bands.
    """

    output: str
    data: str
    network: str
    folds: int
    rows: tuple[BandRow, ...]
    notes: tuple[str, ...]

    @property
    def method(self) -> str:
        """How it was tested, in words."""
        dealt = f"{self.folds} folds" if self.folds > 1 else "one split"
        return f"{self.network}, {dealt}, {self.rows[0].patches:,d} patches tested, 95 % Wilson intervals"

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "output": self.output,
            "data": self.data,
            "network": self.network,
            "folds": self.folds,
            "rows": [row.to_json() for row in self.rows],
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """The table for people."""
        width = max(len(row.combination.name) for row in self.rows)
        lines = [f"{self.output}: {self.data}; {self.method}"]
        for row in self.rows:
            low, high = row.interval
            lines.append(
                f"  {row.combination.name:{width}}  {100 * row.accuracy:5.1f} %  ({100 * low:.1f} to {100 * high:.1f})"
                f"  {row.correct} of {row.patches}  {row.spelled}"
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def to_markdown(self) -> str:
        """The report as a page: accuracies, and what was found of each class."""
        recalls = [[row.combination.name, *map(_percent, row.recalls().values())] for row in self.rows]
        notes = [
            "The network, the seed and the folds are the same for every combination: rows differ by their bands alone.",
            "Intervals take patches as independent; rows share their patches, so they may differ though intervals overlap.",
            "Helber et al. 2019, Table IV, for scale: a fine-tuned ResNet-50, trained on 80 % of 27,000 patches.",
            *self.notes,
        ]
        parts = [
            f"# Bands of {self.data}",
            self.method,
            _lines(
                ["combination", "accuracy, %", "95 % interval", "correct", "patches", "Helber 2019, %", "bands"],
                [_accuracy_cells(row) for row in self.rows],
            ),
            "Found of each class, %:",
            _lines(["combination", *self.rows[0].recalls()], recalls),
            "\n".join(f"* {note}" for note in notes),
        ]
        return "\n\n".join(parts) + "\n"


def draw_study(study: BandStudy, path: Path) -> None:
    """Draw the accuracies as bars with intervals and their numbers beside them; an existing picture is replaced.

    Args:
        study: What was found.
        path: PNG to write.

    Raises:
        StorageError: The disk is full or refuses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = study.rows
    page = (9.0, 1.5 + 0.3 * len(rows))
    figure = Figure(figsize=page, dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.27, 0.55 / page[1], 0.45, 1 - 1.3 / page[1]))
    for place, row in enumerate(rows):
        low, high = row.interval
        color = _SINGLE if len(row.combination.bands) == 1 else _SEVERAL
        axes.barh(place, row.accuracy, height=0.62, color=color)
        axes.plot([low, high], [place, place], color=_INK, lw=1.2, solid_capstyle="butt")
        paper = HELBER_2019.get(row.combination.name)
        if paper is not None:
            axes.plot(paper, place, marker="D", ms=4, mfc="white", mec=_INK, clip_on=False)
        _write_row(axes, place, row)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.tick_params(labelsize=8, colors=_FAINT, length=3)
    axes.grid(axis="x", color="#e6e6e6", lw=0.6)
    axes.set_axisbelow(True)
    for name, edge in axes.spines.items():
        edge.set_visible(name == "left")
        edge.set(color=_LIGHT, linewidth=0.8)
    plain: dict[str, Any] = {"va": "top", "parse_math": False}
    figure.text(0.015, 1 - 0.14 / page[1], f"Bands of {study.data}", fontsize=11, color=_INK, weight="bold", **plain)
    figure.text(0.015, 1 - 0.38 / page[1], study.method, fontsize=8, color=_FAINT, **plain)
    if any(row.combination.name in HELBER_2019 for row in rows):
        scale = "◇ Helber et al. 2019: ResNet-50 trained on 80 % of 27,000 patches"
        figure.text(0.015, 0.08 / page[1], scale, fontsize=7.5, color=_FAINT, va="bottom")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def _write_row(axes: Any, place: int, row: BandRow) -> None:  # noqa: ANN401 - matplotlib has no types
    """Name and bands to the left of a bar, numbers to its right."""
    low, high = row.interval
    name, spelled = row.combination.name, row.spelled
    at_side = {"transform": axes.get_yaxis_transform(), "va": "center", "clip_on": False, "parse_math": False}
    axes.text(-0.56, place, name if len(name) <= _LONGEST // 2 else "", fontsize=8.5, color=_INK, **at_side)
    axes.text(-0.02, place, "" if spelled == name else spelled, fontsize=7, color=_FAINT, ha="right", **at_side)
    axes.text(1.14, place, f"{100 * row.accuracy:.1f} %", fontsize=8.5, color=_INK, ha="right", **at_side)
    axes.text(1.17, place, f"{100 * low:.1f} to {100 * high:.1f}", fontsize=7.5, color=_FAINT, **at_side)
    axes.text(1.58, place, f"{row.correct:,d} of {row.patches:,d}", fontsize=7.5, color=_FAINT, ha="right", **at_side)


def _accuracy_cells(row: BandRow) -> list[str]:
    low, high = row.interval
    paper = HELBER_2019.get(row.combination.name)
    return [
        row.combination.name,
        f"{100 * row.accuracy:.1f}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        str(row.correct),
        str(row.patches),
        "" if paper is None else f"{100 * paper:.2f}",
        " ".join(row.combination.bands),
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}"


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(markdown_table(head, rows))
