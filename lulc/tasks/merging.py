"""How maps of one place become one: objects that are fed one map after the other and asked for the result.

All work on one window. Memory is that of a few planes per class, however many maps there are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from lulc.grid import Window
from lulc.legend import NODATA_CODE

Method = Literal["activations", "confidence", "first", "latest", "majority"]

_OWN_CLASS = np.float32(1e-5)
"""Added to the activation of a map's own class: that breaks ties between equal bytes as the map itself did."""

_NO_MAP = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class MapPart:
    """What one map says of a window.

    Attributes:
        number: Of the map, from 1.
        codes_around: uint8, class codes of the window and a margin around it; 255 where the map has no data.
        window: The window.
        around: The window with its margin.
        feather: Distance from its edge and holes over which the map fades in, pixels; at most the margin.
        read_activations: Gives float32 (K, height, width) of the window, NaN where the map has no data.
    """

    number: int
    codes_around: NDArray[np.uint8]
    window: Window
    around: Window
    feather: int
    read_activations: Callable[[], NDArray[np.float32]]

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """Class codes of the window: uint8 (height, width)."""
        codes: NDArray[np.uint8] = self.codes_around[self.window.slices(self.around)]
        return codes

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """True where the map has data: bool (height, width)."""
        valid: NDArray[np.bool_] = self.codes != NODATA_CODE
        return valid

    @cached_property
    def activations(self) -> NDArray[np.float32]:
        """float32 (K, height, width), 0 where the map has no data; its own class leads among equals."""
        shares = self.read_activations()
        shares[:, ~self.valid] = 0
        own = np.minimum(self.codes, len(shares)).astype(np.intp)[None] - 1
        leading = np.take_along_axis(shares, own, axis=0) + np.where(self.valid, _OWN_CLASS, 0)
        np.put_along_axis(shares, own, leading, axis=0)
        return shares

    def weight(self) -> NDArray[np.float32]:
        """What the map counts: float32 (height, width), 0 without data, rising from its edge and holes to 1.

        The rise is smooth at both ends (3 d^2 - 2 d^3 of the distance d in feathers).
        """
        known = self.codes_around != NODATA_CODE
        if known.all() or self.feather == 0:
            return self.valid.astype(np.float32)
        distance = np.asarray(distance_transform_edt(known), np.float32)[self.window.slices(self.around)]
        share = np.minimum(distance / np.float32(self.feather), np.float32(1))
        weight: NDArray[np.float32] = share * share * (3 - 2 * share)
        return weight


@dataclass(frozen=True, eq=False)
class Merged:
    """What all maps say of a window.

    Attributes:
        codes: Class codes, uint8 (height, width), 255 where no map has data.
        shares: Activations, float32 (K, height, width), or None when classes were merged; anything without data.
        source: Number of the map that counts most, int32 (height, width), 0 where there is none.
        confidence: float32 (height, width), 0..1.
    """

    codes: NDArray[np.uint8]
    shares: NDArray[np.float32] | None
    source: NDArray[np.int32]
    confidence: NDArray[np.float32]


class Merge(Protocol):
    """Takes maps in their order of precedence."""

    def feed(self, part: MapPart) -> None:
        """Take in one map."""

    def result(self) -> Merged:
        """What came of it."""


def merge_of(method: Method, classes: int, shape: tuple[int, int]) -> Merge:
    """A new merge of one window."""
    if method == "activations":
        return AverageActivations(classes, shape)
    if method == "confidence":
        return MostConfident(shape)
    return Votes(classes, shape, majority=method == "majority")


class AverageActivations:
    """The weighted mean of activations, and one argmax of it.

    The source is the map of largest weight, the first of equals; the confidence is the mean activation of the class.
    """

    def __init__(self, classes: int, shape: tuple[int, int]) -> None:
        self._sum = np.zeros((classes, *shape), np.float32)
        self._weight = np.zeros(shape, np.float32)
        self._largest = np.zeros(shape, np.float32)
        self._source = np.zeros(shape, np.int32)

    def feed(self, part: MapPart) -> None:
        """Take in one map."""
        weight = part.weight()
        for number, share in enumerate(part.activations):  # class by class: no second cube in memory
            self._sum[number] += share * weight
        self._weight += weight
        leads = weight > self._largest
        self._largest[leads] = weight[leads]
        self._source[leads] = part.number

    def result(self) -> Merged:
        """Means, their argmax, and where they come from."""
        valid = self._source > 0
        shares: NDArray[np.float32] = self._sum / np.where(valid, self._weight, np.float32(1))
        codes = np.where(valid, shares.argmax(axis=0) + 1, NODATA_CODE).astype(np.uint8)
        return Merged(codes, shares, self._source, np.minimum(shares.max(axis=0), 1))


class MostConfident:
    """The class of the map that is surest of its own; the first of equals."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._codes = np.full(shape, NODATA_CODE, np.uint8)
        self._source = np.zeros(shape, np.int32)
        self._confidence = np.zeros(shape, np.float32)

    def feed(self, part: MapPart) -> None:
        """Take in one map."""
        confidence = part.activations.max(axis=0)
        surer = part.valid & ((confidence > self._confidence) | (self._source == 0))
        self._codes[surer] = part.codes[surer]
        self._source[surer] = part.number
        self._confidence[surer] = confidence[surer]

    def result(self) -> Merged:
        """Classes, and the activation that each had in its map."""
        return Merged(self._codes, None, self._source, np.minimum(self._confidence, 1))


class Votes:
    """The class of the first map with data, or of most maps (of equally many, that of the first map).

    The source is the first map that says so; the confidence is the share of the maps with data that say so.
    """

    def __init__(self, classes: int, shape: tuple[int, int], *, majority: bool) -> None:
        self._majority = majority
        self._votes = np.zeros((classes, *shape), np.int32)
        self._first = np.full((classes, *shape), _NO_MAP, np.int32)

    def feed(self, part: MapPart) -> None:
        """Take in one map."""
        for number, first in enumerate(self._first):
            here = part.codes == number + 1
            self._votes[number] += here
            np.minimum(first, np.where(here, part.number, _NO_MAP), out=first)

    def result(self) -> Merged:
        """Classes and how many maps agree."""
        rank = self._first.astype(np.int64)
        if self._majority:
            rank -= self._votes.astype(np.int64) << 32
        winner = rank.argmin(axis=0)[None]
        votes = np.take_along_axis(self._votes, winner, axis=0)[0]
        source = np.where(votes > 0, np.take_along_axis(self._first, winner, axis=0)[0], 0)
        codes = np.where(votes > 0, winner[0] + 1, NODATA_CODE).astype(np.uint8)
        confidence = (votes / np.maximum(self._votes.sum(axis=0), 1)).astype(np.float32)
        return Merged(codes, None, source.astype(np.int32), confidence)
