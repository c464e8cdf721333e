"""How much a student's classes change when the image is the same and its frame, light or product level is not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from data import BANDS, Patch
from student import Student, reflectance_of

from lulc.tasks.accuracy.image_changes import LEVELS, image_changes

EDGE = 8
"""Pixels at the edge of a patch that are not compared: what is beyond it is mirrored, and differs after a shift."""

_BY_LEVEL = {level: {change.name: change for change in image_changes(BANDS, level)} for level in LEVELS}

CHANGES = tuple(_BY_LEVEL["L2A"])
"""What is done to an image, by its name in tables."""


def kept(student: Student, patches: Iterable[Patch]) -> dict[str, float]:
    """Part of the pixels of a place that keep their class, by change."""
    same, total = dict.fromkeys(CHANGES, 0), 0
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    for patch in patches:
        image = reflectance_of(patch.image)
        known = np.isfinite(image).all(axis=0)[inner]
        before = student.classes(image)[inner]
        for name, change in _BY_LEVEL[patch.level].items():
            after = change.classes(student.classes, image)[inner]
            same[name] += int((before == after)[known].sum())
        total += int(known.sum())
    return {name: count / total for name, count in same.items()}
