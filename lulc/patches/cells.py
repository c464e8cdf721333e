"""A scene as a raster of cells: every cell classified as a patch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lulc.bands import check_bands
from lulc.errors import InputError, UsageError
from lulc.grid import Grid, Window
from lulc.io.scene.scene import Scene
from lulc.patches.classifier import AT_ONCE, Classifier
from lulc.patches.pixels import LEAST_VALID, as_trained, resized
from lulc.threads import in_order

_MOST_BYTES = 64 << 20
"""Largest copy of cells that is made at once."""


@dataclass(frozen=True, slots=True)
class Cells:
    """How a scene is cut into cells.

    The class of a pixel of the coarse grid is that of the cell centred on it; at the scene's edges the cell is moved
    inwards, so that it never reaches beyond.

    Attributes:
        grid: Of the scene, or of the part of it that is cut.
        cell: Side of a cell, pixels.
        step: Distance of cells, pixels; the side of a pixel of the coarse grid.

    Raises:
        UsageError: A step larger than the cell, which would leave ground out.
        InputError: The scene is smaller than a cell.
    """

    grid: Grid
    cell: int
    step: int

    def __post_init__(self) -> None:
        if not 1 <= self.step <= self.cell:
            raise UsageError(f"--step {self.step} is not in 1..{self.cell}", "cells must touch: use --cell at most")
        if min(self.grid.shape.height, self.grid.shape.width) < self.cell:
            height, width = self.grid.shape.height, self.grid.shape.width
            raise InputError(f"the scene is {height} x {width} px", f"a cell takes {self.cell}; use a smaller --cell")

    @property
    def coarse(self) -> Grid:
        """The grid of the predictions."""
        return self.grid.coarser(self.step)

    @property
    def edge(self) -> tuple[float, float]:
        """How much of the last row and of the last column of the coarse grid lies inside the scene, 0..1."""
        coarse, shape = self.coarse.shape, self.grid.shape
        tall, wide = (
            (side - self.step * (count - 1)) / self.step
            for side, count in ((shape.height, coarse.height), (shape.width, coarse.width))
        )
        return tall, wide

    def starts(self, length: int) -> NDArray[np.int64]:
        """First pixel of every cell along a side of the scene."""
        first = np.arange(-(-length // self.step)) * self.step + (self.step - self.cell) // 2
        return np.clip(first, 0, length - self.cell)


class CellRow(NamedTuple):
    """Predictions of one row of the coarse grid.

    Attributes:
        number: Row, from 0.
        probabilities: float32 (columns, K), 0 where there is no data.
        valid: Which cells have data: bool (columns,).
        ood_scores: Out-of-distribution scores: float64 (columns,), 0 where there is no data; None when the model does not
            know them.
    """

    number: int
    probabilities: NDArray[np.float32]
    valid: NDArray[np.bool_]
    ood_scores: NDArray[np.float64] | None


def classify_cells(scene: Scene, classifier: Classifier, cells: Cells, part: Window | None = None) -> Iterator[CellRow]:
    """Predictions row by row of the coarse grid.

    A row is read as one strip of the scene, of narrow scenes several rows at once; memory does not grow with the scene's
    height.

    Args:
        scene: What is classified.
        classifier: The model.
        cells: How it is cut.
        part: Of the scene, as large as the grid of the cells; None for the whole scene.

    Raises:
        InputError: The scene lacks a band of the model, or is of another kind than it was trained on.
        StorageError: It cannot be read.
    """
    card = classifier.card
    bands = card.features.bands
    remedy = "give a scene with these bands, or name its bands with --bands"
    check_bands(scene.info.name, bands, scene.names, remedy)
    picture, info = scene.dtype == np.uint8, scene.info
    part = part or scene.grid.window
    rows, columns = cells.starts(part.height), cells.starts(part.width)

    def read(number: int) -> NDArray[np.float32]:
        strip = Window(part.row + int(rows[number]), part.col, cells.cell, part.width)
        return as_trained(scene.reflectance(bands, strip), card, picture=picture, level=info.level, name=info.name)

    together = max(1, AT_ONCE // len(columns))
    strips = in_order(read, range(len(rows)), readers=1)
    for first in range(0, len(rows), together):
        group = list(islice(strips, together))
        probabilities, valid, scores = _classified(group, columns, classifier, cells.cell)
        for row in range(len(group)):
            yield CellRow(first + row, probabilities[row], valid[row], None if scores is None else scores[row])


def _classified(
    strips: Sequence[NDArray[np.float32]], columns: NDArray[np.int64], classifier: Classifier, cell: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64] | None]:
    """Probabilities (rows, columns, K) of the cells of some strips, which have data, and OOD scores (rows, columns)."""
    covered = np.stack([_valid_fraction(strip, columns, cell) >= LEAST_VALID for strip in strips])
    probabilities = np.zeros((*covered.shape, len(classifier.classes)), np.float32)
    scores = None if classifier.card.distribution is None else np.zeros(covered.shape)
    wanted = np.argwhere(covered)
    at_once = max(1, min(AT_ONCE, _MOST_BYTES // (4 * len(strips[0]) * cell**2)))
    for start in range(0, len(wanted), at_once):
        chosen = wanted[start : start + at_once]
        patches = np.stack([strips[row][:, :, columns[column] : columns[column] + cell] for row, column in chosen])
        if cell != classifier.card.patch_side:
            patches = resized(patches, classifier.card.patch_side)
        probabilities[tuple(chosen.T)] = classifier.probabilities(classifier.channels(patches))
        if scores is not None:
            scores[tuple(chosen.T)] = classifier.card.ood_scores(patches)
    return probabilities, covered, scores


def _valid_fraction(strip: NDArray[np.float32], columns: NDArray[np.int64], cell: int) -> NDArray[np.float64]:
    """Fraction of the pixels of each cell that have data: float64 (columns,)."""
    counts = np.concatenate([[0], np.isfinite(strip[0]).sum(axis=0).cumsum()])
    fractions: NDArray[np.float64] = (counts[columns + cell] - counts[columns]) / cell**2
    return fractions
