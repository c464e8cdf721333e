"""Two dates of one place whose change is known."""

import numpy as np

from tests.support.evaluation_samples import FINE, PLACE, product, shares

PATCHES = {"large": (slice(40, 60), slice(50, 75)), "small": (slice(120, 124), slice(200, 206))}
"""500 pixels (5 ha) and 24 pixels (0.24 ha) that change."""


def sharp(steps):
    """The same ground seen with little doubt: uint8, summing to 250."""
    top = steps.argmax(axis=0)[None]
    found = np.full(steps.shape, 5, np.uint8)
    np.put_along_axis(found, top, 250 - 5 * (len(steps) - 1), 0)
    return found


def changed(steps):
    """The later date: two patches have the class after their own."""
    later = steps.copy()
    for place in PATCHES.values():
        later[:, *place] = np.roll(steps[:, *place], 1, axis=0)
    return later


def noisy(steps, seed=9, spread=12):
    """The same activations, each moved a little, still summing to 250."""
    rng = np.random.default_rng(seed)
    moved = np.clip(steps + rng.normal(0, spread, steps.shape), 0, None)
    found = np.floor(250 * moved / np.maximum(moved.sum(axis=0), 1e-9)).astype(np.uint8)
    top = found.argmax(axis=0)[None]
    left = 250 - found.sum(axis=0, dtype=np.int64)
    np.put_along_axis(found, top, np.take_along_axis(found, top, 0) + left.astype(np.uint8), 0)
    return found


def write_pair(folder, *, before_hole=None, after_hole=None, **after):
    """Maps of both dates in a folder; keyword arguments go to the later one."""
    first = sharp(shares())
    product(folder / "before.tif", first, hole=before_hole)
    product(folder / "after.tif", changed(first), hole=after_hole, **after)
    return folder / "before.tif", folder / "after.tif"


__all__ = ["FINE", "PATCHES", "PLACE", "changed", "noisy", "product", "shares", "sharp", "write_pair"]
