"""Training patches: every one once an epoch in a new order, or drawn so that classes are even."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.patches.dataset import Patch, PatchSet
from lulc.patches.pixels import Planes, planes_of, reflectance
from lulc.training.samples import Cache, Pieces


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some patches.

    Attributes:
        values: Reflectance, or 0..1 of pictures: float32 (n, bands, side, side), NaN where not valid.
        codes: Class index from 0: int64 (n,).
    """

    values: NDArray[np.float32]
    codes: NDArray[np.int64]

    def pieces(self) -> Pieces:
        """The same for `lulc.training.augment`: labels cover their patches, uint8 codes from 1."""
        count, _, side, _ = self.values.shape
        label = np.broadcast_to((self.codes + 1).astype(np.uint8)[:, None, None, None], (count, 1, side, side))
        return Pieces(1, self.values, np.ascontiguousarray(label), np.zeros(count, np.int64))


class PatchReader:
    """Reads patches of a set as planes of one size, and keeps what fits into memory.

    Args:
        data: The patches.
        bands: Bands to read, in order.
        side: Side of the result, pixels.
        cache_mb: Memory for decoded patches.
        pictures: What all of them must be: pictures, or reflectance.
    """

    def __init__(self, data: PatchSet, bands: Sequence[str], side: int, cache_mb: int, *, pictures: bool) -> None:
        self._data, self._bands, self.side, self._pictures = data, tuple(bands), side, pictures
        self._cache: Cache[Patch, Planes] = Cache(self._load, cache_mb * 10**6)

    def read(self, patches: Sequence[Patch]) -> Batch:
        """Patches as one batch.

        Raises:
            InputError: One cannot be read, or is of another kind than the others.
        """
        values = reflectance([self._cache(patch) for patch in patches])
        return Batch(values, np.array([patch.code - 1 for patch in patches], np.int64))

    def _load(self, patch: Patch) -> Planes:
        image = self._data.read(patch)
        if image.is_picture != self._pictures:
            kinds = ("reflectance", "a picture") if self._pictures else ("a picture", "reflectance")
            raise InputError(f"{image.name} is {kinds[0]}, other patches are {kinds[1]}", "train on one kind")
        return planes_of(image, self._bands, self.side)


class PatchSamples:
    """Which patches a step takes: by the seed and the step's number alone, so that a resumed run goes on as it was.

    Args:
        patches: To draw from.
        batch: Patches a step, over all processes.
        balance: 0 takes each of them once an epoch; 1 draws classes equally often.
        seed: Of the draws.
    """

    def __init__(self, patches: Sequence[Patch], batch: int, balance: float, seed: int) -> None:
        self._patches, self._batch, self._seed = tuple(patches), batch, seed
        codes = np.array([patch.code for patch in patches])
        rarity = (len(codes) / np.bincount(codes)[codes]) ** balance
        self._odds = rarity / rarity.sum() if balance else None
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def draw(self, step: int, rows: Sequence[int]) -> list[Patch]:
        """Patches number `rows` of a step."""
        if self._odds is not None:
            rng = np.random.default_rng([self._seed, step])
            drawn = rng.choice(len(self._patches), self._batch, p=self._odds)
            return [self._patches[drawn[row]] for row in rows]
        positions = (divmod(step * self._batch + row, len(self._patches)) for row in rows)
        return [self._patches[self._order(epoch)[index]] for epoch, index in positions]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, 1, epoch]).permutation(len(self._patches))
