"""The split of patches into training, validation and test."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lulc.errors import InputError
from lulc.io.files.atomic import write_whole
from lulc.io.files.csv_text import csv_text
from lulc.model.bundle import read_beside
from lulc.patches.dataset import Patch, PatchSet
from lulc.patches.learn.settings import SplitSettings
from lulc.resources import read_regular
from lulc.split import SPLITS, stratified_split

SPLIT_FILE = "split.csv"

_MOST_BYTES = 1 << 30
_COLUMNS = ["name", "split"]


@dataclass(frozen=True)
class PatchSplit:
    """Which split each patch belongs to.

    Attributes:
        names: Patch name to `train`, `val` or `test`.
    """

    names: Mapping[str, str]

    def of(self, data: PatchSet, split: str) -> tuple[Patch, ...]:
        """Patches of a set that lie in a split, by name."""
        return tuple(patch for patch in data.patches if self.names.get(patch.name) == split)

    def counts(self) -> dict[str, int]:
        """Patches in each split."""
        values = list(self.names.values())
        return {split: values.count(split) for split in SPLITS}

    def write(self, path: Path, only: Sequence[str] = SPLITS) -> None:
        """Write as CSV with the columns name and split; an existing file is replaced."""
        rows = (entry for entry in sorted(self.names.items()) if entry[1] in only)
        write_whole(path, csv_text(_COLUMNS, rows).encode())


def read_split(path: Path) -> PatchSplit:
    """Read a `split.csv`.

    Raises:
        InputError: Not there, or not such a file.
    """
    try:
        return _parsed(read_regular(path, _MOST_BYTES), str(path))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error}", "give a CSV file with the columns name and split"
        ) from error


def _parsed(content: bytes, source: str) -> PatchSplit:
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{source} cannot be read: {error}", "give a CSV file with the columns name and split"
        ) from error
    if not rows or rows[0] != _COLUMNS:
        raise InputError(f"{source} has no columns name and split", "give the split.csv of a run")
    names: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(_COLUMNS) or row[1] not in SPLITS or row[0] in names:
            raise InputError(f"{source}: line {number} is not NAME,SPLIT or names a patch twice", "correct that line")
        names[row[0]] = row[1]
    return PatchSplit(names)


def model_split(model: str | Path) -> PatchSplit | None:
    """The split that a model was trained on, where its bundle says it (the shipped model lists its test patches)."""
    content = read_beside(model, SPLIT_FILE)
    return None if content is None else _parsed(content, f"{model}/{SPLIT_FILE}")


def split_patches(
    data: PatchSet,
    settings: SplitSettings,
    groups: Iterable[Sequence[Patch]] = (),
    blocks: Iterable[Sequence[Patch]] = (),
) -> PatchSplit:
    """Assign patches to splits: each class by the same fractions, patches of one group together.

    Args:
        data: What to split.
        settings: Fractions and seed, or the file that says it.
        groups: Patches that must not be torn apart (duplicates).
        blocks: All patches by the ground that they lie on; when given, whole blocks are assigned and classes get their
            fractions as nearly as that allows.

    Raises:
        InputError: A split of a fraction above 0 gets no patch, or a class has none to learn from.
    """
    if settings.file is not None:
        names = {patch.name for patch in data.patches}
        split = PatchSplit({name: part for name, part in read_split(settings.file).names.items() if name in names})
    elif blocks:
        split = _by_blocks(data, settings, _united([*groups, *blocks]))
    else:
        split = PatchSplit(dict(_by_class(data, settings, groups)))
    for name in ("train", "val"):
        present = {patch.code for patch in split.of(data, name)}
        lacking = [each for code, each in enumerate(data.classes, 1) if code not in present]
        if (name == "train" and lacking) or not present:
            which = f" of {lacking[0]}" if present else ""
            raise InputError(f"no patches{which} fall into the split {name}", "give more patches, or other shares")
    return split


def _by_class(data: PatchSet, settings: SplitSettings, groups: Iterable[Sequence[Patch]]) -> Iterator[tuple[str, str]]:
    bound = {patch.name: tuple(group) for group in groups for patch in group}
    seen: set[str] = set()
    for code, name in enumerate(data.classes, 1):
        members = [patch for patch in data.patches if patch.code == code]
        # The class's own name seeds its split: one class more does not move its patches.
        own = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
        order = np.random.default_rng([settings.seed, own]).permutation(len(members))
        wanted = {"test": round(settings.test * len(members)), "val": round(settings.val * len(members))}
        for position in order:
            group = bound.get(members[position].name, (members[position],))
            if group[0].name in seen:
                continue
            split = next((part for part, left in wanted.items() if left >= len(group)), "train")
            if split in wanted:
                wanted[split] -= len(group)
            seen.update(patch.name for patch in group)
            yield from ((patch.name, split) for patch in group)


def _united(groups: Iterable[Sequence[Patch]]) -> list[frozenset[Patch]]:
    """Groups that share a patch become one."""
    holders: dict[Patch, frozenset[Patch]] = {}
    for group in groups:
        whole = frozenset[Patch]().union(*(holders.get(patch, {patch}) for patch in group))
        holders |= dict.fromkeys(whole, whole)
    return list(dict.fromkeys(holders.values()))


def _by_blocks(data: PatchSet, settings: SplitSettings, groups: Sequence[Iterable[Patch]]) -> PatchSplit:
    number_of = {patch: number for number, group in enumerate(groups) for patch in group}
    blocks = np.array([number_of[patch] for patch in data.patches])
    classes = np.eye(len(data.classes), dtype=np.int64)[[patch.code - 1 for patch in data.patches]]
    splits = stratified_split(blocks, classes, (settings.train, settings.val, settings.test), settings.seed)
    return PatchSplit({patch.name: SPLITS[split] for patch, split in zip(data.patches, splits, strict=True)})
