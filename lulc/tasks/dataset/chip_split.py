"""Assign each chip to a split, by blocks of ground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.footprints import Footprints
from lulc.split import stratified_split
from lulc.tasks.dataset.chip_plan import ChipPlan
from lulc.tasks.dataset.options import PrepareOptions


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
