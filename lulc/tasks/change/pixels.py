"""From the activations of two dates to what a change map says of each pixel."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.io.product.bands import ACTIVATION_SCALE
from lulc.io.product.rounding import largest
from lulc.legend import NODATA_CODE
from lulc.tasks.change.distinct import distinct_pairs
from lulc.tasks.change.joint import joint_probability
from lulc.tasks.change.legend import classes_of

_PLANES = 6
"""Fields of `ChangePixels`, in their order."""

_PIECE = 1 << 16
"""Pixels among which equal ones are looked for: their table of slots stays in the processor's cache."""

_CACHED = 1 << 14
"""Pixels whose joint probability is found at once: their tables of K rows stay there too."""

SLACK = 1e-6
"""Of probabilities in float32: a change of exactly the threshold reaches it, whatever the last digit says."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Activations = Bytes | Floats


@dataclass(frozen=True, slots=True, eq=False)
class ChangePixels:
    """What is known of the pixels of a window before the minimum mapping unit; arrays (height, width).

    Probabilities are in steps of 0.004, 0..250. All of uint8 are 255 where either date has no data.

    Attributes:
        changed: bool, True where the probability of change reaches the threshold; False without data.
        probability: uint8, of change.
        change_code: uint8 code of the most probable transition to another class.
        change_probability: uint8, its probability.
        stable_code: uint8 code of the most probable class to have stayed, as a transition.
        stable_probability: uint8, its probability.
    """

    changed: NDArray[np.bool_]
    probability: Bytes
    change_code: Bytes
    change_probability: Bytes
    stable_code: Bytes
    stable_probability: Bytes

    def part(self, rows: slice, columns: slice) -> "ChangePixels":
        """A window of it."""
        return ChangePixels(*(getattr(self, name)[rows, columns] for name in self.__slots__))

    def bands(self, changed: NDArray[np.bool_], classes: int) -> Bytes:
        """Bands of the product: uint8 (5, height, width), 255 without data.

        Args:
            changed: bool, the changed pixels that count.
            classes: K.
        """
        codes = np.where(changed, self.change_code, self.stable_code)
        confidence = np.where(changed, self.change_probability, self.stable_probability)
        bands = np.stack([codes, self.probability, confidence, *classes_of(codes, classes)])
        bands[:, codes == NODATA_CODE] = NODATA_CODE
        return bands


def change_pixels(
    before: Activations,
    after: Activations,
    change_rate: float,
    threshold: float,
    weights: NDArray[np.float64],
) -> tuple[ChangePixels, NDArray[np.float64]]:
    """Decide every pixel by itself.

    Args:
        before: (K, height, width) activations: float32, NaN without data, or uint8 as stored, 255 without data.
        after: The same of the later date, of the same type.
        change_rate: As for `joint_probability`.
        threshold: Probability of change from which a pixel is changed.
        weights: float64 (height, width) what a pixel counts in the second result, such as hectares.

    Returns:
        The pixels, and the sum of their joint probabilities: float64 (K, K), rows before, columns after.
    """
    classes, shape = len(before), before.shape[1:]
    earlier, later = (np.ascontiguousarray(values).reshape(classes, -1) for values in (before, after))
    has_data = _has_data(earlier) & _has_data(later)
    planes, expected = np.full((_PLANES, weights.size), NODATA_CODE, np.uint8), np.zeros((classes, classes))
    planes[0] = 0
    for start in range(0, weights.size, _PIECE):
        here = start + np.flatnonzero(has_data[start : start + _PIECE])
        dates = np.take(earlier, here, axis=1), np.take(later, here, axis=1)
        decided, sums = _decided(*dates, change_rate, threshold, weights.ravel()[here])
        for plane, values in zip(planes, decided, strict=True):
            plane[here] = values
        expected += sums
    changed, *others = (plane.reshape(shape) for plane in planes)
    return ChangePixels(changed.view(np.bool_), *others), expected


def _has_data(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the activations (K, n) are some: bool (n,)."""
    has: NDArray[np.bool_] = values[0] != NODATA_CODE if values.dtype == np.uint8 else np.isfinite(values[0])
    return has


def _decided(
    before: NDArray[Any], after: NDArray[Any], change_rate: float, threshold: float, weights: NDArray[np.float64]
) -> tuple[Bytes, NDArray[np.float64]]:
    """The fields of `ChangePixels` of pixels with data, uint8 (6, n), and their weighted joint probabilities, (K, K)."""
    if before.dtype != np.uint8:
        return _each_decided(before, after, change_rate, threshold, weights)
    chosen, which = distinct_pairs(before, after)
    earlier, later = (np.take(values, chosen, axis=1) * np.float32(ACTIVATION_SCALE) for values in (before, after))
    together: NDArray[np.float64] = np.asarray(np.bincount(which, weights), np.float64)
    planes, expected = _each_decided(earlier, later, change_rate, threshold, together)
    return np.take(planes, which, axis=1), expected


def _each_decided(
    before: Floats, after: Floats, change_rate: float, threshold: float, weights: NDArray[np.float64]
) -> tuple[Bytes, NDArray[np.float64]]:
    """As `_decided`, without looking for equal pixels."""
    classes, count = before.shape
    planes, expected = np.empty((_PLANES, count), np.uint8), np.zeros((classes, classes))
    for start in range(0, count, _CACHED):
        part = slice(start, start + _CACHED)
        joint = joint_probability(before[:, part], after[:, part], change_rate)
        probability = joint.change()
        old, new, change_probability = joint.likeliest_change()
        stays, stable_probability = largest(joint.stable())
        planes[0, part], planes[1, part] = probability >= threshold - SLACK, _steps(probability)
        planes[2, part], planes[3, part] = old * np.uint8(classes) + new + np.uint8(1), _steps(change_probability)
        planes[4, part], planes[5, part] = stays * np.uint8(classes + 1) + np.uint8(1), _steps(stable_probability)
        expected += joint.expected(weights[part])
    return planes, expected


def _steps(probability: NDArray[np.float32]) -> Bytes:
    """Probabilities in steps of 0.004."""
    steps: Bytes = np.rint(np.clip(probability, 0, 1) / ACTIVATION_SCALE).astype(np.uint8)
    return steps
