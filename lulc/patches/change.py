"""`lulc patches change`: two dates of one place, by the rule of `lulc change`.

Two scenes -> maps of the cells that both show, on one lattice -> lulc.tasks.change; two single patches -> the same rule.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lulc.errors import InputError, UsageError
from lulc.grid import Grid, Window, map_points
from lulc.io.files.storage import storage_errors
from lulc.patches.cell_map import NOTHING_KEPT, cells_of, warnings_of, write_cells
from lulc.patches.distribution import score_text, unlike_note
from lulc.patches.image import read_image
from lulc.patches.options import PatchChangeOptions
from lulc.run import Progress, running, silent
from lulc.tasks.change.change import map_change
from lulc.tasks.change.files import check_change_outputs
from lulc.tasks.change.joint import joint_probability
from lulc.tasks.change.legend import transition_legend
from lulc.tasks.change.pixels import SLACK
from lulc.tasks.change.report import ChangeReport

_log = logging.getLogger(__name__)

_TOLERANCE_PX = 0.5


@dataclass(frozen=True, slots=True)
class PatchChange:
    """Two single patches.

    Attributes:
        names: The files.
        classes: Most probable class of each.
        confidences: Its calibrated probability.
        ood_scores: Out-of-distribution score of each, above 1 unlike the training patches; None when not known.
        notes: Sentences on patches that are unlike the training patches.
        probability: That the class has changed, by the joint probability of `lulc change`.
        threshold: From which they count as changed.
    """

    names: tuple[str, str]
    classes: tuple[str, str]
    confidences: tuple[float, float]
    ood_scores: tuple[float | None, float | None]
    notes: tuple[str, ...]
    probability: float
    threshold: float

    @property
    def changed(self) -> bool:
        """True when change is probable enough."""
        return self.probability >= self.threshold - SLACK

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        dates = zip(self.names, self.classes, self.confidences, self.ood_scores, strict=True)
        before, after = (
            {"name": name, "class": each, "confidence": round(sure, 4)} | _plain_score(score)
            for name, each, sure, score in dates
        )
        return {
            "before": before,
            "after": after,
            "notes": list(self.notes),
            "probability_of_change": round(self.probability, 4),
            "threshold": self.threshold,
            "changed": self.changed,
        }

    def to_text(self) -> str:
        """Three lines, and one more for each note."""
        dates = zip(("before", "after"), self.names, self.classes, self.confidences, self.ood_scores, strict=True)
        lines = [f"{date:6}  {name}: {each} {sure:.1%}{score_text(score)}" for date, name, each, sure, score in dates]
        lines += [f"  note: {note}" for note in self.notes]
        verdict = "changed" if self.changed else "not changed"
        return "\n".join(
            [*lines, f"{verdict}: probability of change {self.probability:.3f}, threshold {self.threshold:g}"]
        )


def compare_patches(before: Path, after: Path, options: PatchChangeOptions | None = None) -> PatchChange:
    """Class and confidence of two single patches, and whether it has changed.

    Args:
        before: Image of the earlier date: JPEG, PNG or GeoTIFF.
        after: Image of the later date.
        options: How; None for the defaults. Those of maps do not count.

    Raises:
        LulcError: An image, the model or an option is refused, or both images are georeferenced and do not overlap.
    """
    options = options or PatchChangeOptions()
    _check_two(before, after)
    classifier = options.classifier()
    images = [read_image(path, options.bands) for path in (before, after)]
    if any(max(image.values.shape[1:]) >= 2 * classifier.card.patch_side for image in images):
        raise UsageError(f"{before} and {after} are larger than two patches", "give OUT.tif to compare their cells")
    names = (images[0].name, images[1].name)
    if all(image.grid.crs is not None for image in images):
        common_windows(images[0].grid, images[1].grid, names)
    dates = np.stack([classifier.probabilities(classifier.inputs([image]))[0] for image in images])
    scores = [classifier.ood_score(image) for image in images]
    top = [classifier.classes[index] for index in dates.argmax(axis=1)]
    return PatchChange(
        names=names,
        classes=(top[0], top[1]),
        confidences=(float(dates[0].max()), float(dates[1].max())),
        ood_scores=(scores[0], scores[1]),
        notes=tuple(_notes(names, scores, classifier.card.name)),
        probability=float(joint_probability(dates[0][:, None], dates[1][:, None], options.change_rate).change()[0]),
        threshold=options.threshold,
    )


def _plain_score(score: float | None) -> dict[str, float]:
    return {} if score is None else {"ood_score": round(score, 4)}


def _notes(names: Sequence[str], scores: Sequence[float | None], model: str) -> Iterator[str]:
    """Sentences on patches that are unlike the training patches."""
    for name, score in zip(names, scores, strict=True):
        yield from (f"{name} is {note}" for note in unlike_note(score, model))


def compare_scenes(
    before: Path,
    after: Path,
    output: Path,
    options: PatchChangeOptions | None = None,
    *,
    folder: Path | None = None,
    progress: Progress = silent,
) -> ChangeReport:
    """Write a map of what the cells of two scenes became, as `lulc change` does of any two maps.

    Args:
        before: Scene of the earlier date.
        after: Scene of the later date, on the same grid or overlapping.
        output: The change map; its pixels are cells of the ground that both scenes show.
        options: How; None for the defaults.
        folder: Where the report is written; None writes none.
        progress: Called with the pixels of both scenes done and in all.

    Raises:
        LulcError: Input, model or option refused, the two do not overlap, reading or writing failed, or
            Interrupted.
    """
    options = options or PatchChangeOptions()
    _check_two(before, after)
    check_change_outputs(output, folder, [before, after], overwrite=options.overwrite)
    classifier = options.classifier()
    if options.to is None:
        transition_legend(classifier.card.classes)  # too many classes are refused before the work
    with (
        running(progress, NOTHING_KEPT) as run,
        options.open_scene([before]) as first,
        options.open_scene([after]) as second,
        _beside(output) as work,
    ):
        parts = common_windows(first.grid, second.grid, (first.info.name, second.info.name))
        cells = cells_of(first, classifier.card, options, parts[0])
        if cells.grid.crs is None:
            raise InputError(f"{before} and {after} do not say where they lie", "give georeferenced scenes")
        maps = work / "before.tif", work / "after.tif"
        for number, (scene, path, part) in enumerate(zip((first, second), maps, parts, strict=True)):

            def tick(done: int, whole: int, former: int = number) -> None:
                run.tick(former * whole + done, 2 * whole)

            notes = warnings_of(scene, classifier.card)
            written = write_cells(scene, path, classifier, cells, tick, part=part, notes=notes)
            for warning in written.warnings:
                _log.warning("%s: %s", scene.info.name, warning)
        return map_change(*maps, output, options, named=(before, after), folder=folder)


def common_windows(first: Grid, second: Grid, names: tuple[str, str]) -> tuple[Window, Window]:
    """The part of two grids that both cover, as windows of each, to the nearest pixel.

    Args:
        first: Grid of the earlier date.
        second: Grid of the later date.
        names: What to call them.

    Raises:
        InputError: They differ in CRS, pixel size or direction, do not overlap, or say nothing of where they lie and
            differ in size.
    """
    both = f"{names[0]} and {names[1]}"
    remedy = "bring them to one grid first, such as with gdalwarp"
    if first.same_as(second):
        return first.window, second.window
    if first.crs is None and second.crs is None:
        raise InputError(f"{both} are not georeferenced and differ in size or grid", "give images of one grid")
    if first.crs != second.crs or first.gcps or second.gcps:
        raise InputError(f"{both} have different CRS", remedy)
    height, width = second.shape.height, second.shape.width
    columns, rows = np.array([0, width, 0]), np.array([0, 0, height])
    moved_columns, moved_rows = map_points(~first.transform, *map_points(second.transform, columns, rows))
    col, row = round(moved_columns[0]), round(moved_rows[0])
    bent = np.abs([moved_columns - moved_columns[0] - columns, moved_rows - moved_rows[0] - rows])
    if bent.max() > _TOLERANCE_PX:
        raise InputError(f"{both} have pixels of different size or direction", remedy)
    common = first.window.intersection(Window(row, col, height, width))
    if not common.shape.size:
        raise InputError(f"{both} do not overlap", "give two images of one place")
    return common, Window(common.row - row, common.col - col, common.height, common.width)


def _check_two(before: Path, after: Path) -> None:
    if before.resolve() == after.resolve():
        raise UsageError(f"{before} is given twice", "give the images of two dates")


@contextmanager
def _beside(output: Path) -> Iterator[Path]:
    """A hidden folder beside an output for what it is made of; it goes whatever happens."""
    with storage_errors(output):
        folder = tempfile.TemporaryDirectory(prefix=f".{output.stem}.", dir=output.parent, ignore_cleanup_errors=True)
    with folder as work:
        yield Path(work)
