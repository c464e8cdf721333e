"""Rings of whole patches, made of chains, and the polygons that they make."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.tasks.polygons.chains import UNPAIRED, Chains, Keys
from lulc.tasks.polygons.ragged import members, offsets
from lulc.tasks.polygons.succession import Succession

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """Rings of lattice vertices; each begins with its first vertex row by row, and has the patch on its left.

    Attributes:
        patch: int64 (n,) number of the patch of each.
        size: int64 (n,) vertices of each; none is repeated.
        points: int32 (2, vertices) rows and columns, ring by ring.
    """

    patch: Numbers
    size: Numbers
    points: NDArray[np.int32]

    @classmethod
    def closed(cls, chains: Chains) -> "Rings":
        """The rings that all chains of some patches make."""
        by_start = np.argsort(chains.start)
        follower = by_start[np.searchsorted(chains.start[by_start], _ends(chains))]
        found = Succession.of(follower)
        index = members(offsets(chains.size)[found.order], chains.size[found.order])
        first = offsets(found.size)[:-1]
        size = np.add.reduceat(chains.size[found.order], first) if first.size else first
        return cls(chains.patch[found.order[first]], size, chains.points[:, index]).rolled()

    def ordered(self) -> "Rings":
        """Those of one patch together, by its number: the outer ring, then the holes by their first vertices."""
        first = self.points[:, offsets(self.size)[:-1]]
        order = np.lexsort((first[1], first[0], self.patch))  # the outer ring has the first vertex of all
        return Rings(
            self.patch[order], self.size[order], self.points[:, members(offsets(self.size)[order], self.size[order])]
        )

    def rolled(self) -> "Rings":
        """The same rings, each from its first vertex on, row by row."""
        ends = offsets(self.size)
        if not self.size.size:
            return self
        key = self.points[0].astype(np.int64) << 32 | self.points[1]
        least = np.minimum.reduceat(key, ends[:-1])
        start = np.flatnonzero(key == np.repeat(least, self.size)) - ends[:-1]
        place = members(start, self.size)
        place %= np.repeat(self.size, self.size)
        place += np.repeat(ends[:-1], self.size)
        return Rings(self.patch, self.size, self.points[:, place])


def _ends(chains: Chains) -> Keys:
    """Ends of chains, changed where a patch touches itself."""
    ends = chains.end.copy()
    paired = np.flatnonzero(chains.pair != UNPAIRED)
    paired = paired[np.lexsort((chains.patch[paired], chains.pair[paired]))]
    one, other = paired[:-1], paired[1:]
    same = (chains.pair[one] == chains.pair[other]) & (chains.patch[one] == chains.patch[other])
    one, other = one[same], other[same]
    ends[one], ends[other] = chains.end[other], chains.end[one]
    return ends
