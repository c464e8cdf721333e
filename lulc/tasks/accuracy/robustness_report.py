"""The report of how much classes change when a scene changes and its ground does not, as JSON and as Markdown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lulc.io.report.markdown import NONE, Blocks, markdown_table, number, page
from lulc.io.report.writer import FileWriter, plain
from lulc.legend import Legend
from lulc.metrics.confusion import ConfusionMatrix, defined_mean
from lulc.model.receptive_field import ReceptiveField
from lulc.tasks.accuracy.agreement_report import PICTURES

SEASON = "season"
"""Name of the change from one date to another."""

CAVEAT = (
    "This is robustness, not accuracy: classes may stay the same and be wrong. Between seasons the ground itself changes "
    "too, and some classes with it."
)
"""Said in every output."""

_SHARE = ".4f"


@dataclass(frozen=True, slots=True)
class TriedScene:
    """A scene that was tried.

    Attributes:
        scene: Its path, as given.
        level: Product level; empty when it does not say.
        acquired: Date or time; empty when it does not say.
        windows: Sample windows with data.
    """

    scene: str
    level: str
    acquired: str
    windows: int


@dataclass(frozen=True, slots=True)
class Flip:
    """Two classes that take each other's place most often.

    Attributes:
        classes: Their names.
        pixels: Pixels that are of the one before and of the other after, either way round.
    """

    classes: tuple[str, str]
    pixels: int

    @classmethod
    def json_of(cls, matrix: ConfusionMatrix) -> dict[str, Any] | None:
        """The commonest of a matrix in JSON types."""
        flip = cls.commonest(matrix)
        return asdict(flip) if flip else None

    @classmethod
    def commonest(cls, matrix: ConfusionMatrix) -> "Flip | None":
        """The commonest of a matrix; None where every pixel keeps its class."""
        between = np.triu(matrix.counts + matrix.counts.T, k=1)
        if not between.any():
            return None
        one, other = np.unravel_index(int(between.argmax()), between.shape)
        return cls((matrix.names[one], matrix.names[other]), int(between[one, other]))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Classes of the same ground, seen twice.

    Attributes:
        change: What differs.
        scenes: Path of the scene; of both for two dates.
        matrix: Pixels by class as the scene is (rows) and as it is changed (columns), or of both dates.
    """

    change: str
    scenes: tuple[str, ...]
    matrix: ConfusionMatrix

    @property
    def kept(self) -> float:
        """Share of the pixels that keep their class; NaN without pixels."""
        return self.matrix.overall

    @property
    def title(self) -> str:
        """File name of the scene, or of both."""
        return " and ".join(Path(scene).name for scene in self.scenes)

    def to_json(self) -> dict[str, Any]:
        """JSON types, with counts by class."""
        return {
            "change": self.change,
            "scenes": self.scenes,
            "kept": self.kept,
            "pixels": self.matrix.total,
            "commonest_flip": Flip.json_of(self.matrix),
            "confusion": {"rows": "before", "columns": "after", "counts": self.matrix.counts},
        }


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """One change over all scenes.

    Attributes:
        comparisons: One of each scene, or pair of scenes.
    """

    comparisons: tuple[Comparison, ...]

    @property
    def mean(self) -> float:
        """Mean share of pixels that keep their class, each scene with one vote."""
        return defined_mean(np.array([each.kept for each in self.comparisons]))

    @property
    def worst(self) -> Comparison:
        """Where the smallest share keeps its class."""
        return min(self.comparisons, key=lambda each: each.kept if each.matrix.total else 1.0)

    @property
    def matrix(self) -> ConfusionMatrix:
        """Pixels of all scenes."""
        first, *others = (each.matrix for each in self.comparisons)
        return sum(others, first)

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "change": self.comparisons[0].change,
            "mean_kept": self.mean,
            "worst_kept": self.worst.kept,
            "worst_scenes": self.worst.scenes,
            "pixels": self.matrix.total,
            "commonest_flip": Flip.json_of(self.matrix),
        }


@dataclass(frozen=True, slots=True)
class RobustnessReport:
    """A model on scenes that change while their ground does not.

    Attributes:
        model: Name and version.
        legend: Its classes.
        field: Receptive field of its network.
        window: Side of a sample window, pixels.
        scenes: What was tried.
        comparisons: Of each scene and change, then of each pair of dates.
        not_measured: Changes that could not be shown, with the reason.
        notes: Remarks for the reader.
        seconds: Wall time.
    """

    model: str
    legend: Legend
    field: ReceptiveField
    window: int
    scenes: tuple[TriedScene, ...]
    comparisons: tuple[Comparison, ...]
    not_measured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def changes(self) -> dict[str, ChangeSummary]:
        """Each change over all scenes, by its name."""
        names = dict.fromkeys(each.change for each in self.comparisons)
        return {name: ChangeSummary(tuple(each for each in self.comparisons if each.change == name)) for name in names}

    def to_json(self) -> dict[str, Any]:
        """JSON types; what is not defined is None."""
        table = {
            "kind": "robustness",
            "model": self.model,
            "legend": self.legend.name,
            "classes": self.legend.names,
            "window": self.window,
            "stride": self.field.stride,
            "half_receptive_field": self.field.half_field if self.field.bounded else None,
            "changes": [change.to_json() for change in self.changes.values()],
            "scenes": [asdict(scene) for scene in self.scenes],
            "comparisons": [each.to_json() for each in self.comparisons],
            "not_measured": self.not_measured,
            "notes": [CAVEAT, *self.notes],
            "seconds": round(self.seconds, 3),
        }
        return plain(table)

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        return page(*(part(self) for part in (_head, _changes, _scenes, _seasons, _not_measured)))

    def pictures(self) -> dict[str, FileWriter | None]:
        """None; those of a former report go."""
        return dict.fromkeys(PICTURES)


def _head(report: RobustnessReport) -> Blocks:
    windows = sum(scene.windows for scene in report.scenes)
    count = f"{len(report.scenes)} scene{'s' if len(report.scenes) > 1 else ''}"
    reach = f"half the receptive field is {report.field.half_field} px, and windows are read with such a margin"
    unbounded = "the network uses statistics of the whole window, so what is compared depends on its size"
    yield [f"# Robustness of {report.model}"]
    yield ["Share of the pixels that keep their class when the scene changes and its ground does not."]
    yield [
        f"- {count}, {windows} sample windows of {report.window} px; legend {report.legend.name}",
        f"- stride {report.field.stride} px; {reach if report.field.bounded else unbounded}",
        f"- {CAVEAT}",
        *(f"- {note}" for note in report.notes),
    ]


def _changes(report: RobustnessReport) -> Blocks:
    yield ["## Changes"]
    yield _of_one_scene(report) if len(report.scenes) == 1 else _of_several_scenes(report)
    yield [
        "Shift: the image starts so many rows and columns later. Gain: all bands are multiplied. Other level: a clear",
        "atmosphere is put on (L2A) or taken off (L1C). Commonest flip: two classes that take each other's place, and",
        "their part of all pixels.",
    ]


def _of_one_scene(report: RobustnessReport) -> list[str]:
    rows = [[each.change, *_cells(each.matrix)] for each in report.comparisons]
    return markdown_table(["change", "kept", "pixels", "commonest flip"], rows)


def _of_several_scenes(report: RobustnessReport) -> list[str]:
    rows = []
    for name, change in report.changes.items():
        _, pixels, flip = _cells(change.matrix)
        worst = (number(change.worst.kept, _SHARE), change.worst.title)
        rows.append([name, number(change.mean, _SHARE), *worst, pixels, flip])
    return markdown_table(["change", "kept, mean", "kept, worst", "worst scene", "pixels", "commonest flip"], rows)


def _scenes(report: RobustnessReport) -> Blocks:
    if len(report.scenes) == 1:
        return
    names = [name for name in report.changes if name != SEASON]
    kept = {(each.scenes, each.change): number(each.kept, _SHARE) for each in report.comparisons}
    rows = [
        [Path(tried.scene).name, tried.level or NONE, *(kept.get(((tried.scene,), name), NONE) for name in names)]
        for tried in report.scenes
    ]
    yield ["## Kept, by scene"]
    yield markdown_table(["scene", "level", *names], rows)


def _seasons(report: RobustnessReport) -> Blocks:
    pairs = [each for each in report.comparisons if each.change == SEASON]
    if not pairs:
        return
    dates = {tried.scene: tried.acquired for tried in report.scenes}
    rows = [[_span(each.scenes, dates), *_cells(each.matrix)] for each in pairs]
    yield ["## Kept, by pair of dates"]
    yield markdown_table(["dates", "kept", "pixels", "commonest flip"], rows)


def _span(scenes: Sequence[str], dates: dict[str, str]) -> str:
    return " and ".join(dates[scene] for scene in scenes)


def _cells(matrix: ConfusionMatrix) -> tuple[str, str, str]:
    return number(matrix.overall, _SHARE), f"{matrix.total:,}", _flip(matrix)


def _flip(matrix: ConfusionMatrix) -> str:
    flip = Flip.commonest(matrix)
    return f"{' / '.join(flip.classes)} {number(flip.pixels / matrix.total, _SHARE)}" if flip else NONE


def _not_measured(report: RobustnessReport) -> Blocks:
    if report.not_measured:
        yield ["## Not measured"]
        yield [f"- {reason}" for reason in report.not_measured]
