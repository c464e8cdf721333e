"""Images at a third or a quarter of their resolution, where the teacher is as sharp as the pixels are.

The teacher is blurred by some 50 m, so at 10 m a student learns to swallow what is narrow. At 30 or 40 m the same labels
are sharp to a pixel or two, and a network learns there what a thin thing looks like (Wald et al. 1997, "Fusion of satellite
images of different spatial resolutions": learn one scale coarser what is wanted at the finer one).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from data import LABEL_NODATA, Patch
from numpy.typing import NDArray

COARSE = "coarser"
"""Place of these images."""

FACTORS = (3, 4)
LEAST_SIDE = 40
"""Images smaller than this afterwards are left out, pixels."""


def coarser(patches: Sequence[Patch], factors: Sequence[int] = FACTORS) -> Iterator[Patch]:
    """The patches at each coarser resolution at which they keep `LEAST_SIDE`."""
    for patch in patches:
        for factor in factors:
            if min(patch.image.shape[1:]) // factor >= LEAST_SIDE:
                yield _coarser(patch, factor)


def _coarser(patch: Patch, factor: int) -> Patch:
    image, percent = (_means(planes, patch.usable, factor) for planes in (patch.image, patch.percent))
    whole = _blocks(patch.usable[None], factor).all(axis=(2, 4))[0]
    image[:, ~whole], percent[:, ~whole] = 0, LABEL_NODATA
    return Patch(
        COARSE, f"{patch.place}_{patch.name}_{factor}", patch.level, image.astype(np.uint16), percent.astype(np.uint8)
    )


def _means(
    planes: NDArray[np.uint16] | NDArray[np.uint8], usable: NDArray[np.bool_], factor: int
) -> NDArray[np.float64]:
    return np.rint(_blocks(np.where(usable, planes, 0), factor).mean(axis=(2, 4)))


def _blocks(planes: NDArray, factor: int) -> NDArray:  # type: ignore[type-arg]
    """Planes (k, height, width) as (k, rows, factor, columns, factor); what does not fill a block is cut off."""
    rows, columns = (side // factor for side in planes.shape[1:])
    return planes[:, : rows * factor, : columns * factor].reshape(len(planes), rows, factor, columns, factor)
