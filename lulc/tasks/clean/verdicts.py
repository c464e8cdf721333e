"""What becomes of every small piece: which group it went into, and the class that the group got.

This is all that the second pass needs, and the only thing that grows with the map: 5 bytes for a piece of a small patch. Runs of
changed pixels would take 9 bytes each, several for a piece.
"""

import numpy as np
from numpy.typing import NDArray

from lulc.tasks.clean.unit import Integers

_BLOCK = 1 << 20
_LEAST = 1 << 12


class Verdicts:
    """Groups of pieces, which are numbered through the map, and their classes."""

    def __init__(self) -> None:
        self._count = 0
        self._into = np.empty(_LEAST, np.int32)
        self._classes = np.empty(_LEAST, np.uint8)
        self._firsts = [0]

    def extend(self, count: int) -> int:
        """Number the pieces of the next strip, each a group; returns the number of the first."""
        begin, self._count = self._count, self._count + count
        self._firsts.append(self._count)
        if self._count > self._into.size:
            size = max(self._count, self._into.size + self._into.size // 4)
            self._into, self._classes = np.resize(self._into, size), np.resize(self._classes, size)
        self._into[begin : self._count] = np.arange(begin, self._count)
        self._classes[begin : self._count] = 0
        return begin

    def join(self, groups: Integers, into: Integers) -> None:
        """Let groups go into others."""
        self._into[groups] = into

    def close(self, groups: Integers, classes: NDArray[np.uint8]) -> None:
        """Give groups their classes; those that get none stay as they are."""
        self._classes[groups] = classes

    def resolve(self) -> None:
        """Give every piece the class of its group; called once, at the end."""
        into = self._into[: self._count]
        while True:
            changed = False
            for begin in range(0, self._count, _BLOCK):
                block = into[begin : begin + _BLOCK]
                further = into[block]
                changed |= not np.array_equal(further, block)
                block[:] = further
            if not changed:
                break
        self._classes = self._classes[: self._count][into]
        self._into = self._into[:0]

    def of_strip(self, strip: int) -> NDArray[np.uint8]:
        """Classes of the pieces of a strip, uint8 (n,), once resolved; 0 where they stay as they are."""
        return self._classes[self._firsts[strip] : self._firsts[strip + 1]]
