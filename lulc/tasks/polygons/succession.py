"""Things that follow each other, put into order without following them one by one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.tasks.polygons.ragged import offsets

END = -1

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Succession:
    """Chains and rings of things.

    Attributes:
        order: int64 (n,) the things, one chain or ring after the other. A ring begins with its smallest number.
        size: int64 (chains,) how many each has.
    """

    order: Numbers
    size: Numbers

    @classmethod
    def of(cls, following: NDArray[np.integer]) -> "Succession":
        """Order things of which each is followed by one at most, and follows one at most.

        Args:
            following: (n,) number of the one that follows, -1 at the end of a chain.
        """
        group, groups = _groups(following)
        left = _distances(_opened(following, group, groups))
        size = np.bincount(group, minlength=groups)
        order = np.empty(following.size, np.int64)
        order[offsets(size)[1:][group] - 1 - left] = np.arange(following.size)
        return cls(order, size)


def _groups(following: NDArray[np.integer]) -> tuple[NDArray[np.int32], int]:
    """Number of the chain or ring of each thing, and how many there are."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    linked = following != END
    links = (np.ones(int(linked.sum()), np.int8), following[linked].astype(np.int32), offsets(linked).astype(np.int32))
    count, group = connected_components(csr_array(links, shape=(linked.size, linked.size)), connection="weak")
    return group, int(count)


def _opened(following: NDArray[np.integer], group: NDArray[np.int32], groups: int) -> NDArray[np.int32]:
    """The same with every ring cut before its smallest number."""
    numbers = np.arange(following.size, dtype=np.int32)
    first = np.empty(groups, np.int32)
    first[group[::-1]] = numbers[::-1]  # the last to be written is the smallest
    before = np.full(following.size, END, np.int32)
    linked = following != END
    before[following[linked]] = numbers[linked]
    ring = np.ones(groups, np.bool_)
    ring[group[before == END]] = False
    opened = following.astype(np.int32)
    opened[before[first[ring]]] = END
    return opened


def _distances(following: NDArray[np.int32]) -> NDArray[np.int32]:
    """How many things come after each in its chain: after k rounds each knows what lies up to 2^k further on."""
    known: NDArray[np.int32] = (following != END).astype(np.int32)
    jump = following.copy()
    going = np.flatnonzero(jump != END)
    while going.size:
        goal = jump[going]
        known[going] += known[goal]
        jump[going] = jump[goal]
        going = going[jump[going] != END]
    return known
