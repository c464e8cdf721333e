"""The minimum mapping unit of changes: patches of changed pixels that are too small are no change.

Change maps have one because the outline of every field wavers between two dates: the European CORINE change layer maps
changes from 5 ha (Copernicus Land Monitoring Service, CLC product user manual), ten-metre pixels allow much less.

A patch is 8-connected: one that is a pixel wide and runs askew, such as a road, must not fall apart into single pixels.
(Measured on noisy copies of real scenes, 4- and 8-connected patches let through the same false change
to 0.02 % of the pixels.)

Patches are joined from runs, the changed pixels that follow each other in a row: of smooth changes they are few, and joining them
takes half of the time of `scipy.ndimage.label`, whose import alone costs as much as deciding two megapixels.
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from lulc.io.product.areas import SLACK, PixelAreas
from lulc.io.product.runs import joined, touching


def halo_px(minimum_ha: float, row_ha: NDArray[np.float64]) -> int:
    """Pixels around a window that decide with it which of its patches are too small.

    A patch below the minimum has fewer than n = ceil(minimum / smallest pixel) pixels, so from any of its pixels it
    reaches less than n - 1 px; and one that goes on beyond n px is no smaller than the minimum.

    Args:
        minimum_ha: Minimum mapping unit.
        row_ha: float64 (rows,) area of the smallest pixel of each row of the map.
    """
    return ceil(minimum_ha * (1 - SLACK) / float(np.nanmin(row_ha))) if minimum_ha > 0 else 0


def large_patches(changed: NDArray[np.bool_], areas: PixelAreas, minimum_ha: float) -> NDArray[np.bool_]:
    """The changed pixels whose 8-connected patch covers the minimum or more.

    Args:
        changed: bool (height, width).
        areas: Ground of its pixels.
        minimum_ha: Minimum mapping unit; 0 keeps every patch.

    Returns:
        bool (height, width). Right for pixels at least `halo_px` from every edge that is not the map's.
    """
    if minimum_ha <= 0 or not changed.any():
        return changed
    height, width = changed.shape
    table = np.zeros((height, width + 1), np.int8)  # the column behind each row parts its runs from those of the next
    table[:, :width] = changed
    edges = np.diff(table.ravel(), prepend=np.int8(0))
    starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    rows, before = starts // (width + 1), np.concatenate([[0.0], np.cumsum(areas.columns)])
    hectares = areas.rows[rows] * (before[ends % (width + 1)] - before[starts % (width + 1)])
    patch = joined(starts.size, *touching(starts, ends, width + 1))
    small = np.bincount(patch, hectares)[patch] < minimum_ha * (1 - SLACK)
    edges[starts[small]] = edges[ends[small]] = 0
    return np.cumsum(edges, dtype=np.int8).view(np.bool_).reshape(table.shape)[:, :width]
