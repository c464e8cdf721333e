"""Chains of lattice vertices: pieces of borders that are joined when a patch is whole."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lulc.tasks.polygons.ragged import members, offsets

Keys = NDArray[np.int64]

UNPAIRED = -1


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """Chains of lattice vertices; a ring is a chain that ends where it starts.

    Attributes:
        patch: int64 (n,) number of the patch of each.
        start: int64 (n,) key of the edge that leads into its first vertex.
        end: int64 (n,) key of the edge that leads out of its last vertex: the start of the chain that follows.
        pair: int64 (n,) key of its last vertex where its patch may touch itself there, else -1. Two chains of one patch
            with one key change their ends.
        size: int64 (n,) vertices of each.
        points: int32 (2, vertices) rows and columns of the vertices, chain by chain.
    """

    patch: Keys
    start: Keys
    end: Keys
    pair: Keys
    size: Keys
    points: NDArray[np.int32]

    @classmethod
    def joined(cls, parts: "list[Chains]") -> "Chains":
        """All chains of one part or more."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in cls.__slots__))

    def of(self, chosen: NDArray[np.integer]) -> "Chains":
        """Some of the chains, by their numbers."""
        return self._taken(chosen, members(offsets(self.size)[chosen], self.size[chosen]))

    def with_patch(self, patch: Keys) -> "Chains":
        """The same chains as those of other patches, (n,)."""
        return Chains(patch, self.start, self.end, self.pair, self.size, self.points)

    def by_patch(self, patches: int) -> "list[Chains]":
        """The chains of each patch, copied."""
        order = np.argsort(self.patch, kind="stable")
        first = offsets(self.size)
        bounds = np.searchsorted(self.patch[order], np.arange(patches + 1))
        chosen = (order[start:end] for start, end in pairwise(bounds))
        return [self._taken(some, members(first[some], self.size[some])) for some in chosen]

    def _taken(self, chosen: NDArray[np.integer], points: Keys) -> "Chains":
        return Chains(
            self.patch[chosen],
            self.start[chosen],
            self.end[chosen],
            self.pair[chosen],
            self.size[chosen],
            self.points[:, points],
        )
