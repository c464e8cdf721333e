"""Runs: pixels that follow each other in a row, of which patches are joined.

Real maps have few of them: 25 pixels and more a run, where a table of labels would have an entry for every pixel.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def touching(starts: Indices, ends: Indices, pitch: int, *, corners: bool = True) -> tuple[Indices, Indices]:
    """Pairs of runs in neighbouring rows that touch: their numbers above and below.

    Args:
        starts: Where each run starts, counted row by row, ascending. Runs do not overlap.
        ends: Where it has ended; at most its row's last place, which no run covers.
        pitch: From a place to the one below it.
        corners: True where pixels touch that share a corner alone.
    """
    sides: tuple[Literal["left", "right"], Literal["left", "right"]] = (
        ("left", "right") if corners else ("right", "left")
    )
    first = np.searchsorted(ends, starts + pitch, side=sides[0])
    last = np.searchsorted(starts, ends + pitch, side=sides[1])
    touched = np.maximum(last - first, 0)
    above = np.repeat(np.arange(starts.size), touched)
    within = np.arange(above.size) - np.repeat(np.cumsum(touched) - touched, touched)
    return above, first[above] + within


def joined(count: int, first: Indices, second: Indices) -> Indices:
    """Number of the group of each of `count` things, (count,), where pairs are of one group."""
    group = np.arange(count)
    while (group[first] != group[second]).any():
        pair = group[first], group[second]
        np.minimum.at(group, np.maximum(*pair), np.minimum(*pair))
        while (group[group] != group).any():
            group = group[group]
    return group
