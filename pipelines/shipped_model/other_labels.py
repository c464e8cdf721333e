"""How well a student agrees with labels that are not its teacher's: patch names, a map, survey points, thin things."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from agreement import binned_gap
from data import CLASSES, Patch, Points, read_aberystwyth_map
from numpy.typing import NDArray
from scipy import ndimage
from student import Student, reflectance_of
from torch import Tensor

EUROSAT_COVER: dict[str, tuple[str, ...]] = {
    "AnnualCrop": ("crops",),
    "PermanentCrop": ("crops",),
    "Forest": ("trees",),
    "HerbaceousVegetation": ("grass", "shrub_and_scrub"),
    "Pasture": ("grass",),
    "Industrial": ("built",),
    "Residential": ("built",),
    "SeaLake": ("water",),
}
"""What the pixels of an areal EuroSAT patch should be."""

THIN: dict[str, str] = {"River": "water", "Highway": "built"}
"""The class of the long thing in the other EuroSAT patches."""

LONG = 40
"""Least extent of a thing that counts as found, of the 64 px of a patch."""

ABERYSTWYTH_COVER: dict[int, tuple[str, ...]] = {
    1: ("trees",),
    2: ("grass", "flooded_vegetation", "crops", "shrub_and_scrub"),
    3: ("built", "bare"),
    4: ("water",),
}
"""Which classes a code of the independent Aberystwyth map stands for."""

POINT_SIDE, _ACROSS = 16, 16
"""A survey point is shown as an even tile of so many pixels a side, beside so many others."""


def areal_patches(student: Student, patches: Iterable[Patch]) -> float:
    """Part of the areal EuroSAT patches whose most frequent class is what the name says."""
    right = []
    for patch in patches:
        if patch.cover in EUROSAT_COVER:
            found = student.classes(reflectance_of(patch.image))
            winner = CLASSES[np.bincount(found.ravel(), minlength=len(CLASSES)).argmax()]
            right.append(winner in EUROSAT_COVER[patch.cover])
    return float(np.mean(right))


def long_things(patches: Iterable[Patch], classes: Iterable[NDArray[np.int64]]) -> dict[str, float]:
    """Part of the River and Highway patches in whose classes (height, width) a long connected thing is found."""
    found: dict[str, list[bool]] = {name: [] for name in THIN}
    for patch, classified in zip(patches, classes, strict=True):
        if patch.cover in THIN:
            thing = classified == CLASSES.index(THIN[patch.cover])
            numbered, _ = ndimage.label(thing, structure=np.ones((3, 3)))
            boxes = ndimage.find_objects(numbered)
            longest = max((max(part.stop - part.start for part in box) for box in boxes), default=0)
            found[patch.cover].append(longest >= LONG)
    return {name: float(np.mean(each)) for name, each in found.items()}


def points_named(student: Student, points: Points) -> tuple[float, dict[str, float]]:
    """Part of the survey points that are named as surveyed, and of those of each class; the mean is over classes."""
    together = _ACROSS**2
    named = np.empty(len(points.codes), np.int64)
    for first in range(0, len(named), together):
        part = points.reflectance[first : first + together]
        canvas = np.zeros((together, part.shape[1]), np.float32)
        canvas[: len(part)] = part
        image = canvas.reshape(_ACROSS, _ACROSS, -1).transpose(2, 0, 1)
        even = image.repeat(POINT_SIDE, axis=1).repeat(POINT_SIDE, axis=2)
        middle = slice(POINT_SIDE // 2, None, POINT_SIDE)
        named[first : first + len(part)] = student.classes(even)[middle, middle].ravel()[: len(part)]
    by_class = {CLASSES[code]: float((named[points.codes == code] == code).mean()) for code in np.unique(points.codes)}
    return float(np.mean([*by_class.values()])), by_class


def aberystwyth_groups(logits: NDArray[np.float32], data: Path) -> tuple[Tensor, Tensor]:
    """Logits (pixels, 9) and allowed classes (pixels, 9) of the scene of Aberystwyth, from logits (9, height, width)."""
    codes = torch.from_numpy(read_aberystwyth_map(data).ravel().astype(np.int64))
    rows = [torch.zeros(len(CLASSES)), *(_allowed(ABERYSTWYTH_COVER[code]) for code in sorted(ABERYSTWYTH_COVER))]
    named = (codes >= 1) & (codes <= len(ABERYSTWYTH_COVER))
    flat = torch.from_numpy(logits.reshape(len(CLASSES), -1).T)
    return flat[named], torch.stack(rows)[codes[named]]


def eurosat_groups(student: Student, patches: Iterable[Patch]) -> tuple[Tensor, Tensor]:
    """Logits and allowed classes (pixels, 9) of the areal patches."""
    logits, allowed = [], []
    for patch in patches:
        if patch.cover in EUROSAT_COVER:
            found = student.logits(reflectance_of(patch.image))[:, patch.usable].T
            logits.append(torch.from_numpy(found))
            allowed.append(_allowed(EUROSAT_COVER[patch.cover]).expand(len(found), -1))
    return torch.cat(logits), torch.cat(allowed)


def _allowed(names: tuple[str, ...]) -> Tensor:
    return torch.tensor([float(name in names) for name in CLASSES])


def group_calibration_error(logits: Tensor, allowed: Tensor, temperature: float) -> float:
    """Calibration error of the winning class, right when the independent label allows it."""
    right = allowed.gather(1, logits.argmax(dim=1, keepdim=True)).squeeze(1).double()
    return binned_gap((logits / temperature).softmax(dim=1).amax(dim=1), right)
