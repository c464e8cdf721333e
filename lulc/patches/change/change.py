"""`lulc patches change`: two dates of one place, their classes, and where these differ.

How sure a change is: with the calibrated probabilities p of both dates, taken as independent, they have different
classes with probability 1 - sum_k p_before(k) p_after(k). Two unsure answers make that large too, so a cell counts as
changed only when its most probable classes differ as well.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lulc.errors import InputError, LimitError, UsageError
from lulc.grid import Grid, Window, map_points
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.staging import check_target
from lulc.io.scene.scene import Scene
from lulc.io.scene.source import Pixels
from lulc.legend import NODATA_CODE
from lulc.model.provenance import compatibility_warnings, provenance
from lulc.patches.cell_map import CellOptions, cells_of
from lulc.patches.cells import Cells, classify_cells
from lulc.patches.change.raster import ChangePlanes, write_change_raster
from lulc.patches.change.report import CellChange, PatchChange, Transition
from lulc.patches.classifier import Classifier
from lulc.patches.image import PatchImage, read_image
from lulc.patches.pixels import level_note
from lulc.run import Progress, running, silent

MIN_CONFIDENCE = 0.8
"""Probability from which a difference counts as change.

0.5 would leave nothing out: over ten classes any two answers that differ reach it. Measured on held-back EuroSAT patches,
one pair in ten of two classes: from 0 to 0.8 false alarms fall from 2.7 to 1.6 % of the unchanged pairs, found changes
from 99.7 to 99.5 %. On the two Australian dates a worse model's false alarms outside the burnt ground all lie below 0.8.
"""

_LARGEST_PATCH_FILE = 32 << 20
_CONTAINERS = {".zip", ".nc", ".img", ".SAFE"}
_TOLERANCE_PX = 0.5
_GDAL_CACHE = 256 << 20


class ChangeOptions(CellOptions):
    """Options of `lulc patches change`: those of `lulc patches predict --grid`, and one more.

    Attributes:
        min_confidence: Probability that both dates have different classes, from which these count as changed.
    """

    min_confidence: float = Field(default=MIN_CONFIDENCE, ge=0, le=1)


class ScenePart(Scene):
    """A window of a scene, as a scene.

    Args:
        scene: The whole; it stays open as long as the part is read.
        window: Inside it.
    """

    def __init__(self, scene: Scene, window: Window) -> None:
        self.__dict__.update(scene.__dict__)
        self.grid, self._corner = scene.grid.part(window), window

    def read(self, names: Sequence[str], window: Window) -> Pixels:
        """As `Scene.read`, the window counted from the part's corner."""
        row, col = window.row + self._corner.row, window.col + self._corner.col
        return super().read(names, Window(row, col, window.height, window.width))


def compare_dates(
    before: Path,
    after: Path,
    output: Path | None = None,
    options: ChangeOptions | None = None,
    *,
    progress: Progress = silent,
) -> PatchChange | CellChange:
    """Compare two dates of one place: two patches, or the cells of two scenes.

    Images smaller than two cells are patches, unless an output, a cell or a step is asked for.

    Args:
        before: Image of the earlier date.
        after: Image of the later date, on the same grid or overlapping.
        output: Raster of the cells, or None.
        options: How; None for the defaults.
        progress: Told (pixels of the scenes done, all).

    Raises:
        LulcError: Input, model or option refused, the two do not show one place, reading or writing failed, or
            Interrupted.
    """
    options = options or ChangeOptions()
    if before.resolve() == after.resolve():
        raise UsageError(f"{before} is given twice", "give the images of two dates")
    if output is not None:
        if output.resolve() in {before.resolve(), after.resolve()}:
            raise UsageError(f"{output} is an input", "choose another name for the raster")
        check_target(output, overwrite=options.overwrite)
    classifier = options.classifier()
    if output is None and options.cell is None and options.step is None:
        images = [_patch(path, options, classifier.card.patch_side) for path in (before, after)]
        if images[0] is not None and images[1] is not None:
            return compare_patches(images[0], images[1], classifier, options.min_confidence)
    with options.open_scene([before]) as first, options.open_scene([after]) as second:
        return compare_scenes(first, second, classifier, options, output, progress)


def compare_patches(
    before: PatchImage, after: PatchImage, classifier: Classifier, min_confidence: float
) -> PatchChange:
    """Class and confidence of two patches, and whether they differ.

    Raises:
        InputError: A band is missing, or they are georeferenced and do not show one place.
    """
    if before.grid.crs is not None and after.grid.crs is not None:
        common_windows(before.grid, after.grid, (before.name, after.name))
    shares = np.stack([classifier.probabilities(classifier.inputs([image]))[0] for image in (before, after)])
    top = shares.argmax(axis=1)
    names = classifier.classes
    return PatchChange(
        names=(before.name, after.name),
        classes=(names[top[0]], names[top[1]]),
        confidences=(float(shares[0].max()), float(shares[1].max())),
        probability=float(probability_of_change(shares[0], shares[1])),
        min_confidence=min_confidence,
    )


def compare_scenes(
    before: Scene,
    after: Scene,
    classifier: Classifier,
    options: ChangeOptions,
    output: Path | None = None,
    progress: Progress = silent,
) -> CellChange:
    """Compare two scenes cell by cell, where both lie.

    Raises:
        LulcError: As for `compare_dates`.
    """
    card, names = classifier.card, (before.info.name, after.info.name)
    windows = common_windows(before.grid, after.grid, names)
    parts = ScenePart(before, windows[0]), ScenePart(after, windows[1])
    cells = cells_of(parts[0], card, options)
    planes = compared_cells(parts, classifier, cells, options.min_confidence, progress)
    if not planes.valid.any():
        raise InputError(f"{names[0]} and {names[1]} have no cell with data in both", "check their nodata values")
    if output is not None:
        tags = change_tags(parts, classifier, cells, options.min_confidence)
        write_change_raster(output, planes, cells.coarse, card.classes, tags, overwrite=options.overwrite)
    found = dict.fromkeys(
        note
        for part in (before, after)
        for note in (*part.warnings, *compatibility_warnings(part, card), *level_note(part.info.level, card))
    )
    return CellChange(
        output="" if output is None else str(output),
        names=names,
        rows=cells.coarse.shape.height,
        columns=cells.coarse.shape.width,
        cell=cells.cell,
        step=cells.step,
        transitions=transitions(planes, cells, card.classes.names),
        min_confidence=options.min_confidence,
        warnings=tuple(found),
    )


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
    height, width = _sides(second)
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


def probability_of_change(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability that two dates have different classes: float32 (...) of probabilities (..., K)."""
    different: NDArray[np.float32] = (1 - (before * after).sum(axis=-1)).astype(np.float32)
    return different


def compared_cells(
    parts: tuple[Scene, Scene],
    classifier: Classifier,
    cells: Cells,
    min_confidence: float,
    progress: Progress = silent,
) -> ChangePlanes:
    """Classes of every cell at both dates, how sure they are, and whether they differ.

    Args:
        parts: Two scenes of one shape.
        classifier: The model.
        cells: How both are cut.
        min_confidence: Probability from which a difference counts.
        progress: Told (pixels of the scenes done, all).

    Raises:
        LulcError: A band is missing, a scene cannot be read, or Interrupted.
    """
    shape, full = cells.coarse.shape, cells.grid.shape
    codes = np.full((2, shape.height, shape.width), NODATA_CODE, np.uint8)
    sure, probability = np.zeros(codes.shape, np.float32), np.zeros(codes.shape[1:], np.float32)
    rows = zip(*(classify_cells(part, classifier, cells) for part in parts), strict=True)
    with gdal_cache(_GDAL_CACHE), running(progress) as run:
        for (row, before, has_before), (_, after, has_after) in rows:
            valid = has_before & has_after
            for date, shares in enumerate((before, after)):
                codes[date, row, valid] = shares[valid].argmax(axis=1) + 1
                sure[date, row, valid] = shares[valid].max(axis=1)
            probability[row, valid] = probability_of_change(before[valid], after[valid])
            run.tick(min((row + 1) * cells.step, full.height) * full.width, full.size)
    changed = (codes[0] != codes[1]) & (probability >= min_confidence)
    return ChangePlanes(codes[0], codes[1], sure[0], sure[1], probability, changed)


def transitions(planes: ChangePlanes, cells: Cells, names: Sequence[str]) -> tuple[Transition, ...]:
    """Pairs of classes that occur: those with most changed cells first, then the unchanged ones."""
    areas = cells.areas_ha()
    found = []
    for before, after in {*zip(planes.before[planes.valid].tolist(), planes.after[planes.valid].tolist(), strict=True)}:
        here = (planes.before == before) & (planes.after == after)
        counted = here & planes.changed if before != after else here
        hectares = float(areas[counted].sum())
        found.append(
            Transition(
                before=names[before - 1],
                after=names[after - 1],
                cells=int(here.sum()),
                changed=int((here & planes.changed).sum()),
                hectares=hectares if np.isfinite(hectares) else None,
                probability=float(planes.probability[here].mean()),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.changed, one.before == one.after, -one.cells, one.before)))


def change_tags(
    parts: tuple[Scene, Scene], classifier: Classifier, cells: Cells, min_confidence: float
) -> dict[str, str]:
    """Provenance of a raster: of the earlier date, with that of the later one beside it."""
    before, after = (provenance(part, classifier.card) for part in parts)
    later = {f"{name}_AFTER": value for name, value in after.items() if name.startswith("LULC_INPUT")}
    return {
        **before,
        **later,
        "LULC_KIND": "change",
        "LULC_CELL": str(cells.cell),
        "LULC_STEP": str(cells.step),
        "LULC_MIN_CONFIDENCE": f"{min_confidence:g}",
    }


def _patch(path: Path, options: ChangeOptions, side: int) -> PatchImage | None:
    """An image that is one patch; None for a scene."""
    if path.is_dir() or not path.exists() or path.stat().st_size > _LARGEST_PATCH_FILE or path.suffix in _CONTAINERS:
        return None
    try:
        image = read_image(path, options.bands)
    except LimitError:
        return None
    return image if max(image.values.shape[1:]) < 2 * side else None


def _sides(grid: Grid) -> tuple[int, int]:
    return grid.shape.height, grid.shape.width
