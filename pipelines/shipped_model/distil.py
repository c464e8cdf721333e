"""What several students think together, as labels for the next one: of labelled images, and of images made from them.

A student copies the accidents of its teacher's grid and of its own training places. The mean of several, over shifted
and turned views, does so less. Images that no teacher has seen show the next student how the mean goes on away from
the training places ("function matching", Beyer et al. 2022, arXiv:2106.05237).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from data import BANDS, LABEL_NODATA, Patch, by_place
from numpy.typing import NDArray
from student import Student, reflectance_of
from torch.nn import functional

TEACHER_SHARE = 0.4
"""Weight of the teacher's own label beside the students'."""

VIEWS = ((0, 0, 0), (1, 2, 1), (2, 1, 2), (3, 3, 3))
"""Rows and columns that are cut off, and quarter turns, of each view."""

IMAGINED = "imagined"
"""Place of images that are not of one place."""

SIDE = 128
_MOST_RESTYLED = 0.5
_LEAST_PART = 0.25


def opinion(students: Sequence[Student], image: NDArray[np.uint16], views: int) -> NDArray[np.float32]:
    """Mean probabilities (9, height, width) of students over the first `views` views of an image."""
    reflectance = reflectance_of(image)
    total = torch.zeros(9, *image.shape[1:])
    for rows, cols, turns in VIEWS[:views]:
        view = np.rot90(reflectance[:, rows:, cols:], turns, (1, 2))
        for student in students:
            found = torch.from_numpy(student.logits(np.ascontiguousarray(view))).softmax(dim=0)
            back = torch.rot90(found, -turns, (1, 2))
            total += functional.pad(back[None], (cols, 0, rows, 0), mode="replicate")[0]
    return (total / (len(students) * views)).numpy()


def taught(patch: Patch, students: Sequence[Student]) -> Patch:
    """A patch labelled by its teacher and by students; by students alone where the teacher's label is not used."""
    ours = opinion(students, patch.image, len(VIEWS))
    theirs = patch.percent.astype(np.float32)
    total = theirs.sum(axis=0)
    known = (patch.percent[0] != LABEL_NODATA) & (total > 0)
    share = np.where(known, TEACHER_SHARE, 0.0)
    theirs = np.where(known, theirs / np.where(known, total, 1.0), 0.0)
    return _labelled(patch.place, patch.name, patch.level, patch.image, share * theirs + (1 - share) * ours)


def imagined(
    patches: Sequence[Patch], students: Sequence[Student], count: int, random: np.random.Generator
) -> Iterator[Patch]:
    """Images made from patches, labelled by students: one in the colours of another place, or two mixed.

    Places are drawn alike, and then their patches.
    """
    groups = [*by_place(patches).values()]

    def drawn() -> Patch:
        group = groups[random.integers(len(groups))]
        return group[random.integers(len(group))]

    for number in range(count):
        one, other = drawn(), drawn()
        image = (_restyled if number % 2 else _mixed)(_crop(one, random), _crop(other, random), random)
        percent = opinion(students, image, 1)
        yield _labelled(IMAGINED, f"{number:05d}", one.level, image, percent)


def unlabelled(data: Path, students: Sequence[Student]) -> Iterator[Patch]:
    """Clear images that no teacher has seen, labelled by students."""
    with np.load(data / "segmentation" / "clouds_l1c.npz") as archive:
        for number, (place, image) in enumerate(zip(archive["place"], archive["clear"], strict=True)):
            yield _labelled(str(place), f"clear_{number:02d}", "L1C", image, opinion(students, image, len(VIEWS)))


def _labelled(place: str, name: str, level: str, image: NDArray[np.uint16], shares: NDArray[np.floating]) -> Patch:
    percent = np.rint(100 * shares).astype(np.uint8)
    percent[:, (image == 0).all(axis=0)] = LABEL_NODATA
    return Patch(place, name, level, image, percent)


def _crop(patch: Patch, random: np.random.Generator) -> NDArray[np.float32]:
    """A random square of `SIDE` of a patch, or all of a smaller one, mirrored; randomly turned: reflectance x 10000."""
    image = patch.image.astype(np.float32)
    short = [(0, max(0, SIDE - side)) for side in image.shape[1:]]
    image = np.pad(image, ((0, 0), *short), mode="symmetric")
    row, col = (int(random.integers(side - SIDE + 1)) for side in image.shape[1:])
    return np.rot90(image[:, row : row + SIDE, col : col + SIDE], int(random.integers(4)), (1, 2))


def _restyled(one: NDArray[np.float32], other: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.uint16]:
    """The first image with each band's mean moved part of the way to that of the other."""
    mine, theirs = (
        np.array([np.median(band[band > 0]) if (band > 0).any() else 1.0 for band in image]) for image in (one, other)
    )
    gain = (theirs / mine) ** random.uniform(0.1, _MOST_RESTYLED)
    return _counts(one * gain[:, None, None])


def _mixed(one: NDArray[np.float32], other: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.uint16]:
    """Two images on top of each other; no data where either has none."""
    share = random.uniform(_LEAST_PART, 1 - _LEAST_PART)
    mixed = share * one + (1 - share) * other
    mixed[:, (one == 0).all(axis=0) | (other == 0).all(axis=0)] = 0
    return _counts(mixed)


def _counts(image: NDArray[np.floating]) -> NDArray[np.uint16]:
    if len(image) != len(BANDS):
        raise ValueError(f"{len(image)} bands, not {len(BANDS)}")
    return np.clip(np.rint(image), 0, 65535).astype(np.uint16)
