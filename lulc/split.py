"""Splitting chips by place: whole blocks of ground go to one split, with a gap between splits.

Neighbouring pixels are alike; chips drawn at random would put the same field into training and validation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError

SPLITS = ("train", "val", "test")
"""Names of the splits, in the order of their fractions."""

METRES_PER_DEGREE = 110_574.0
"""Of latitude at the equator, the least there is: distances on the ground are never overstated."""

_ROUND_THE_EARTH = 360 * METRES_PER_DEGREE


@dataclass(frozen=True, slots=True)
class Footprints:
    """Where chips lie, in metres on planes of their own.

    Attributes:
        plane: 0 on the Earth; other numbers are planes of their own, far from all others: int64 (n,).
        x: Centre, metres (pixels where there is no georeference): float64 (n,).
        y: The same, northward or downward.
        half_width: Half the extent along x.
        half_height: Half the extent along y.
        stretch: Factor that turns a difference in x into a distance on the ground: float64 (n,).
    """

    plane: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    half_width: NDArray[np.float64]
    half_height: NDArray[np.float64]
    stretch: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: "list[Footprints]") -> "Footprints":
        """Those of several scenes in one."""
        names = ("plane", "x", "y", "half_width", "half_height", "stretch")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def blocks(self, side: float) -> NDArray[np.int64]:
        """Number of the block that holds each chip's centre: int64 (n,), from 0.

        Blocks of about `side` metres lie on one grid for the whole Earth: overlapping scenes, whatever their CRS, put
        the same ground into the same block.
        """
        rows = np.floor(self.y / side).astype(np.int64)
        # All chips of one row of blocks use the width that a degree has in the middle of that row.
        latitude = np.deg2rad((rows + 0.5) * side / METRES_PER_DEGREE)
        stretch = np.where(self.plane == 0, np.cos(latitude), 1.0)
        columns = np.floor(self.x * stretch / side).astype(np.int64)
        cells = np.column_stack([self.plane, rows, columns])
        numbers: NDArray[np.int64] = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
        return numbers

    def neighbours(
        self, chosen: NDArray[np.bool_], others: NDArray[np.bool_], gap: float
    ) -> dict[int, NDArray[np.int64]]:
        """For each `chosen` chip with any, which of the `others` are nearer than `gap` metres or overlap it."""
        found: dict[int, NDArray[np.int64]] = {}
        candidates = np.flatnonzero(others)
        for chip in np.flatnonzero(chosen):
            across = (
                self._apart(candidates, self.x[chip], int(chip)) - self.half_width[candidates] - self.half_width[chip]
            )
            down = np.abs(self.y[candidates] - self.y[chip]) - self.half_height[candidates] - self.half_height[chip]
            distance = np.hypot(np.maximum(across, 0) * self.stretch[chip], np.maximum(down, 0))
            meets = (distance < gap) | ((across < 0) & (down < 0))
            close = candidates[meets & (self.plane[candidates] == self.plane[chip])]
            if len(close):
                found[int(chip)] = close
        return found

    def _apart(self, chips: NDArray[np.int64] | int, x: NDArray[np.float64], chip: int) -> NDArray[np.float64]:
        """Difference in x between centres of chips and places; the short way round the Earth."""
        apart: NDArray[np.float64] = np.abs(self.x[chips] - x)
        return np.minimum(apart, _ROUND_THE_EARTH - apart) if self.plane[chip] == 0 else apart

    def too_close(
        self, chips: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], gap: float
    ) -> NDArray[np.bool_]:
        """True where a place lies in one of `chips` or nearer than `gap` metres to one.

        Args:
            chips: Numbers of chips.
            x: Places, in the units of `Footprints.x`: any shape.
            y: The same.
            gap: Metres.
        """
        close = np.zeros(x.shape, dtype=bool)
        for chip in chips:
            across = np.maximum(self._apart(chip, x, chip) - self.half_width[chip], 0) * self.stretch[chip]
            down = np.maximum(np.abs(y - self.y[chip]) - self.half_height[chip], 0)
            distance = np.hypot(across, down)
            close |= (distance < gap) | (distance == 0)
        return close


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
            "use a smaller --block, or more scenes",
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
