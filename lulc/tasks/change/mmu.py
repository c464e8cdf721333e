"""The minimum mapping unit of changes: patches of changed pixels that are too small are no change.

Change maps have one because the outline of every field wavers between two dates: the European CORINE change layer maps
changes from 5 ha (Copernicus Land Monitoring Service, CLC product user manual), ten-metre pixels allow much less.

A patch is 8-connected: one that is a pixel wide and runs askew, such as a road, must not fall apart into single pixels.
(Measured on noisy copies of real scenes, 4- and 8-connected patches let through the same false change
to 0.02 % of the pixels.)
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lulc.io.product.areas import PixelAreas

_SLACK = 1e-9
"""Of sums of areas: fifty pixels of 0.01 ha are half a hectare, whatever the last digit says."""

_EIGHT = np.ones((3, 3), np.bool_)


def halo_px(minimum_ha: float, row_ha: NDArray[np.float64]) -> int:
    """Pixels around a window that decide with it which of its patches are too small.

    A patch below the minimum has fewer than n = ceil(minimum / smallest pixel) pixels, so from any of its pixels it
    reaches less than n - 1 px; and one that goes on beyond n px is no smaller than the minimum.

    Args:
        minimum_ha: Minimum mapping unit.
        row_ha: float64 (rows,) area of the smallest pixel of each row of the map.
    """
    return ceil(minimum_ha * (1 - _SLACK) / float(np.nanmin(row_ha))) if minimum_ha > 0 else 0


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
    labels, patches = ndimage.label(changed, _EIGHT)
    rows, columns = np.nonzero(changed)
    hectares = np.bincount(labels[rows, columns], areas.at(rows, columns), minlength=patches + 1)
    return np.asarray(changed & (hectares >= minimum_ha * (1 - _SLACK))[labels])
