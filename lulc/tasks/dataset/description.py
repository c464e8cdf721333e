"""Describe a training set, and what would be wrong with training on it."""

from pathlib import Path
from typing import Any

import numpy as np

from lulc.io.labels.training_set import TrainingSet, open_training_set
from lulc.split import SPLITS


def set_facts(path: Path) -> tuple[dict[str, Any], tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Facts, a table of classes, and problems of a training set.

    Raises:
        InputError: The folder is not a valid training set.

    Raises:
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
    return facts, _classes(data), _problems(data)


def _classes(data: TrainingSet) -> tuple[dict[str, Any], ...]:
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
