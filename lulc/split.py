"""Splitting chips by place: whole blocks of ground go to one split, with a gap between splits.

Neighbouring pixels are alike; chips drawn at random would put the same field into training and validation.
"""

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError

SPLITS = ("train", "val", "test")
"""Names of the splits, in the order of their fractions."""


def stratified_split(
    blocks: NDArray[np.int64], class_pixels: NDArray[np.int64], fractions: tuple[float, ...], seed: int
) -> NDArray[np.int64]:
    """Split of each chip, as an index into `SPLITS`: int64 (n,); all chips of a block share one.

    Iterative stratification (Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10) over blocks: the rarest class is
    dealt out first, each time to the split that lacks it most.

    Args:
        blocks: Block of each chip: int64 (n,), from 0.
        class_pixels: Labelled pixels of each class in each chip: int64 (n, K).
        fractions: Share of the pixels that each split should get; summing to 1.
        seed: Of the order among equals.

    Raises:
        InputError: Fewer blocks than splits.
    """
    count = int(blocks.max()) + 1
    wanted = sum(fraction > 0 for fraction in fractions)
    if count < wanted:
        raise InputError(
            f"the labelled ground makes {count} block{'s' if count > 1 else ''}, {wanted} splits need as many",
            "use smaller blocks (--block, or split.block_m of patches), or more ground",
        )
    totals = np.zeros((count, class_pixels.shape[1]))
    np.add.at(totals, blocks, class_pixels)
    splits = _dealt(totals, np.array(fractions), np.random.default_rng(seed))
    chosen: NDArray[np.int64] = splits[blocks]
    return chosen


def _dealt(totals: NDArray[np.float64], fractions: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Split of each block of (blocks, K) class pixels."""
    lacking = fractions[:, None] * totals.sum(axis=0)
    splits = np.full(len(totals), -1, dtype=np.int64)
    while (splits < 0).any():
        free = np.flatnonzero(splits < 0)
        empty = [split for split in np.flatnonzero(fractions) if not (splits == split).any()]
        remaining = totals[free].sum(axis=0)
        rarest = int(np.where(remaining > 0, remaining, np.inf).argmin())
        holders = free[totals[free, rarest] > 0] if remaining[rarest] else free
        order = rng.permutation(len(holders))
        block = int(holders[order][np.argmax(totals[holders[order], rarest])])
        need = lacking[:, rarest]
        allowed = empty if len(free) <= len(empty) else list(np.flatnonzero(fractions))
        splits[block] = max(allowed, key=lambda split: (need[split], lacking[split].sum()))
        lacking[splits[block]] -= totals[block]
    return splits
