"""From the activations of two dates to what a change map says of each pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.io.product.bands import ACTIVATION_SCALE
from lulc.io.product.rounding import most_probable
from lulc.legend import NODATA_CODE
from lulc.tasks.change.joint import joint_probability
from lulc.tasks.change.legend import classes_of

_PIECE = 1 << 15
"""Pixels that are worked on at once: their tables of K rows stay in the processor's cache."""

SLACK = 1e-6
"""Of probabilities in float32: a change of exactly the threshold reaches it, whatever the last digit says."""

Bytes = NDArray[np.uint8]


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
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    change_rate: float,
    threshold: float,
    weights: NDArray[np.float64],
) -> tuple[ChangePixels, NDArray[np.float64]]:
    """Decide every pixel by itself.

    Args:
        before: float32 (K, height, width) activations, NaN without data.
        after: The same of the later date.
        change_rate: As for `joint_probability`.
        threshold: Probability of change from which a pixel is changed.
        weights: float64 (height, width) what a pixel counts in the second result, such as hectares.

    Returns:
        The pixels, and the sum of their joint probabilities: float64 (K, K), rows before, columns after.
    """
    classes, shape = len(before), before.shape[1:]
    where = np.flatnonzero(np.isfinite(before[0] + after[0]))
    flat = [np.full(before[0].size, NODATA_CODE, np.uint8) for _ in range(5)]
    changed, expected = np.zeros(before[0].size, np.bool_), np.zeros((classes, classes))
    earlier, later = (values.reshape(classes, -1) for values in (before, after))
    for start in range(0, where.size, _PIECE):
        here = where[start : start + _PIECE]
        joint = joint_probability(earlier[:, here], later[:, here], change_rate)
        probability = joint.change()
        old, new, change_probability = joint.likeliest_change()
        stable = joint.stable()
        stays = most_probable(stable).astype(np.intp)
        changed[here] = probability >= threshold - SLACK
        stable_probability = np.take_along_axis(stable, stays[None], axis=0)[0]
        decided = (_steps(probability), old * classes + new + 1, _steps(change_probability))
        for plane, values in zip(flat, (*decided, stays * (classes + 1) + 1, _steps(stable_probability)), strict=True):
            plane[here] = values
        expected += joint.expected(weights.ravel()[here])
    planes = [plane.reshape(shape) for plane in flat]
    return ChangePixels(changed.reshape(shape), *planes), expected


def _steps(probability: NDArray[np.float32]) -> Bytes:
    """Probabilities in steps of 0.004."""
    steps: Bytes = np.rint(np.clip(probability, 0, 1) / ACTIVATION_SCALE).astype(np.uint8)
    return steps
