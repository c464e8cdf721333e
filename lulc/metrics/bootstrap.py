"""Intervals of agreement from resampled blocks.

Neighbouring pixels err together, so a scene holds far fewer independent pieces of evidence than pixels, and intervals
that count pixels are meaninglessly narrow. Blocks larger than the reach of that dependence are resampled instead, with
replacement and whole (Lahiri 2003, Resampling Methods for Dependent Data, chapter 12; percentile intervals of Efron 1981).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FEWEST_DEFINED = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Intervals of a statistic with one or several entries.

    Attributes:
        low: Lower ends, float64, of the statistic's shape; NaN where the blocks cannot say.
        high: Upper ends.
        blocks: Blocks that were resampled.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    blocks: int


def block_intervals(
    per_block: NDArray[np.integer[Any]],
    statistic: Callable[[NDArray[np.int64]], ArrayLike],
    *,
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> Intervals:
    """Percentile intervals of a statistic of summed counts.

    Args:
        per_block: Counts of each block, integer (blocks, ...), such as confusion matrices (blocks, K, K). Blocks
            without any count say nothing and are left out.
        statistic: From counts summed over blocks, int64 (...), to a number or an array; NaN where it is not defined.
        level: Probability that an interval is to hold the value.
        samples: How many times the blocks are drawn.
        seed: Of the draws; the same seed gives the same intervals.

    Returns:
        Intervals, NaN throughout with fewer than two blocks, and NaN for an entry that more than 5 % of the draws
        leave undefined (a class that only one or two blocks hold).
    """
    counts = per_block.reshape(len(per_block), int(np.prod(per_block.shape[1:])))
    counts = counts[counts.any(axis=1)].astype(np.float64)  # exact below 2**53, and multiplied by BLAS
    blocks, shape = len(counts), per_block.shape[1:]
    if blocks < 2:  # noqa: PLR2004
        unknown = np.full(np.shape(statistic(per_block.sum(axis=0, dtype=np.int64))), np.nan)
        return Intervals(unknown, unknown, blocks)
    times = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=samples)
    summed = np.rint(times @ counts).astype(np.int64)
    drawn = np.array([statistic(one.reshape(shape)) for one in summed], np.float64)
    tail = (1 - level) / 2
    return Intervals(_quantile(drawn, tail), _quantile(drawn, 1 - tail), blocks)


def _quantile(drawn: NDArray[np.float64], probability: float) -> NDArray[np.float64]:
    """Quantile over the first axis of the draws that are defined."""
    flat = drawn.reshape(len(drawn), -1)
    ends = np.full(flat.shape[1], np.nan)
    defined = np.isfinite(flat)
    for entry in np.flatnonzero(defined.mean(axis=0) >= _FEWEST_DEFINED):
        ends[entry] = np.quantile(flat[defined[:, entry], entry], probability)
    return ends.reshape(drawn.shape[1:])
