"""`lulc mosaic --seams`: test whether classes change more at scene borders than beside them.

A seam is a line along which neighbouring pixels differ in class more often than around it. Pairs of neighbouring pixels
(left and right, above and below) are counted in three groups: pairs that a scene border runs through, pairs within 64
px of such a border, and all others. A border counts where maps lie on both sides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from lulc.grid import Window
from lulc.io.product.reader import ProductReader, open_product
from lulc.legend import NODATA_CODE
from lulc.tasks.mosaic.plan import MosaicPlan

NEAR_PX = 64
"""Distance within which a pair counts as near a border, pixels."""


@dataclass(frozen=True, slots=True)
class MosaicSeams:
    """Percentage of neighbouring pixels that differ in class; None where there are no such pairs.

    Attributes:
        pairs_across: Number of pairs that a scene border runs through.
        across_percent: Percentage of these that differ.
        near_percent: Percentage of pairs within 64 px of a border, but not across one.
        elsewhere_percent: Percentage of all other pairs.
    """

    pairs_across: int
    across_percent: float | None
    near_percent: float | None
    elsewhere_percent: float | None


def mosaic_seams(plan: MosaicPlan, output: Path) -> MosaicSeams:
    """Count class changes in a published mosaic. Pairs across chunks of the plan are left out.

    Args:
        plan: The mosaic.
        output: Its published product.

    Raises:
        InputError: A pixel of the product or of a map breaks the format.
        StorageError: A block cannot be read.
    """
    differ, pairs = np.zeros(3, np.int64), np.zeros(3, np.int64)
    with open_product(output) as product:
        for window in plan.chunks():
            for group, (changed, counted) in enumerate(_window_counts(plan, product, window)):
                differ[group] += changed
                pairs[group] += counted
    percents = [100 * float(part) / float(whole) if whole else None for part, whole in zip(differ, pairs, strict=True)]
    return MosaicSeams(int(pairs[0]), *percents)


def _window_counts(plan: MosaicPlan, product: ProductReader, window: Window) -> Iterator[tuple[int, int]]:
    """Pairs that differ and all pairs, for each group: across a border, near one, elsewhere."""
    around = window.grown(NEAR_PX)
    borders, near = _borders(plan, window, around)
    codes = product.classes(window)
    totals = np.zeros((3, 2), np.int64)
    for (one, other), (beside, _), border in zip(_pairs(codes), _pairs(near), borders, strict=True):
        known = (one != NODATA_CODE) & (other != NODATA_CODE)
        for group, chosen in enumerate((border, beside & ~border, ~beside & ~border)):
            totals[group] += np.count_nonzero(known & chosen & (one != other)), np.count_nonzero(known & chosen)
    yield from ((int(changed), int(counted)) for changed, counted in totals)


def _borders(
    plan: MosaicPlan, window: Window, around: Window
) -> tuple[tuple[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_]]:
    """Pairs of a window that a border runs through (right, down), and pixels near a border; bool."""
    height, width = around.height, around.width
    right, down = np.zeros((height, width - 1), bool), np.zeros((height - 1, width), bool)
    covered = np.zeros((height, width), bool)
    for position in plan.near(around):
        known = plan.parts[position].classes(around) != NODATA_CODE
        covered |= known
        right |= known[:, 1:] != known[:, :-1]
        down |= known[1:] != known[:-1]
    right &= covered[:, 1:] & covered[:, :-1]
    down &= covered[1:] & covered[:-1]
    touched = np.zeros((height, width), np.uint8)
    touched[:, :-1] |= right
    touched[:-1] |= down
    for axis in (0, 1):
        touched = maximum_filter1d(touched, 2 * NEAR_PX + 1, axis=axis)
    rows, cols = window.slices(around)
    inner_right = right[rows, cols.start : cols.stop - 1]
    inner_down = down[rows.start : rows.stop - 1, cols]
    return (inner_right, inner_down), touched[rows, cols].astype(bool)


def _pairs(plane: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Neighbours left and right, then above and below."""
    yield plane[:, :-1], plane[:, 1:]
    yield plane[:-1], plane[1:]
