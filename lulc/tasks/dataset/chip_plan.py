"""Plan the chips to cut: their windows, their labelled pixels, which are dropped and why, and the split of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk
from lulc.errors import InputError
from lulc.footprints import Footprints, footprints_of
from lulc.grid import Shape, Window
from lulc.io.labels.labels import Labels
from lulc.io.labels.training_set import label_pixels
from lulc.io.scene.scene import Scene
from lulc.legend import NODATA_CODE
from lulc.split import stratified_split
from lulc.tasks.dataset.label_pairs import Pair, open_pair
from lulc.tasks.dataset.options import PrepareOptions

_STEPS = 250
_MOSTLY = 0.95


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chip that may be cut.

    Attributes:
        source: Index of its pair of scene and labels, from 0.
        window: Window of the scene, pixels.
        pixels: Labelled pixels of each class that are valid in the scene too.
    """

    source: int
    window: Window
    pixels: tuple[int, ...]


@dataclass
class ChipPlan:
    """Chips with enough labels, and those left out.

    Attributes:
        candidates: Chips in order of their sources, row by row.
        footprints: Footprints of the candidates, one entry per source with chips.
        dropped: Number of chips left out, by reason.
        notes: Warnings about the scenes.
    """

    candidates: list[Candidate] = field(default_factory=list)
    footprints: list[Footprints] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def drop(self, reason: str) -> None:
        """Count a chip that is left out for a reason."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def plan_chips(
    pairs: Sequence[Pair],
    options: PrepareOptions,
    crosswalk: Crosswalk,
    between_chips: Callable[[], None] = lambda: None,
) -> ChipPlan:
    """Choose chips from the labels and the valid mask of every possible chip.

    Args:
        pairs: Scenes and their labels.
        options: Side of a chip, pixels, and least fractions of data and labels.
        crosswalk: From the legend of the labels to that of the set.
        between_chips: Called before each chip; may raise to stop.

    Raises:
        InputError: A scene or its labels cannot be used, or no chip has enough labels.
        StorageError: A block cannot be read.
    """
    plan = ChipPlan(notes=[f"{text}: not labelled" for text in crosswalk.undecided])
    for number, pair in enumerate(pairs):
        with open_pair(pair, options) as (scene, labels):
            windows = []
            for window in chip_windows(scene.grid.shape, options.chip):
                between_chips()
                label = read_label(scene, labels, window, crosswalk)
                valid = scene.read(options.bands_of(scene.names, scene.info.name), window)[1]
                label[:, ~valid] = NODATA_CODE
                pixels = label_pixels(label, len(crosswalk.target))
                if valid.mean() < 1 - options.max_nodata:
                    plan.drop(f"more than {options.max_nodata:.0%} without data")
                elif sum(pixels) < options.min_labelled * window.shape.size or not sum(pixels):
                    plan.drop(f"less than {options.min_labelled:.0%} labelled")
                else:
                    windows.append(window)
                    plan.candidates.append(Candidate(number, window, pixels))
            plan.notes += _notes(scene, windows, options.chip)
            if windows:
                plan.footprints.append(footprints_of(scene.grid, windows, number))
    if not plan.candidates:
        reasons = "; ".join(f"{count} chips: {reason}" for reason, count in plan.dropped.items()) or "too small"
        raise InputError(f"no chip can be cut ({reasons})", "check that the labels cover the scenes")
    return plan


def _notes(scene: Scene, windows: Sequence[Window], side: int) -> list[str]:
    """Warnings about a scene without chips, and about ground at its edges outside whole chips."""
    shape = scene.grid.shape
    cut = sum(window.shape.size for window in chip_windows(shape, side))
    notes = [] if windows else [f"{scene.info.name} gives no chip: hardly any of it is labelled"]
    if cut < _MOSTLY * shape.size:
        left = 1 - cut / shape.size
        notes.append(f"{left:.0%} of {scene.info.name} lies in strips at its edges that are narrower than a chip")
    return notes


def chip_windows(shape: Shape, side: int) -> Iterator[Window]:
    """Windows of the whole chips of a scene, row by row; a scene smaller than a chip is one chip.

    Args:
        shape: Rows and columns of the scene.
        side: Side of a chip, pixels.
    """
    height, width = min(side, shape.height), min(side, shape.width)
    for row in range(0, shape.height - height + 1, height):
        for col in range(0, shape.width - width + 1, width):
            yield Window(row, col, height, width)


def read_label(scene: Scene, labels: Labels, window: Window, crosswalk: Crosswalk) -> NDArray[np.uint8]:
    """Read the label of a window as a training set stores it.

    Args:
        scene: Scene that gives the grid.
        labels: Labels of the scene.
        window: Window of the scene, pixels.
        crosswalk: From the legend of the labels to that of the set.

    Returns:
        Codes, uint8 (1, height, width), or class fractions in steps of 1/250, uint8 (K, height, width); 255 where not
        labelled.

    Raises:
        InputError: The labels hold fractions below 0, or values that are in no legend.
        StorageError: A block cannot be read.
    """
    if labels.kind != "shares":
        return crosswalk.relabel(labels.on_grid(scene.grid, window))[None]
    given = labels.shares_on_grid(scene.grid, window)
    if (given < 0).any():
        raise InputError(f"the labels of {scene.info.name} hold shares below 0", "shares are parts of a whole")
    return _rounded(crosswalk.sum_activations(given))


def _rounded(fractions: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round fractions to steps of 1/250 that sum to exactly 250, by largest remainder: uint8, 255 where NaN."""
    known = np.isfinite(fractions).all(axis=0)
    scaled = np.where(known, fractions, 0) * np.float32(_STEPS)
    steps = np.floor(scaled)
    missing = np.where(known, _STEPS - steps.sum(axis=0), 0)
    rank = np.argsort(np.argsort(steps - scaled, axis=0, kind="stable"), axis=0, kind="stable")
    whole: NDArray[np.uint8] = (steps + (rank < missing)).astype(np.uint8)
    whole[:, ~known] = NODATA_CODE
    return whole


def named(pairs: Sequence[Pair]) -> list[str]:
    """A short unique name for each source, fit for file names."""
    names: list[str] = []
    for pair in pairs:
        plain = pair.scene.name.split(".")[0] or "scene"
        stem = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in plain)
        tries = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
        names.append(next(name for name in tries if name not in names))
    return names


@dataclass(frozen=True)
class ChipSplit:
    """Split of each of the n chips of a plan.

    Attributes:
        splits: Index into `SPLITS`, int64 (n,).
        blocks: Index of the block of ground, int64 (n,).
        ground: Footprints of the chips.
        rivals: For chips near a split of higher precedence, the indices of that split's chips, int64, by chip index.
    """

    splits: NDArray[np.int64]
    blocks: NDArray[np.int64]
    ground: Footprints
    rivals: dict[int, NDArray[np.int64]]


def split_chips(plan: ChipPlan, options: PrepareOptions) -> ChipSplit:
    """Split the chips of a plan by blocks of ground.

    Where splits meet, labels of training chips yield to validation and test chips, and labels of validation chips to
    test chips.

    Raises:
        InputError: There are fewer blocks than splits.
    """
    ground = Footprints.joined(plan.footprints)
    blocks = ground.blocks(options.block)
    pixels = np.array([candidate.pixels for candidate in plan.candidates], dtype=np.int64)
    splits = stratified_split(blocks, pixels, options.fractions, options.seed)
    train, val, test = range(3)
    rivals = {
        **ground.neighbours(splits == train, np.isin(splits, (val, test)), options.gap),
        **ground.neighbours(splits == val, splits == test, options.gap),
    }
    return ChipSplit(splits, blocks, ground, rivals)
