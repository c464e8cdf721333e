"""What may change about an image while the ground stays the same: its frame, its light, its product level."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.bands import sensor
from lulc.indices import INDICES
from lulc.legend import NODATA_CODE
from lulc.training.atmosphere import GAS, clear_atmosphere

Reflectance = NDArray[np.float32]
"""Reflectance of bands and values of indices, float32 (names, height, width), NaN where there is no data."""

Classes = NDArray[Any]
"""Class codes, integer (height, width), 255 where there are none."""

GAINS = (0.9, 1.1)
"""A tenth less light, and a tenth more."""

OTHER_LEVEL = "other level"
LEVELS = ("L1C", "L2A")
"""Product levels between which an atmosphere leads."""

_DARKEST = 1e-4
"""Least reflectance that is left when an atmosphere is taken off."""


@dataclass(frozen=True, slots=True)
class ImageChange:
    """A change of an image that leaves its ground as it is.

    Attributes:
        name: In tables.
        changed: From reflectance to that of the changed image, which may have another frame.
        restored: From classes of the changed image to the frame of the original; 255 where the changed image ends.
    """

    name: str
    changed: Callable[[Reflectance], Reflectance]
    restored: Callable[[Classes], Classes] = lambda codes: codes

    def classes(self, classify: Callable[[Reflectance], Classes], image: Reflectance) -> Classes:
        """Classes of the changed image in the frame of the original: integer (height, width).

        Args:
            classify: Gives the classes of reflectance of any height and width.
            image: The original.
        """
        return self.restored(classify(self.changed(image)))


def shift(pixels: int) -> ImageChange:
    """The image starts later, by so many rows and as many columns."""
    return ImageChange(
        f"shift {pixels} px",
        lambda image: image[:, pixels:, pixels:],
        lambda codes: np.pad(codes, ((pixels, 0), (pixels, 0)), constant_values=NODATA_CODE),
    )


def turn() -> ImageChange:
    """The image is turned by 90 degrees."""
    return ImageChange("turn 90", lambda image: np.rot90(image, axes=(1, 2)), lambda codes: np.rot90(codes, -1))


def gain(factor: float, names: Sequence[str]) -> ImageChange:
    """All bands are multiplied; indices stay as they are.

    Args:
        factor: Unitless.
        names: Bands and indices of the image, in order.
    """
    factors = np.array([1.0 if name in INDICES else factor for name in names], np.float32)[:, None, None]
    return ImageChange(f"gain {factor:g}", lambda image: factors * image)


def other_level(names: Sequence[str], level: str) -> ImageChange:
    """Surface reflectance (L2A) is seen through the atmosphere of a clear day, or it is taken off (L1C).

    Args:
        names: Bands of the image, in order; `no_other_level` says whether they will do.
        level: One of `LEVELS`.
    """
    known = {band.name: band for band in sensor().bands}
    air = clear_atmosphere([known[name] for name in names])
    path, transmittance = (part[0, :, None, None].numpy() for part in (air.path, air.transmittance))

    def changed(image: Reflectance) -> Reflectance:
        moved = path + transmittance * image if level == "L2A" else (image - path) / transmittance
        bright: Reflectance = np.maximum(moved, np.float32(_DARKEST))
        return bright

    return ImageChange(OTHER_LEVEL, changed)


def no_other_level(names: Sequence[str], level: str) -> str:
    """Why the other product level cannot be shown, in words; empty where it can.

    Args:
        names: Bands and indices of the image.
        level: What the scene says of its level.
    """
    if level not in LEVELS:
        return f"the level is {level}, not {' or '.join(LEVELS)}" if level else "the scene does not say its level"
    unknown = [name for name in names if name not in GAS]
    return f"the atmosphere is not known in {', '.join(unknown)}" if unknown else ""


def image_changes(names: Sequence[str], level: str, stride: int = 1) -> tuple[ImageChange, ...]:
    """All changes that can be shown of an image.

    Args:
        names: Its bands and indices, in order.
        level: Its product level.
        stride: Total stride of the network, pixels: shifts are the powers of two below it, and 1.
    """
    shifts = [1 << power for power in range(max(1, (stride - 1).bit_length()))]
    level_too = [] if no_other_level(names, level) else [other_level(names, level)]
    return (*map(shift, shifts), turn(), *(gain(factor, names) for factor in GAINS), *level_too)
