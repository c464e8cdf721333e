"""Spatial split of chips: whole blocks of ground go to one split, with a gap between splits.

Neighbouring pixels are alike. Chips split at random would put the same field into training and validation.
"""

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError

SPLITS = ("train", "val", "test")
"""Names of the splits, in the order of their fractions."""


def stratified_split(
    blocks: NDArray[np.int64], class_pixels: NDArray[np.int64], fractions: tuple[float, ...], seed: int
) -> NDArray[np.int64]:
    """Assign each chip to a split; all chips of a block share one.

    Iterative stratification (Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10) over blocks: blocks of the rarest
    class are assigned first, each to the split that lacks that class most.

    Args:
        blocks: Block of each chip, int64 of shape (n,), from 0.
        class_pixels: Labelled pixels of each class in each chip, int64 of shape (n, K).
        fractions: Fraction of the pixels that each split should get; they sum to 1.
        seed: Seed of the order among equal blocks.

    Returns:
        Index into `SPLITS` of each chip, int64 (n,).

    Raises:
        InputError: There are fewer blocks than splits.
    """
    count = int(blocks.max()) + 1
    needed = sum(fraction > 0 for fraction in fractions)
    if count < needed:
        raise InputError(
            f"the labelled ground makes {count} block{'s' if count > 1 else ''}, {needed} splits need as many",
            "use smaller blocks (--block, or split.block_m of patches), or more ground",
        )
    totals = np.zeros((count, class_pixels.shape[1]))
    np.add.at(totals, blocks, class_pixels)
    splits = _assign_blocks(totals, np.array(fractions), np.random.default_rng(seed))
    return splits[blocks]


def _assign_blocks(
    totals: NDArray[np.float64], fractions: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Split of each block, int64 (blocks,), from the class pixels of the blocks, (blocks, K)."""
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
