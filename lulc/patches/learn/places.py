"""Where patches lie: whole blocks of ground in one split, and ground that two splits share."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from lulc.errors import InputError
from lulc.footprints import ROUND, Footprints, footprints_of, on_ground
from lulc.grid import Grid, map_points
from lulc.patches.dataset import Patch, PatchSet
from lulc.patches.learn.duplicates import PatchSignature
from lulc.patches.learn.split import PatchSplit

_CORNERS = np.array([[0, 1, 0, 1], [0, 0, 1, 1]])
_INNER = 0.99  # of an extent: touching is not overlapping, whatever the rounding


def same_block(data: PatchSet, signatures: Mapping[str, PatchSignature], side_m: float) -> list[tuple[Patch, ...]]:
    """Groups of patches whose centres lie in one block of about `side_m` metres.

    Raises:
        InputError: A patch does not say where it lies.
    """
    unplaced = next((patch for patch in data.patches if not on_ground(signatures[patch.name].grid)), None)
    if unplaced is not None:
        raise InputError(f"{unplaced.name} does not say where it lies", "leave split.block_m out")
    groups: dict[int, list[Patch]] = defaultdict(list)
    ground = Footprints.joined(
        [footprints_of(grid, [grid.window], 0) for grid in (signatures[patch.name].grid for patch in data.patches)]
    )
    for patch, block in zip(data.patches, ground.blocks(side_m).tolist(), strict=True):
        groups[block].append(patch)
    return [tuple(group) for group in groups.values()]


def on_shared_ground(data: PatchSet, split: PatchSplit, signatures: Mapping[str, PatchSignature]) -> list[str]:
    """Patches to validate or test on that show ground which a training patch of the same CRS shows too."""
    placed = [patch for patch in data.patches if patch.name in split.names and on_ground(signatures[patch.name].grid)]
    if not placed:
        return []
    learnt = np.array([split.names[patch.name] == "train" for patch in placed])
    shared = _extents([signatures[patch.name].grid for patch in placed]).neighbours(~learnt, learnt, gap=0.0)
    return [placed[number].name for number in sorted(shared)]


def _extents(grids: list[Grid]) -> Footprints:
    """Extents in the coordinates of each grid's own CRS, where patches that touch do not overlap.

    In degrees a patch is a little askew, and the box around it reaches into its neighbours.
    """
    planes: dict[str, int] = {}
    corners = np.stack(
        [
            np.column_stack(map_points(grid.transform, *_CORNERS * [[grid.shape.width], [grid.shape.height]]))
            for grid in grids
        ]
    )
    centre = (corners.min(axis=1, keepdims=True) + corners.max(axis=1, keepdims=True)) / 2
    return Footprints.of_corners(
        plane=np.array([planes.setdefault(str(grid.crs), len(planes) + 1) for grid in grids]),
        corners=(centre + _INNER * (corners - centre))[:, ROUND],
        stretch=np.ones(len(grids)),
    )
