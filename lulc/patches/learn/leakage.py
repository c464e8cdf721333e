"""Patches that occur twice: equal pixels, look-alikes across splits, shared ground."""

from collections.abc import Sequence
from dataclasses import dataclass

from lulc.patches.dataset import Patch, PatchSet
from lulc.patches.learn.split import PatchSplit

_SHOWN_PAIRS = 20


@dataclass(frozen=True, slots=True)
class Leakage:
    """What was found twice among the patches.

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
        """Count what was found, leaving out groups that the split does not use."""
        known = {patch.name for patch in data.patches if patch.name in split.names}
        used = [group for group in same if any(patch.name in known for patch in group)]
        mixed = sum(len({patch.code for patch in group}) > 1 for group in used)
        return cls(len(used), mixed, len(near), tuple(near[:_SHOWN_PAIRS]), len(shared_ground))

    def to_text(self) -> str:
        """One line."""
        wrong = f", {self.of_two_classes} of them in two classes" if self.of_two_classes else ""
        shared = f"; {self.shared_ground} patches lie partly on training ground" if self.shared_ground else ""
        return f"{self.same} groups of equal patches{wrong}; {self.near} look-alikes across splits{shared}"
