"""`lulc patches predict --grid`: a scene in, a coarse map of its cells out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.figures.quicklook import quicklook_of
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.outputs import check_outputs
from lulc.io.files.paths import AnyPath, AnyPaths, as_path, as_paths
from lulc.io.product.areas import EDGE_TAG, ClassArea, class_areas, edge_tag
from lulc.io.product.bands import ACTIVATION_SCALE, ExtraBand
from lulc.io.product.rounding import product_bytes
from lulc.io.product.writer import ProductWriter
from lulc.io.scene.scene import Scene
from lulc.legend import NODATA_CODE
from lulc.model.provenance import compatibility_warnings, provenance
from lulc.patches.card import PatchCard
from lulc.patches.cells import CellRow, Cells, classify_cells
from lulc.patches.classifier import Classifier
from lulc.patches.distribution import unlike_warning
from lulc.patches.options import CellOptions
from lulc.patches.pixels import level_note
from lulc.run import Progress, running, silent

NOTHING_KEPT = "nothing was written; run the same command again"
"""What to do after an interruption."""

_GDAL_CACHE = 256 << 20
_STEPS = round(1 / ACTIVATION_SCALE)


@dataclass(frozen=True, slots=True)
class CellReport:
    """Result of `lulc patches predict --grid`.

    Attributes:
        output: Path of the map.
        rows: Rows of the map.
        columns: Columns of the map.
        cell: Side of a cell, pixels of the scene.
        step: Pixels of the scene that one pixel of the map covers along a side.
        classes: Cells and hectares of each class, as counted.
        mean_confidence: Mean of the largest probability over cells with data, 0..1.
        ood_fraction: Fraction of the cells with data whose OOD score is above 1: they are unlike the training patches.
            None when the model does not know the scores.
        warnings: Warnings about the scene and its cells.
    """

    output: str
    rows: int
    columns: int
    cell: int
    step: int
    classes: tuple[ClassArea, ...]
    mean_confidence: float
    ood_fraction: float | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_text(self) -> str:
        """Text lines."""
        size = f"{self.rows} x {self.columns} cells of {self.cell} px, one every {self.step} px"
        unlike = "" if self.ood_fraction is None else f", {self.ood_fraction:.1%} with an OOD score above 1"
        lines = [f"{self.output}: {size}, mean confidence {self.mean_confidence:.2f}{unlike}"]
        width = max(len(entry.name) for entry in self.classes)
        for entry in self.classes:
            area = "" if entry.hectares is None else f"  {entry.hectares:>12,.1f} ha as counted"
            lines.append(f"  {entry.name:{width}}  {entry.pixels:>8,d} cells  {entry.share:6.1%}{area}")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def classify_grid(
    inputs: AnyPaths,
    output: AnyPath,
    options: CellOptions | None = None,
    *,
    quicklook: AnyPath | None = None,
    progress: Progress = silent,
) -> CellReport:
    """Classify every cell of a scene into a product: class codes, then one activation per class.

    Args:
        inputs: One scene, or several files that are stacked.
        output: Product to write (uint8, 255 nodata); each pixel covers `step` x `step` pixels of the scene.
        options: See `CellOptions`; None for the defaults.
        quicklook: PNG to write beside the product, or None.
        progress: Called with the pixels of the scene done and in all.

    Raises:
        InputError: The scene is refused, or no cell has data.
        ModelError: The model is refused, or gives values that are not finite.
        UsageError: An option is refused.
        StorageError: Reading or writing failed, or the output exists. Nothing is left behind.
        Interrupted: A signal came. Nothing is left behind.
    """
    inputs, output = as_paths(inputs), as_path(output)
    quicklook = None if quicklook is None else as_path(quicklook)
    options = options or CellOptions()
    check_outputs([path for path in (output, quicklook) if path is not None], inputs, overwrite=options.overwrite)
    classifier = options.classifier()
    card = classifier.card
    with options.open_scene(inputs) as scene:
        scene.check_reflectance()
        cells = cells_of(scene, card, options)
        notes = level_note(scene.info.level, card)
        with running(progress, NOTHING_KEPT) as run:
            written = write_cells(scene, output, classifier, cells, run.tick, notes=notes, overwrite=options.overwrite)
        areas = class_areas(output)
        if quicklook is not None:
            quicklook_of(output, scene, quicklook, {entry.name: entry.hectares for entry in areas})
        coarse = cells.coarse.shape
        return CellReport(
            output=str(output),
            rows=coarse.height,
            columns=coarse.width,
            cell=cells.cell,
            step=cells.step,
            classes=areas,
            mean_confidence=written.mean_confidence,
            ood_fraction=written.ood_fraction,
            warnings=(*warnings_of(scene, card), *written.warnings),
        )


@dataclass(frozen=True, slots=True)
class WrittenCells:
    """What was found while a map of cells was written.

    Attributes:
        mean_confidence: Mean of the largest probability over cells with data, 0..1.
        ood_fraction: Fraction of these cells with an OOD score above 1; None when the model does not know the scores.
        warnings: A warning when many cells are unlike the training patches.
    """

    mean_confidence: float
    ood_fraction: float | None
    warnings: tuple[str, ...]


def warnings_of(scene: Scene, card: PatchCard) -> tuple[str, ...]:
    """Warnings about a scene and the model that classifies it."""
    return (*scene.warnings, *compatibility_warnings(scene, card), *level_note(scene.info.level, card))


def write_cells(
    scene: Scene,
    output: Path,
    classifier: Classifier,
    cells: Cells,
    tick: Progress,
    *,
    part: Window | None = None,
    notes: Sequence[str] = (),
    overwrite: bool = False,
) -> WrittenCells:
    """Classify the cells of a scene into a product: classes, activations, and the band `ood_score` when it is known.

    The band holds the score up to 1, so that cells with 1 are unlike the training patches.

    Args:
        scene: The scene.
        output: Product to write (uint8, 255 nodata).
        classifier: The model.
        cells: Cells of the scene, or of the part of it.
        tick: Called with the pixels done and in all after each row of cells.
        part: Window of the scene that is classified; None for the whole.
        notes: Remarks for the tag LULC_NOTE.
        overwrite: Replace an existing product.

    Raises:
        InputError: The scene lacks a band, or has no cell with data.
        StorageError: Reading or writing failed.
        Interrupted: A signal came. Nothing is left behind.
    """
    data, found = _classified(scene, classifier, cells, part, tick)
    tags = provenance(scene, classifier.card) | {
        "LULC_KIND": "cells",
        "LULC_CELL": str(cells.cell),
        "LULC_STEP": str(cells.step),
        EDGE_TAG: edge_tag(cells.edge),
        "LULC_ACTIVATIONS": "uint8",
        "LULC_NOTE": "; ".join((*notes, *found.warnings)),
    }
    with ProductWriter(
        output,
        cells.coarse,
        classifier.card.classes,
        tags=tags,
        overwrite=overwrite,
        resume=False,
        inputs=scene.unchanged,
        extra=extra_bands(classifier.card),
    ) as writer:
        writer.put(0, cells.coarse.window, data)
    return found


def extra_bands(card: PatchCard) -> tuple[ExtraBand, ...]:
    """Bands of a map of cells behind the activations."""
    return () if card.distribution is None else (ExtraBand("ood_score", "share", "distance / limit, at most 1"),)


def cells_of(scene: Scene, card: PatchCard, options: CellOptions, part: Window | None = None) -> Cells:
    """Cells of a scene, or of a part of it.

    Raises:
        InputError: The scene has no plain grid, or is smaller than a cell.
        UsageError: The step would leave ground out.
    """
    if scene.grid.gcps or scene.grid.rpcs is not None:
        raise InputError(f"{scene.info.name} is placed by control points or RPCs", "warp it to a grid first")
    side = options.cell or card.patch_side
    return Cells(scene.grid.part(part) if part else scene.grid, side, options.step or side)


def _classified(
    scene: Scene, classifier: Classifier, cells: Cells, part: Window | None, tick: Progress
) -> tuple[NDArray[np.uint8], WrittenCells]:
    """The coarse raster as stored, uint8 (bands, rows, columns), and what was found."""
    card, shape, full = classifier.card, cells.coarse.shape, cells.grid.shape
    data = np.empty((1 + len(card.classes) + len(extra_bands(card)), shape.height, shape.width), np.uint8)
    total, count, unlike = 0.0, 0, 0
    with gdal_cache(_GDAL_CACHE):
        for row in classify_cells(scene, classifier, cells, part):
            data[:, row.number] = _stored(row)
            total += float(row.probabilities[row.valid].max(axis=1, initial=0).sum())
            count += int(row.valid.sum())
            unlike += 0 if row.ood_scores is None else int((row.ood_scores > 1).sum())
            tick(min((row.number + 1) * cells.step, full.height) * full.width, full.size)
    if not count:
        raise InputError(f"{scene.info.name} has no cell with data", "check its nodata value and its bands")
    fraction = None if card.distribution is None else unlike / count
    return data, WrittenCells(total / count, fraction, unlike_warning(unlike, count, card.name, "cells"))


def _stored(row: CellRow) -> NDArray[np.uint8]:
    """A row as stored, uint8 (bands, columns): class, activations, and the OOD score where it is known."""
    bands = product_bytes(row.probabilities.T[:, None], row.valid[None])[:, 0]
    if row.ood_scores is None:
        return bands
    steps = np.where(row.ood_scores > 1, _STEPS, np.minimum(row.ood_scores * _STEPS, _STEPS - 1)).astype(np.uint8)
    return np.vstack([bands, np.where(row.valid, steps, NODATA_CODE)])
