"""Describe what networks are trained on, a training set or labelled patches, and what would be wrong with it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lulc.errors import LulcError
from lulc.io.labels.training_set import TrainingSet, open_training_set
from lulc.patches.dataset import Patch, PatchSet, open_patch_set
from lulc.patches.image import PatchImage
from lulc.split import SPLITS

Found = tuple[dict[str, Any], tuple[dict[str, Any], ...], tuple[str, ...]]
"""Facts by name, a table of the classes, and problems."""

_LOOKED_AT = 64


def patch_facts(path: Path, bands: Sequence[str] | None) -> Found:
    """Facts, a table of classes, and problems of class folders; at most 64 patches are opened.

    Args:
        path: Folder or zip archive.
        bands: Names of the bands in order, when the files do not state them.

    Raises:
        InputError: There are no class folders with patches.
        LimitError: There are too many patches.
    """
    data = open_patch_set(path, bands)
    counts = Counter(patch.code for patch in data.patches)
    images, refusals = _opened(data)
    looked_at = len(images) + len(refusals)
    facts: dict[str, Any] = {"patches": len(data.patches), "looked_at": looked_at}
    problems = [f"{len(refusals)} of {looked_at} looked at are refused; {refusals[0]}"] if refusals else []
    if images:
        facts |= {
            "sizes": sorted({"{1} x {2}".format(*image.values.shape) for image in images}),
            "bands": sorted({" ".join(image.names) for image in images}),
            "kind": sorted({"picture" if image.is_picture else "reflectance" for image in images}),
            "georeferenced": sum(image.grid.georeferenced for image in images),
        }
        problems += [f"patches differ in their {name}" for name in ("bands", "kind") if len(facts[name]) > 1]
    table = tuple({"code": code, "class": name, "patches": counts[code]} for code, name in enumerate(data.classes, 1))
    return facts, table, tuple(problems)


def _opened(data: PatchSet) -> tuple[list[PatchImage], list[str]]:
    """Images of some patches, spread over the set, and the reasons why others are refused."""
    images, refusals = [], []
    for patch in _spread(data.patches):
        try:
            images.append(data.read(patch))
        except LulcError as error:
            refusals.append(str(error))
    return images, refusals


def _spread(patches: tuple[Patch, ...]) -> list[Patch]:
    chosen = np.linspace(0, len(patches) - 1, min(_LOOKED_AT, len(patches))).round().astype(int)
    return [patches[number] for number in chosen]


def set_facts(path: Path) -> Found:
    """Facts, a table of classes, and problems of a training set.

    Raises:
        InputError: The folder is not a valid training set.
        ConfigError: The card or the list of chips is not valid.
    """
    data = open_training_set(path)
    card = data.card
    facts = {
        "name": card.name,
        "summary": card.summary,
        "planes": list(card.planes),
        "labels": card.labels,
        "legend": card.classes.name,
        "files": card.files,
        "levels": list(card.levels),
        "resolution_m": card.resolution_m,
        **{f"{split}_chips": len([chip for chip in data.chips if chip.split == split]) for split in SPLITS},
        "split": card.split,
    }
    return facts, _class_table(data), _problems(data)


def _class_table(data: TrainingSet) -> tuple[dict[str, Any], ...]:
    counts = {split: _pixels(data, split) for split in SPLITS}
    return tuple(
        {
            "code": entry.code,
            "class": entry.name,
            **{f"{split}_px": int(counts[split][entry.code - 1]) for split in SPLITS},
        }
        for entry in data.card.classes
    )


def _pixels(data: TrainingSet, split: str) -> Any:  # noqa: ANN401 - an array of counts
    pixels = [chip.pixels for chip in data.chips if chip.split == split]
    return np.sum(pixels, axis=0) if pixels else np.zeros(len(data.card.classes), np.int64)


def _problems(data: TrainingSet) -> tuple[str, ...]:
    """Missing chip files, splits without chips, and classes without training pixels."""
    suffix = data.card.files
    missing = [
        f"{kind}/{chip.name}.{suffix}"
        for chip in data.chips
        for kind in ("images", "labels")
        if not (data.path / kind / f"{chip.name}.{suffix}").is_file()
    ]
    found = [f"{len(missing)} files are missing, such as {missing[0]}"] if missing else []
    found += [f"there are no {split} chips" for split in ("train", "val") if not _pixels(data, split).any()]
    unseen = [name for name, pixels in zip(data.card.classes.names, _pixels(data, "train"), strict=True) if not pixels]
    if unseen:
        found.append(f"training has no {', '.join(unseen)}")
    return tuple(found)
