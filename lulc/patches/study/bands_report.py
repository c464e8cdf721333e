"""The report of a band study, as text, as Markdown and as a picture."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.io.figures.page import EDGE, FAINT, GRID, INK, Axes, Page
from lulc.io.report.markdown import markdown_table, number, page
from lulc.metrics.share_interval import wilson

HELBER_2019 = {"RGB": 0.9857, "CIR": 0.9830, "SWIR": 0.9705}
"""Accuracies of EuroSAT's paper (doi:10.1109/JSTARS.2019.2918242, Table IV), for scale."""

_SINGLE, _SEVERAL = "#7fb9ea", "#2166ac"
_LONGEST = 30


@dataclass(frozen=True, slots=True)
class Combination:
    """Some bands under one name."""

    name: str
    bands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoldScore:
    """Score of a network on patches that it was not trained on.

    Attributes:
        fold: From 1.
        patches: Patches tested.
        correct: Patches with a correct prediction.
        found: By class, patches with a correct prediction and all patches.
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
        """Patches with a correct prediction."""
        return sum(score.correct for score in self.folds)

    @property
    def accuracy(self) -> float:
        """Fraction of the patches with a correct prediction."""
        return self.correct / self.patches

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy; patches are taken as independent."""
        return wilson(self.accuracy, self.patches)

    @property
    def percents(self) -> str:
        """The interval in words, `98.2 to 98.8`."""
        low, high = self.interval
        return f"{100 * low:.1f} to {100 * high:.1f}"

    @property
    def spelled(self) -> str:
        """Names of the bands, or their number when the names are too long."""
        bands = self.combination.bands
        text = " ".join(bands)
        return text if len(text) <= _LONGEST else f"{len(bands)} bands"

    def recalls(self) -> dict[str, float | None]:
        """Fraction found of each class; None for a class of which no patch was tested."""
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
    """Result of a band study.

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
        """Network, folds and intervals, in words."""
        tested = f"{self.folds} folds" if self.folds > 1 else "one split"
        return f"{self.network}, {tested}, {self.rows[0].patches:,d} patches tested, 95 % Wilson intervals"

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
        lines += [
            f"  {row.combination.name:{width}}  {100 * row.accuracy:5.1f} %  ({row.percents})"
            f"  {row.correct} of {row.patches}  {row.spelled}"
            for row in self.rows
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def to_markdown(self) -> str:
        """The report as a page: accuracies, and what was found of each class."""
        recalls = [
            [
                row.combination.name,
                *(number(recall and 100 * recall, ".0f", none="") for recall in row.recalls().values()),
            ]
            for row in self.rows
        ]
        notes = [
            "The network, the seed and the folds are the same for every combination: rows differ by their bands alone.",
            "Intervals take patches as independent; rows share their patches, so they may differ though intervals overlap.",
            "Helber et al. 2019, Table IV, for scale: a fine-tuned ResNet-50, trained on 80 % of 27,000 patches.",
            *self.notes,
        ]
        head = ["combination", "accuracy, %", "95 % interval", "correct", "patches", "Helber 2019, %", "bands"]
        sections = [
            [f"# Bands of {self.data}"],
            [self.method],
            markdown_table(head, [_accuracy_cells(row) for row in self.rows]),
            ["Found of each class, %:"],
            markdown_table(["combination", *self.rows[0].recalls()], recalls),
            [f"* {note}" for note in notes],
        ]
        return page(sections)


def draw_study(study: BandStudy, path: Path) -> None:
    """Draw the accuracies as bars with intervals and their numbers beside them; an existing picture is replaced.

    Args:
        study: The result.
        path: PNG to write.

    Raises:
        StorageError: The disk is full or refuses.
    """
    rows = study.rows
    page = Page(9.0, 1.5 + 0.3 * len(rows))
    page.title(f"Bands of {study.data}", study.method)
    axes = page.axes((2.43, 0.75, 4.05, 0.2 + 0.3 * len(rows)), xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
    for index, row in enumerate(rows):
        _draw_bar(axes, index, row)
        _write_row(axes, index, row)
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.tick_params(labelsize=8, colors=FAINT, length=3)
    axes.grid(axis="x", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    for name, edge in axes.spines.items():
        edge.set_visible(name == "left")
        edge.set(color=EDGE, linewidth=0.8)
    if any(row.combination.name in HELBER_2019 for row in rows):
        scale = "◇ Helber et al. 2019: ResNet-50 trained on 80 % of 27,000 patches"
        page.text(page.margin, page.height - 0.08, scale, 7.5, color=FAINT, anchor="ls")
    page.save(path)


def _draw_bar(axes: Axes, index: int, row: BandRow) -> None:
    """A bar with its interval, and the paper's accuracy where there is one."""
    color = _SINGLE if len(row.combination.bands) == 1 else _SEVERAL
    axes.barh(index, row.accuracy, height=0.62, color=color)
    axes.plot(row.interval, [index, index], color=INK, lw=1.2, solid_capstyle="butt")
    paper = HELBER_2019.get(row.combination.name)
    if paper is not None:
        axes.plot(paper, index, marker="D", ms=4, mfc="white", mec=INK, clip_on=False)


def _write_row(axes: Axes, index: int, row: BandRow) -> None:
    """Name and bands to the left of a bar, numbers to its right."""
    name, spelled = row.combination.name, row.spelled
    at_side = {"transform": axes.get_yaxis_transform(), "va": "center", "clip_on": False, "parse_math": False}
    axes.text(-0.55, index, name if len(name) <= _LONGEST // 2 else "", fontsize=8.5, color=INK, **at_side)
    axes.text(-0.02, index, "" if spelled == name else spelled, fontsize=7, color=FAINT, ha="right", **at_side)
    axes.text(1.14, index, f"{100 * row.accuracy:.1f} %", fontsize=8.5, color=INK, ha="right", **at_side)
    axes.text(1.17, index, row.percents, fontsize=7.5, color=FAINT, **at_side)
    axes.text(1.58, index, f"{row.correct:,d} of {row.patches:,d}", fontsize=7.5, color=FAINT, ha="right", **at_side)


def _accuracy_cells(row: BandRow) -> list[str]:
    paper = HELBER_2019.get(row.combination.name)
    return [
        row.combination.name,
        f"{100 * row.accuracy:.1f}",
        row.percents,
        str(row.correct),
        str(row.patches),
        "" if paper is None else f"{100 * paper:.2f}",
        " ".join(row.combination.bands),
    ]
