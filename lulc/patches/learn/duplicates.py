"""Patches that are there twice: the same pixels, or nearly the same in two splits."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lulc.errors import InputError
from lulc.grid import Grid
from lulc.patches.dataset import Patch, PatchSet
from lulc.patches.learn.split import PatchSplit

_SIDE = 16
_ROWS = 1024
_NEAR_RMS = 3.0 / 255
_LEAST_TEXTURE = 6.0 / 255


@dataclass(frozen=True, slots=True, eq=False)
class PatchSignature:
    """What is compared of a patch.

    Attributes:
        digest: Of its values.
        thumbnail: float32 (3 * 16 * 16,): its colours, 0..1.
        texture: Mean over the colours of their standard deviation; patches of open water and closed forest have little.
        picture: True for a stretched 8-bit picture.
        grid: Where its pixels lie; without CRS when the file does not say.
    """

    digest: bytes
    thumbnail: NDArray[np.float32]
    texture: float
    picture: bool
    grid: Grid


def patch_signatures(data: PatchSet, workers: int = 2) -> dict[str, PatchSignature]:
    """Read every patch of a set once.

    Raises:
        LulcError: A patch that cannot be read.
    """
    signatures = {}
    with ThreadPoolExecutor(workers) as pool:
        for patch, signature in zip(
            data.patches, pool.map(lambda patch: _signature(data, patch), data.patches), strict=True
        ):
            signatures[patch.name] = signature
            first = signatures[data.patches[0].name]
            if signature.picture != first.picture:
                kinds = ("a picture", "reflectance") if signature.picture else ("reflectance", "a picture")
                raise InputError(
                    f"{patch.name} is {kinds[0]}, {data.patches[0].name} is {kinds[1]}", "train on one kind"
                )
    return signatures


def _signature(data: PatchSet, patch: Patch) -> PatchSignature:
    image = data.read(patch)
    colors = torch.from_numpy(image.colors()).permute(2, 0, 1).float() / 255
    thumbnail = functional.adaptive_avg_pool2d(colors, _SIDE).flatten().numpy()
    texture = float(colors.flatten(1).std(dim=1).mean())
    digest = hashlib.sha256(repr(image.values.shape).encode() + np.ascontiguousarray(image.values).tobytes()).digest()
    return PatchSignature(digest, thumbnail, texture, image.is_picture, image.grid)


def same_pixels(data: PatchSet, signatures: dict[str, PatchSignature]) -> list[tuple[Patch, ...]]:
    """Groups of patches with the same values, in whatever class."""
    groups: dict[bytes, list[Patch]] = defaultdict(list)
    for patch in data.patches:
        groups[signatures[patch.name].digest].append(patch)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def near_pairs(data: PatchSet, split: PatchSplit, signatures: dict[str, PatchSignature]) -> list[tuple[str, str]]:
    """Pairs of a training patch and one of another split that look the same.

    The same means: thumbnails differ by a root mean square of at most 3 of 255. Patches without texture are not
    compared; all of open water looks the same.
    """
    train = _textured(split.of(data, "train"), signatures)
    rest = _textured((*split.of(data, "val"), *split.of(data, "test")), signatures)
    if not train or not rest:
        return []
    learnt, others = (
        torch.from_numpy(np.stack([signatures[name].thumbnail for name in names])) for names in (train, rest)
    )
    pairs = []
    for start in range(0, len(train), _ROWS):
        distance = torch.cdist(learnt[start : start + _ROWS], others) / learnt.shape[1] ** 0.5
        rows, columns = torch.nonzero(distance <= _NEAR_RMS, as_tuple=True)
        pairs += [
            (train[start + row], rest[column]) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
    return pairs


def _textured(patches: Sequence[Patch], signatures: dict[str, PatchSignature]) -> list[str]:
    return [patch.name for patch in patches if signatures[patch.name].texture >= _LEAST_TEXTURE]


_SHOWN_PAIRS = 20


@dataclass(frozen=True, slots=True)
class Leakage:
    """Number of patches that occur twice.

    Attributes:
        same: Groups of patches with the same pixels; each group lies in one split.
        of_two_classes: Groups of them whose members are of different classes: one label is wrong.
        near: Pairs of a training patch and one of another split that look the same.
        pairs: Some of those pairs.
        shared_ground: Validation and test patches that show ground which a training patch shows too.
    """

    same: int
    of_two_classes: int
    near: int
    pairs: tuple[tuple[str, str], ...]
    shared_ground: int

    @classmethod
    def found(
        cls,
        data: PatchSet,
        split: PatchSplit,
        same: Sequence[Sequence[Patch]],
        near: Sequence[tuple[str, str]],
        shared_ground: Sequence[str],
    ) -> "Leakage":
        """Count groups and pairs, without groups that the split does not use."""
        known = {patch.name for patch in data.patches if patch.name in split.names}
        used = [group for group in same if any(patch.name in known for patch in group)]
        mixed = sum(len({patch.code for patch in group}) > 1 for group in used)
        return cls(len(used), mixed, len(near), tuple(near[:_SHOWN_PAIRS]), len(shared_ground))

    def to_text(self) -> str:
        """One line."""
        wrong = f", {self.of_two_classes} of them in two classes" if self.of_two_classes else ""
        shared = f"; {self.shared_ground} patches lie partly on training ground" if self.shared_ground else ""
        return f"{self.same} groups of equal patches{wrong}; {self.near} look-alikes across splits{shared}"
