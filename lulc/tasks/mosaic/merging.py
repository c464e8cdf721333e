"""Merge overlapping maps: a `Merge` is fed one map after the other, then asked for the result.

Each merge works on one window. Its memory is a few planes per class, however many maps there are.

A pixel that a map flags as cloud or shadow counts only where no map shows it clear. It is a hole of that map there, for
classes as for weights; so another map fades in towards a cloud as it does towards an edge.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from lulc.grid import Window
from lulc.io.product.bands import CLEAR, SKY
from lulc.io.product.on_grid import SIXTEENTHS, ProductWindow
from lulc.legend import NODATA_CODE
from lulc.tasks.mosaic.options import Method

_MOST_WEIGHT = 4095
"""Weights are whole numbers 1.._MOST_WEIGHT.

Times sixteenths of a step they stay below 2**24, so the mean of a single map's activations reproduces them exactly.
"""

_STEPS = 250
_SKIES = 1 << len(SKY).bit_length()
_NO_MAP = np.int32(np.iinfo(np.int32).max)

Origin = np.int32 | NDArray[np.int32]
"""A map and its sky in one whole number, the same everywhere or of each pixel."""


def origin_of(number: int, sky: NDArray[np.uint8] | None) -> Origin:
    """One whole number for a map and its sky, so that both are chosen at once. The smaller one is of the earlier map.

    Args:
        number: Number of the map, from 1.
        sky: Positions in `SKY`, uint8 (height, width); None where all is clear. Nodata gives arbitrary origins.
    """
    first = np.int32(number * _SKIES)
    return first + np.int32(CLEAR) if sky is None else first + sky


def source_of(origin: NDArray[np.int32]) -> NDArray[np.int32]:
    """Numbers of the maps: int32 (height, width)."""
    return origin // np.int32(_SKIES)


def sky_of(origin: NDArray[np.int32]) -> NDArray[np.int32]:
    """Positions in `SKY`: int32 (height, width)."""
    return origin % np.int32(_SKIES)


@dataclass(frozen=True, eq=False)
class FlaggedSky:
    """What a map of a merge says of clouds.

    Attributes:
        around: Sky of the window and its margin, uint8 (height, width): positions in `SKY`, 255 nodata.
        shown: True where any map of the merge shows a pixel of the window clear: bool (height, width).
    """

    around: NDArray[np.uint8]
    shown: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MapPart:
    """One map's pixels in a window and in a margin around it.

    Attributes:
        number: Number of the map, from 1.
        codes_around: Class codes of the window and its margin, uint8 (height, width) of `around`; 255 nodata.
        view: The window.
        around: The window with its margin, in pixels of the mosaic.
        feather: Distance from edges, holes and clouds over which the map fades in, pixels; at most the margin.
        sky: Its clouds; None for a map that flags none.
    """

    number: int
    codes_around: NDArray[np.uint8]
    view: ProductWindow
    around: Window
    feather: int
    sky: FlaggedSky | None = None

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """Class codes of the window that count: uint8 (height, width), 255 without data and under left out clouds."""
        codes: NDArray[np.uint8] = self.codes_around[self._inner]
        if self.sky is None:
            return codes
        return np.where(self.sky.shown & (self.sky.around[self._inner] != CLEAR), np.uint8(NODATA_CODE), codes)

    @property
    def origin(self) -> Origin:
        """Number and sky of the map, as `origin_of`."""
        return origin_of(self.number, None if self.sky is None else self.sky.around[self._inner])

    @property
    def _inner(self) -> tuple[slice, slice]:
        return self.view.window.slices(self.around)

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """True where the map counts: bool (height, width)."""
        valid: NDArray[np.bool_] = self.codes != NODATA_CODE
        return valid

    @cached_property
    def steps(self) -> NDArray[Any]:
        """Activations in steps of 1/250, as `ProductWindow.steps`: (K, height, width), read once and kept."""
        return self.view.steps

    @cached_property
    def own_output(self) -> NDArray[np.intp]:
        """Index of the map's own class among the activations: intp (1, height, width); arbitrary without data."""
        return np.minimum(self.codes, len(self.steps)).astype(np.intp)[None] - 1

    def weight(self) -> NDArray[np.float32]:
        """Weight of the map: whole numbers as float32 (height, width), 0..4095.

        It is 0 where the map does not count, and 1 at edges, holes and clouds. From there it rises smoothly to 4095:
        3 d^2 - 2 d^3 of the distance d in units of the feather. Clouds that count rise from edges and holes alone.
        """
        known = self.codes_around != NODATA_CODE
        if self.sky is None:
            return self._rising(known)
        clear = self.sky.around == CLEAR
        weight = self._rising(clear)
        clouds = self.valid & ~clear[self._inner]
        return np.where(clouds, self._rising(known), weight) if clouds.any() else weight

    def _rising(self, known_around: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Weight by the distance to what is not known: float32 (height, width)."""
        known = known_around[self._inner]
        if self.feather == 0 or known_around.all():
            return known.astype(np.float32) * np.float32(_MOST_WEIGHT)
        distance = _distance(known_around, self.feather)[self._inner]
        fraction = np.minimum(distance / np.float32(self.feather), np.float32(1))
        weight: NDArray[np.float32] = np.rint(fraction * fraction * (3 - 2 * fraction) * np.float32(_MOST_WEIGHT))
        return np.maximum(weight, known, dtype=np.float32)


def _distance(known: NDArray[np.bool_], most: int) -> NDArray[np.float32]:
    """Distance of each pixel to the nearest one that is not known, pixels: float32 (height, width).

    Distances of `most` and more may be any that are not smaller. Only near the edges of what is known are they looked for: a
    distance transform costs more than everything else in a merge.
    """
    distance = np.where(known, np.float32(most), np.float32(0))
    if known.any():
        rows, columns = (_near_edges(np.any(known, axis=axis), np.any(~known, axis=axis), most) for axis in (1, 0))
        distance[rows, columns] = distance_transform_edt(known[rows, columns])
    return distance


def _near_edges(known: NDArray[np.bool_], unknown: NDArray[np.bool_], most: int) -> slice:
    """Along one axis, where pixels of both kinds may be nearer than `most` to each other."""
    spans = [np.flatnonzero(some) for some in (known, unknown)]
    return slice(max(0, max(span[0] for span in spans) - most), min(span[-1] for span in spans) + most + 1)


@dataclass(frozen=True, eq=False)
class Merged:
    """Result of a merge in one window.

    Attributes:
        codes: Class codes, uint8 (height, width); 255 where no map has data.
        activations: Activations, float32 (K, height, width), 0..1, undefined without data; None when classes were
            merged.
        origin: The map with most influence and its sky there, int32 (height, width), as `origin_of`; 0 where no map
            has data.
        confidence: Confidence in the class, float32 (height, width), 0..1; each merge defines it.
    """

    codes: NDArray[np.uint8]
    activations: NDArray[np.float32] | None
    origin: NDArray[np.int32]
    confidence: NDArray[np.float32]

    @property
    def source(self) -> NDArray[np.int32]:
        """Number of the map with most influence: int32 (height, width); 0 where no map has data."""
        return source_of(self.origin)


class AverageActivations:
    """The weighted mean of activations, and its argmax.

    The source is the map of largest weight, the first in a tie. The confidence is the mean activation of the class. A
    map's own class gets a sixteenth of a step more, which breaks ties between equal bytes as the map itself did.
    """

    def __init__(self, classes: int, shape: tuple[int, int]) -> None:
        self._sum = np.zeros((classes, *shape), np.float32)
        self._weight = np.zeros(shape, np.float32)
        self._largest = np.zeros(shape, np.float32)
        self._origin = np.zeros(shape, np.int32)

    def feed(self, part: MapPart) -> None:
        """Add one map."""
        weight = part.weight()
        whole = weight * np.float32(SIXTEENTHS)
        for number, steps in enumerate(part.steps):  # class by class: no second cube in memory
            self._sum[number] += steps * whole
        own = np.take_along_axis(self._sum, part.own_output, axis=0) + weight
        np.put_along_axis(self._sum, part.own_output, own, axis=0)
        self._weight += weight
        leads = weight > self._largest
        self._largest[leads] = weight[leads]
        np.copyto(self._origin, part.origin, where=leads)

    def result(self) -> Merged:
        """Mean activations, their argmax, and the source of each pixel."""
        valid = self._origin > 0
        activations: NDArray[np.float32] = self._sum
        activations /= np.where(valid, self._weight, np.float32(1))
        activations /= np.float32(_STEPS * SIXTEENTHS)
        codes = np.where(valid, activations.argmax(axis=0) + 1, NODATA_CODE).astype(np.uint8)
        return Merged(codes, activations, self._origin, np.minimum(activations.max(axis=0), 1))


class MostConfident:
    """The class of the map with the largest activation of its own class; the first map in a tie."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._codes = np.full(shape, NODATA_CODE, np.uint8)
        self._origin = np.zeros(shape, np.int32)
        self._confidence = np.zeros(shape, np.float32)

    def feed(self, part: MapPart) -> None:
        """Add one map."""
        confidence = np.take_along_axis(part.steps, part.own_output, axis=0)[0] / np.float32(_STEPS)
        surer = part.valid & ((confidence > self._confidence) | (self._origin == 0))
        self._codes[surer] = part.codes[surer]
        np.copyto(self._origin, part.origin, where=surer)
        self._confidence[surer] = confidence[surer]

    def result(self) -> Merged:
        """Classes, each with its activation in its map as the confidence; no activations."""
        return Merged(self._codes, None, self._origin, np.minimum(self._confidence, 1))


class Votes:
    """The class of the first map with data, or of the majority of maps; in a tie that of the first map.

    The source is the first map with that class. The confidence is the fraction of the maps that count and agree.
    """

    def __init__(self, classes: int, shape: tuple[int, int], *, majority: bool) -> None:
        self._majority = majority
        self._votes = np.zeros((classes, *shape), np.int32)
        self._first = np.full((classes, *shape), _NO_MAP, np.int32)

    def feed(self, part: MapPart) -> None:
        """Add one map."""
        for number, first in enumerate(self._first):
            here = part.codes == number + 1
            self._votes[number] += here
            np.minimum(first, np.where(here, part.origin, _NO_MAP), out=first)

    def result(self) -> Merged:
        """Classes, each with the fraction of maps that agree as the confidence; no activations."""
        rank = self._first.astype(np.int64)
        if self._majority:
            rank -= self._votes.astype(np.int64) << 32
        winner = rank.argmin(axis=0)[None]
        votes = np.take_along_axis(self._votes, winner, axis=0)[0]
        origin = np.where(votes > 0, np.take_along_axis(self._first, winner, axis=0)[0], 0)
        codes = np.where(votes > 0, winner[0] + 1, NODATA_CODE).astype(np.uint8)
        confidence = (votes / np.maximum(self._votes.sum(axis=0), 1)).astype(np.float32)
        return Merged(codes, None, origin.astype(np.int32), confidence)


Merge = AverageActivations | MostConfident | Votes
"""A merge of one window; maps are fed in their order of precedence."""


def merge_of(method: Method, classes: int, shape: tuple[int, int]) -> Merge:
    """A new merge of one window.

    Args:
        method: How maps are merged.
        classes: Number of classes K.
        shape: Height and width of the window, pixels.
    """
    if method == "activations":
        return AverageActivations(classes, shape)
    if method == "confidence":
        return MostConfident(shape)
    return Votes(classes, shape, majority=method == "majority")
