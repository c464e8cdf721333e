"""Training samples: crops of chips, or several small chips side by side, drawn by step number alone."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.io.labels.training_set import Chip, TrainingSet
from lulc.legend import NODATA_CODE
from lulc.training.settings import SampleSettings

LEVELS = ("", "L1C", "L2A")
"""Product levels by the number that stands for them in a batch."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Square parts of chips; every `across` times `across` of them make one sample.

    Attributes:
        across: Pieces along one side of a sample.
        image: float32 (n, planes, side, side), NaN where no data.
        label: uint8 (n, 1 or K, side, side), 255 where not labelled.
        level: Index into `LEVELS`: int64 (n,).
    """

    across: int
    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    level: NDArray[np.int64]


class Samples:
    """Draws samples of the training split.

    What a step holds depends on the seed and its number alone: a resumed run draws what the unbroken one would have.

    Args:
        data: Training set.
        names: Planes to read, in order.
        settings: Size and balance of the samples.
        seed: Of the draws.
    """

    def __init__(self, data: TrainingSet, names: Sequence[str], settings: SampleSettings, seed: int) -> None:
        self._data, self._crop, self._seed = data, settings.crop, seed
        self._planes = [data.card.planes.index(name) for name in names]
        self._chips = [chip for chip in data.split("train") if sum(chip.pixels)]
        if not self._chips:
            raise InputError(f"{data.path} has no labelled chips in the split 'train'", "prepare it with other labels")
        if not sum(chip.weight for chip in self._chips):
            raise InputError(f"all chips of {data.path} have the weight 0", "give some a weight in chips.csv")
        self._odds = chip_odds(self._chips, settings.balance)
        self._across = np.array([-(-settings.crop // min(chip.height, chip.width)) for chip in self._chips])
        self._cache = Cache(self._load, settings.cache_mb * 10**6)

    def draw(self, step: int, rows: Sequence[int]) -> list[Pieces]:
        """Samples number `rows` of a step, as pieces grouped by their size."""
        groups: dict[int, list[tuple[NDArray[np.float32], NDArray[np.uint8], int]]] = {}
        for row in rows:
            rng = np.random.default_rng([self._seed, step, row])
            first = int(rng.choice(len(self._chips), p=self._odds))
            across = int(self._across[first])
            groups.setdefault(across, []).extend(self._sample(first, across, rng))
        return [_pieces(across, parts) for across, parts in sorted(groups.items())]

    def _sample(
        self, first: int, across: int, rng: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8], int]]:
        side = -(-self._crop // across)
        like = np.flatnonzero(self._across == across)
        odds = self._odds[like] / self._odds[like].sum()
        for number in [first, *rng.choice(like, across**2 - 1, p=odds)]:
            chip = self._chips[number]
            image, label = self._cache(chip)
            row, col = rng.integers(chip.height - side + 1), rng.integers(chip.width - side + 1)
            part = (slice(None), slice(row, row + side), slice(col, col + side))
            yield image[part], label[part], LEVELS.index(chip.level) if chip.level in LEVELS else 0

    def _load(self, chip: Chip) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        image, label = self._data.image(chip)[self._planes], self._data.label(chip)
        if image.shape[1:] != (chip.height, chip.width) or label.shape[1:] != image.shape[1:]:
            raise InputError(
                f"chip {chip.name}: image {image.shape[1:]}, label {label.shape[1:]}, list {chip.height, chip.width}",
                "prepare the training set again",
            )
        return image, label


def check_labels(data: TrainingSet, names: Sequence[str], split: str) -> None:
    """Refuse a split in which no pixel can be learned from or measured on.

    The list of chips may count labels that the files do not hold, so chips are read until one has a label.

    Args:
        data: Training set.
        names: Planes that a pixel needs.
        split: Name of the split.

    Raises:
        InputError: The split has no chips, or no pixel with data and a label.
    """
    planes = [data.card.planes.index(name) for name in names]
    for chip in data.split(split):
        known = (data.label(chip)[0] != NODATA_CODE) & np.isfinite(data.image(chip)[planes]).all(axis=0)
        if known.any():
            return
    raise InputError(
        f"{data.path} has no labelled pixel with data in the split {split!r}",
        "prepare it with labels that cover the scenes",
    )


def _pieces(across: int, parts: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8], int]]) -> Pieces:
    images, labels, levels = zip(*parts, strict=True)
    return Pieces(across, np.stack(images), np.stack(labels), np.array(levels))


def chip_odds(chips: Sequence[Chip], balance: float) -> NDArray[np.float64]:
    """Chance of each chip to be drawn: float64 (chips,), summing to 1.

    With `balance` 1 a chip counts by the mean, over its labelled pixels, of 1 / (share of the pixel's class in the
    split); with 0 by its own weight alone; in between by a geometric mix.
    """
    pixels = np.array([chip.pixels for chip in chips], dtype=np.float64)
    rarity = 1 / np.maximum(pixels.sum(axis=0) / pixels.sum(), 1e-6)
    odds = np.array([chip.weight for chip in chips]) * ((pixels @ rarity) / pixels.sum(axis=1)) ** balance
    normalised: NDArray[np.float64] = odds / odds.sum()
    return normalised


class Named(Protocol):
    """What a cache knows things by."""

    @property
    def name(self) -> str:
        """Its own among all that are cached."""


Thing = TypeVar("Thing", bound=Named)
Arrays = TypeVar("Arrays", bound=tuple[NDArray[Any], ...])


class Cache(Generic[Thing, Arrays]):
    """Decoded chips or patches, the least recently used dropped when memory is spent; safe for several threads.

    Args:
        load: Reads one.
        limit: Bytes to keep.
    """

    def __init__(self, load: Callable[[Thing], Arrays], limit: int) -> None:
        self._load, self._limit, self._bytes = load, limit, 0
        self._kept: OrderedDict[str, Arrays] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, thing: Thing) -> Arrays:
        """Arrays of a chip or patch."""
        with self._lock:
            if thing.name in self._kept:
                self._kept.move_to_end(thing.name)
                return self._kept[thing.name]
        loaded = self._load(thing)
        with self._lock:
            if thing.name not in self._kept:
                self._kept[thing.name] = loaded
                self._bytes += _size(loaded)
            while self._bytes > self._limit and self._kept:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
        return loaded


def _size(arrays: tuple[NDArray[Any], ...]) -> int:
    return sum(array.nbytes for array in arrays)
