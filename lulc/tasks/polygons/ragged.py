"""Rows of unequal length in one array: where each begins, and how to take some of them."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def offsets(sizes: NDArray[np.integer] | NDArray[np.bool_]) -> Numbers:
    """Where each row begins, and where the last one ends: int64 (rows + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])


def members(first: NDArray[np.integer], sizes: NDArray[np.integer]) -> Numbers:
    """Where the members of some rows lie, row by row.

    Args:
        first: (rows,) where each begins.
        sizes: (rows,) how many members it has.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    places = np.repeat(first - ends + sizes, sizes)
    places += np.arange(places.size)
    return places
