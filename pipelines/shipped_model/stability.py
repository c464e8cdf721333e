"""How much a student's classes change when the image is the same and its frame, light or product level is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from data import BANDS, Patch
from numpy.typing import NDArray
from student import Student, reflectance_of

from lulc.bands import sensor
from lulc.training.atmosphere import clear_atmosphere

_KNOWN = {band.name: band for band in sensor().bands}
_AIR = clear_atmosphere([_KNOWN[name] for name in BANDS])
_PATH, _TRANSMITTANCE = (part[0, :, None, None].numpy() for part in (_AIR.path, _AIR.transmittance))

EDGE = 8
"""Pixels at the edge of a patch that are not compared: what is beyond it is mirrored, and differs after a shift."""


Classes = NDArray[np.int64]
Reflectance = NDArray[np.float32]


def shift(student: Student, image: Reflectance, _level: str) -> Classes:
    """Classes of an image that begins one pixel later; its first row and column keep what they were."""
    found = student.classes(image)
    found[1:, 1:] = student.classes(image[:, 1:, 1:])
    return found


def turn(student: Student, image: Reflectance, _level: str) -> Classes:
    """Classes of an image turned by 90 degrees, turned back."""
    return np.rot90(student.classes(np.rot90(image, axes=(1, 2))), -1)


def darker(student: Student, image: Reflectance, _level: str) -> Classes:
    """Classes of an image with a tenth less light."""
    return student.classes(0.9 * image)


def brighter(student: Student, image: Reflectance, _level: str) -> Classes:
    """Classes of an image with a tenth more light."""
    return student.classes(1.1 * image)


def other_level(student: Student, image: Reflectance, level: str) -> Classes:
    """Classes of an image as the other product level shows it, through the atmosphere of a clear day."""
    moved = _PATH + _TRANSMITTANCE * image if level == "L2A" else (image - _PATH) / _TRANSMITTANCE
    return student.classes(np.maximum(moved, 1e-4))


CHANGES: dict[str, Callable[[Student, Reflectance, str], Classes]] = {
    "shift 1 px": shift,
    "turn 90": turn,
    "gain 0.9": darker,
    "gain 1.1": brighter,
    "other level": other_level,
}
"""What is done to an image, by its name in tables."""


def kept(student: Student, patches: Iterable[Patch], change: str) -> float:
    """Part of the pixels of a place that keep their class."""
    same = total = 0
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    for patch in patches:
        image = reflectance_of(patch.image)
        known = np.isfinite(image).all(axis=0)[inner]
        before, after = student.classes(image)[inner], CHANGES[change](student, image, patch.level)[inner]
        same += int((before == after)[known].sum())
        total += int(known.sum())
    return same / total
