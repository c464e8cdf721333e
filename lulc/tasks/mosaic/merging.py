"""How maps of one place become one: objects that are fed one map after the other and asked for the result.

All work on one window. Memory is that of a few planes per class, however many maps there are.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from lulc.grid import Window
from lulc.io.product.on_grid import SIXTEENTHS
from lulc.legend import NODATA_CODE

Method = Literal["activations", "confidence", "first", "latest", "majority"]

_MOST_WEIGHT = 4095
"""Weights are whole numbers 1.._MOST_WEIGHT: times sixteenths of a step they stay below 2**24, so what only one map says
comes out of the mean exactly as it went in."""

_STEPS = 250
_NO_MAP = np.iinfo(np.int32).max


class View(Protocol):
    """What a map says of a window (`lulc.io.product.on_grid.ProductWindow`)."""

    @property
    def window(self) -> Window:
        """The window."""

    @property
    def steps(self) -> NDArray[Any]:
        """Activations in steps of 1/250, to a sixteenth: (K, height, width), anything where the map has no data."""


@dataclass(frozen=True, eq=False)
class MapPart:
    """What one map says of a window, and what surrounds it.

    Attributes:
        number: Of the map, from 1.
        codes_around: uint8, class codes of the window and a margin around it; 255 where the map has no data.
        view: The window.
        around: The window with its margin.
        feather: Distance from its edge and holes over which the map fades in, pixels; at most the margin.
    """

    number: int
    codes_around: NDArray[np.uint8]
    view: View
    around: Window
    feather: int

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Class codes of the window: uint8 (height, width)."""
        codes: NDArray[np.uint8] = self.codes_around[self.view.window.slices(self.around)]
        return codes

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """True where the map has data: bool (height, width)."""
        valid: NDArray[np.bool_] = self.codes != NODATA_CODE
        return valid

    @cached_property
    def steps(self) -> NDArray[Any]:
        """Activations as `View.steps`, read once."""
        return self.view.steps

    @cached_property
    def own_output(self) -> NDArray[np.intp]:
        """Position of the map's own class among the activations: (1, height, width); some position without data."""
        return np.minimum(self.codes, len(self.steps)).astype(np.intp)[None] - 1

    def weight(self) -> NDArray[np.float32]:
        """What the map counts: whole numbers as float32 (height, width).

        0 without data, 1 at its edge and holes, then rising smoothly to 4095 (3 d^2 - 2 d^3 of the distance d in feathers).
        """
        known = self.codes_around != NODATA_CODE
        if known.all() or self.feather == 0:
            return self.valid.astype(np.float32) * np.float32(_MOST_WEIGHT)
        distance = np.asarray(distance_transform_edt(known), np.float32)[self.view.window.slices(self.around)]
        share = np.minimum(distance / np.float32(self.feather), np.float32(1))
        weight: NDArray[np.float32] = np.rint(share * share * (3 - 2 * share) * np.float32(_MOST_WEIGHT))
        return np.maximum(weight, self.valid, dtype=np.float32)


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

    The source is the map of largest weight, the first of equals; the confidence is the mean activation of the class. A
    map's own class gets a sixteenth of a step more: that breaks ties between equal bytes as the map itself did.
    """

    def __init__(self, classes: int, shape: tuple[int, int]) -> None:
        self._sum = np.zeros((classes, *shape), np.float32)
        self._weight = np.zeros(shape, np.float32)
        self._largest = np.zeros(shape, np.float32)
        self._source = np.zeros(shape, np.int32)

    def feed(self, part: MapPart) -> None:
        """Take in one map."""
        weight = part.weight()
        whole = weight * np.float32(SIXTEENTHS)
        for number, steps in enumerate(part.steps):  # class by class: no second cube in memory
            self._sum[number] += steps * whole
        own = np.take_along_axis(self._sum, part.own_output, axis=0) + weight
        np.put_along_axis(self._sum, part.own_output, own, axis=0)
        self._weight += weight
        leads = weight > self._largest
        self._largest[leads] = weight[leads]
        self._source[leads] = part.number

    def result(self) -> Merged:
        """Means, their argmax, and where they come from."""
        valid = self._source > 0
        shares: NDArray[np.float32] = self._sum
        shares /= np.where(valid, self._weight, np.float32(1))
        shares /= np.float32(_STEPS * SIXTEENTHS)
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
        confidence = np.take_along_axis(part.steps, part.own_output, axis=0)[0] / np.float32(_STEPS)
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
