"""The training set: a folder of chips with labels, split by place, and what is known of them.

* SET/set.json     what the chips are: features, legend, split, sources
* SET/chips.csv    one line a chip: where it is from, its split, how many pixels of each class
* SET/images/      float32 (planes, height, width), reflectance of bands and values of indices, NaN where no data
* SET/labels/      uint8: codes (1, height, width), 255 unlabelled; or shares (K, height, width), 255 unlabelled
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lulc.config import Table, parse_config, parse_json
from lulc.errors import ConfigError, InputError, raised_as
from lulc.features import FeatureSpec
from lulc.grid import Grid
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.files.storage import storage_errors
from lulc.io.labels.chip_files import read_chip, write_chip
from lulc.legend import NODATA_CODE, Legend
from lulc.options import ChipFormat
from lulc.resources import open_regular, read_regular
from lulc.split import SPLITS

SET_CARD = "set.json"
CHIP_LIST = "chips.csv"
_MOST_CARD_BYTES, _MOST_LIST_BYTES = 16 << 20, 4 << 30

Labels = Literal["codes", "shares"]


class SetCard(Table):
    """What a training set says about itself; the schema of `set.json`.

    Attributes:
        format: Of the folder.
        name: Short name.
        summary: A sentence for the model card.
        features: Channels, normalised by the statistics of the training split.
        planes: What the image files hold, in order: bands, then indices.
        legend: Class codes, names, colours.
        labels: `codes`, or `shares` of each class (soft labels).
        files: Format of the chips.
        resolution_m: Pixel size, metres.
        levels: Product levels, such as `L2A`.
        sources: What the chips were cut from.
        split: How the chips were split.
        attribution: Sentences that models and maps made from the set must carry.
    """

    format: Literal["lulc-training-set-1"] = "lulc-training-set-1"
    name: str
    summary: str = ""
    features: FeatureSpec
    planes: tuple[str, ...]
    legend: dict[str, Any]
    labels: Labels = "codes"
    files: ChipFormat = "tif"
    resolution_m: float | None = None
    levels: tuple[str, ...] = ()
    sources: tuple[dict[str, Any], ...] = ()
    split: dict[str, Any] = Field(default_factory=dict)
    attribution: tuple[str, ...] = ()

    @property
    def classes(self) -> Legend:
        """The legend as an object."""
        return Legend.from_table(self.legend, f"legend of the training set {self.name}")


@dataclass(frozen=True, slots=True)
class Chip:
    """One line of the list of chips.

    Attributes:
        name: Stem of its files.
        split: `train`, `val` or `test`.
        source: What it was cut from.
        row: First row in that source.
        col: First column in that source.
        height: Rows.
        width: Columns.
        block: Number of its spatial block; a block lies in one split.
        level: Product level, or empty.
        weight: How often it is drawn, relative to others.
        pixels: Labelled pixels of each class, in order of codes (most probable class of soft labels).
    """

    name: str
    split: str
    source: str
    row: int
    col: int
    height: int
    width: int
    block: int
    level: str
    weight: float
    pixels: tuple[int, ...]


class TrainingSet:
    """An open training set; made by `open_training_set`.

    Attributes:
        path: Its folder.
        card: What it says about itself.
        chips: All chips.
    """

    def __init__(self, path: Path, card: SetCard, chips: Sequence[Chip]) -> None:
        self.path, self.card, self.chips = path, card, tuple(chips)

    def split(self, name: str) -> tuple[Chip, ...]:
        """Chips of a split.

        Raises:
            InputError: It has none.
        """
        chosen = tuple(chip for chip in self.chips if chip.split == name)
        if not chosen:
            known = ", ".join(sorted({chip.split for chip in self.chips}))
            raise InputError(f"{self.path} has no chips of the split {name!r}", f"it has: {known}")
        return chosen

    def class_pixels(self, name: str) -> NDArray[np.int64]:
        """Labelled pixels of each class in a split: int64 (K,)."""
        counts: NDArray[np.int64] = np.sum([chip.pixels for chip in self.split(name)], axis=0, dtype=np.int64)
        return counts

    def image(self, chip: Chip) -> NDArray[np.float32]:
        """Reflectance of bands and values of indices: float32 (planes, height, width), NaN where no data."""
        planes = read_chip(self._file("images", chip.name))
        if len(planes) != len(self.card.planes):
            raise InputError(f"{chip.name} has {len(planes)} planes", f"{SET_CARD} names {len(self.card.planes)}")
        return planes.astype(np.float32, copy=False)

    def label(self, chip: Chip) -> NDArray[np.uint8]:
        """Codes uint8 (1, height, width), or shares uint8 (K, height, width); 255 where not labelled."""
        planes: NDArray[np.uint8] = read_chip(self._file("labels", chip.name)).astype(np.uint8, copy=False)
        classes = len(self.card.classes)
        if len(planes) != (1 if self.card.labels == "codes" else classes):
            raise InputError(
                f"the label of {chip.name} has {len(planes)} planes", f"{SET_CARD} says {self.card.labels}"
            )
        if self.card.labels == "codes" and ((planes - np.uint8(1) >= classes) & (planes != NODATA_CODE)).any():
            raise InputError(
                f"the label of {chip.name} holds a code that is no class", "prepare the training set again"
            )
        return planes

    def fingerprint(self) -> str:
        """SHA-256 of the card and the list of chips."""
        return hashlib.sha256(b"".join((self.path / name).read_bytes() for name in (SET_CARD, CHIP_LIST))).hexdigest()

    def _file(self, kind: str, name: str) -> Path:
        return self.path / kind / f"{name}.{self.card.files}"


def is_training_set(path: Path) -> bool:
    """True for the folder of a training set."""
    return (path / SET_CARD).is_file()


def open_training_set(path: AnyPath) -> TrainingSet:
    """Open a training set.

    Raises:
        InputError: Not a training set, or its list of chips is not complete.
        ConfigError: Its card is not valid.
    """
    path = as_path(path)
    problem, remedy = f"{path} is not a training set", "make one with lulc prepare"
    with raised_as(InputError, problem, remedy, OSError, ValueError, TypeError, KeyError):
        table = parse_json(read_regular(path / SET_CARD, _MOST_CARD_BYTES))
        card = parse_config(SetCard, table, str(path / SET_CARD))
        with os.fdopen(open_regular(path / CHIP_LIST, _MOST_LIST_BYTES), encoding="utf-8", newline="") as file:
            chips = [_parsed(row, len(card.classes)) for row in csv.DictReader(file)]
    if not chips:
        raise InputError(f"{path / CHIP_LIST} lists no chips", "prepare the training set again")
    return TrainingSet(path, card, chips)


def write_set_lists(path: Path, card: SetCard, chips: Iterable[Chip]) -> None:
    """Write `set.json` and `chips.csv` into a folder whose chips are written."""
    codes = range(1, len(card.classes) + 1)
    with storage_errors(path / CHIP_LIST), (path / CHIP_LIST).open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([*_COLUMNS, *(f"class_{code}" for code in codes)])
        lines.writerows([*(getattr(chip, column) for column in _COLUMNS), *chip.pixels] for chip in chips)
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    with storage_errors(path / SET_CARD):
        (path / SET_CARD).write_text(text + "\n", encoding="utf-8")


def write_pair(
    folder: Path,
    card: SetCard,
    name: str,
    image: NDArray[np.float32],
    label: NDArray[np.uint8],
    grid: Grid | None = None,
) -> None:
    """Write the image and the label of one chip of a set.

    Args:
        folder: Of the set.
        card: Of the set.
        name: Of the chip.
        image: float32 (planes, height, width), NaN where no data.
        label: uint8 (1 or K, height, width), 255 where not labelled.
        grid: Where the chip lies, or None.
    """
    for kind, planes, names in (
        ("images", image, card.planes),
        ("labels", label, ("class",) if card.labels == "codes" else card.classes.names),
    ):
        (folder / kind).mkdir(exist_ok=True)
        write_chip(folder / kind / f"{name}.{card.files}", planes, names, grid)


def label_pixels(label: NDArray[np.uint8], classes: int) -> tuple[int, ...]:
    """Labelled pixels of each class in the label of a chip (most probable class of soft labels)."""
    codes = label[0] if len(label) == 1 else np.where(label[0] == NODATA_CODE, NODATA_CODE, label.argmax(0) + 1)
    counts = np.bincount(codes.ravel(), minlength=NODATA_CODE + 1)
    if counts[0] or counts[classes + 1 : NODATA_CODE].any():
        raise ConfigError("a label holds a code that its legend does not", "check the legend of the labels")
    return tuple(int(count) for count in counts[1 : classes + 1])


_COLUMNS = ("name", "split", "source", "row", "col", "height", "width", "block", "level", "weight")


def _parsed(row: dict[str, str], classes: int) -> Chip:
    pixels = tuple(int(row[f"class_{code}"]) for code in range(1, classes + 1))
    name = row["name"]
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"{name!r} is no name of a chip")
    if row["split"] not in SPLITS:
        raise ValueError(f"chip {name} has the split {row['split']!r}; use {', '.join(SPLITS)}")
    numbers = {key: int(row[key]) for key in ("row", "col", "height", "width", "block")}
    weight = float(row["weight"])
    if min(numbers["height"], numbers["width"]) < 1 or min(pixels) < 0 or not 0 <= weight < float("inf"):
        raise ValueError(f"chip {name} has a size, a weight or a number of pixels out of range")
    return Chip(
        name=name, split=row["split"], source=row["source"], level=row["level"], weight=weight, pixels=pixels, **numbers
    )
