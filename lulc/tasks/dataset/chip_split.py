"""Which split each chip goes to, by blocks of ground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.footprints import Footprints
from lulc.split import stratified_split
from lulc.tasks.dataset.chip_plan import ChipPlan
from lulc.tasks.dataset.options import PrepareOptions


@dataclass(frozen=True)
class ChipSplit:
    """Which split each chip of a plan goes to.

    Attributes:
        splits: Index into `SPLITS`: int64 (n,).
        blocks: Block of ground: int64 (n,).
        ground: Where the chips lie.
        rivals: For chips near a split that comes before theirs, the chips of that split.
    """

    splits: NDArray[np.int64]
    blocks: NDArray[np.int64]
    ground: Footprints
    rivals: dict[int, NDArray[np.int64]]


def split_chips(plan: ChipPlan, options: PrepareOptions) -> ChipSplit:
    """Split the chips of a plan by blocks of ground.

    Where splits meet, labels of training chips give way to validation and test chips, and those of validation chips to
    test chips.

    Raises:
        InputError: Too few blocks.
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
