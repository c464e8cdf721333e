"""A scene as a raster of cells: every cell classified as a patch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lulc.errors import InputError, UsageError
from lulc.grid import Grid, Window
from lulc.io.scene import Scene
from lulc.patches.classifier import AT_ONCE, Classifier
from lulc.patches.pixels import as_trained
from lulc.training.samples import read_ahead

LEAST_VALID = 0.5
"""A cell with less of its pixels valid has no class."""


@dataclass(frozen=True, slots=True)
class Cells:
    """How a scene is cut into cells.

    The class of a pixel of the coarse grid is that of the cell centred on it; at the scene's edges the cell is moved
    inwards, so that it never reaches beyond.

    Attributes:
        grid: Of the scene.
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
        """The grid of the answers."""
        return self.grid.coarser(self.step)

    def starts(self, length: int) -> NDArray[np.int64]:
        """First pixel of every cell along a side of the scene."""
        first = np.arange(-(-length // self.step)) * self.step + (self.step - self.cell) // 2
        return np.clip(first, 0, length - self.cell)


def classify_cells(
    scene: Scene, classifier: Classifier, cells: Cells, workers: int = 1
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.bool_]]]:
    """Rows of the coarse grid: number, probabilities float32 (columns, K), and whether each has data (columns,).

    A row is read as one strip of the scene; memory does not grow with the scene's height.

    Raises:
        InputError: The scene lacks a band of the model, or is of another kind than it was trained on.
        StorageError: It cannot be read.
    """
    card = classifier.card
    bands = card.features.bands
    missing = [name for name in bands if name not in scene.names]
    if missing:
        raise InputError(
            f"{scene.info.name} lacks {', '.join(missing)}: it has {', '.join(scene.names)}",
            "give a scene with these bands, or name its bands with --bands",
        )
    picture, info = scene.dtype == np.uint8, scene.info
    rows, columns = cells.starts(scene.grid.shape.height), cells.starts(scene.grid.shape.width)

    def read(number: int) -> NDArray[np.float32]:
        strip = Window(int(rows[number]), 0, cells.cell, scene.grid.shape.width)
        return as_trained(scene.reflectance(bands, strip), card, picture=picture, level=info.level, name=info.name)

    for number, strip in enumerate(read_ahead(read, range(len(rows)), workers)):
        probabilities, valid = _classified(strip, columns, classifier, cells.cell)
        yield number, probabilities, valid


def _classified(
    strip: NDArray[np.float32], columns: NDArray[np.int64], classifier: Classifier, cell: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    views = np.lib.stride_tricks.sliding_window_view(strip, cell, axis=2)[:, :, columns]  # (bands, cell, columns, cell)
    covered = np.isfinite(views[0]).mean(axis=(0, 2)) >= LEAST_VALID
    probabilities = np.zeros((len(columns), len(classifier.classes)), np.float32)
    wanted = np.flatnonzero(covered)
    for start in range(0, len(wanted), AT_ONCE):
        chosen = wanted[start : start + AT_ONCE]
        patches = np.ascontiguousarray(views[:, :, chosen].transpose(2, 0, 1, 3))
        inputs = classifier.channels(_sized(patches, classifier.card.patch_side))
        probabilities[chosen] = classifier.probabilities(inputs)
    return probabilities, covered


def _sized(patches: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Patches at the side that the model was trained on; what lacks data spoils what it takes part in."""
    if patches.shape[-1] == side:
        return patches
    sized: NDArray[np.float32] = functional.interpolate(
        torch.from_numpy(patches), (side, side), mode="bilinear", antialias=True
    ).numpy()
    return sized
