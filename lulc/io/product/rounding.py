"""Round probabilities to the bytes of a uint8 product, on a CPU."""

import numpy as np
from numpy.typing import NDArray

from lulc.legend import NODATA_CODE
from lulc.tiling import row_slabs

ACTIVATION_STEPS = 250
"""Steps of an activation byte: one step is 1/250, and the bytes of a valid pixel sum to 250."""


def product_bytes(probabilities_kyx: NDArray[np.float32], valid_yx: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Class codes and activations as stored in a uint8 product.

    The class is the argmax before rounding. Activations are rounded by largest remainder, which keeps their order: the
    winner's byte is never below another's.

    Args:
        probabilities_kyx: Probabilities, float32 (K, height, width), summing to 1 over K.
        valid_yx: bool (height, width); False where the input has no data.

    Returns:
        uint8 (1 + K, height, width): code 1..K, then 0..250 for each class; every band is 255 where not valid.
    """
    out = rounded(probabilities_kyx)
    if not valid_yx.all():
        np.copyto(out, NODATA_CODE, where=~valid_yx)
    return out


def rounded(probabilities_kyx: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`product_bytes` where every pixel is valid."""
    classes, height, width = probabilities_kyx.shape
    out = np.empty((1 + classes, height, width), np.uint8)
    for rows in row_slabs(height, width):
        slab = probabilities_kyx[:, rows]
        out[0, rows] = most_probable(slab) + 1
        out[1:, rows] = largest_remainder(slab)
    return out


def most_probable(planes_kyx: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Number of the largest plane at each pixel, the first of equal ones: uint8 (...).

    Several times as fast as `numpy.argmax` along the first axis.

    Args:
        planes_kyx: float32 (K, ...), K up to 255.
    """
    return largest(planes_kyx)[0]


def largest(planes_kyx: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """As `most_probable`, and the largest value itself: uint8 (...), float32 (...)."""
    most = planes_kyx[0].copy()
    number = np.zeros(most.shape, np.uint8)
    for later, plane in enumerate(planes_kyx[1:], start=1):
        ahead = (plane > most).view(np.uint8)
        ahead *= np.uint8(later)
        np.maximum(number, ahead, out=number)
        np.maximum(most, plane, out=most)
    return number, most


def largest_remainder(probabilities_kyx: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round probabilities to steps of 1/250 that sum to exactly 250: uint8 (K, height, width).

    Each probability is rounded down. The missing steps go, one each, to the largest remainders (Hamilton's method); in
    a tie to the first class.

    Args:
        probabilities_kyx: float32 (K, height, width), summing to 1 over K.
    """
    remainder = probabilities_kyx * np.float32(ACTIVATION_STEPS)
    floor = np.floor(remainder)
    remainder -= floor
    steps: NDArray[np.uint8] = floor.astype(np.uint8)
    missing = np.uint8(ACTIVATION_STEPS) - np.add.reduce(steps, axis=0, dtype=np.uint8)
    steps += (_ranks(remainder) < missing).view(np.uint8)
    return steps


def _ranks(remainder_kyx: NDArray[np.float32]) -> NDArray[np.uint8]:
    """How many planes are ahead of each at every pixel: larger, or equal and before it. uint8 (K, height, width)."""
    count = len(remainder_kyx)
    ranks = np.empty(remainder_kyx.shape, np.uint8)
    ranks[:] = np.arange(count - 1, -1, -1, dtype=np.uint8)[:, None, None]  # as if all later planes were ahead
    for apart in range(1, count):
        ahead = (remainder_kyx[:-apart] >= remainder_kyx[apart:]).view(np.uint8)
        ranks[apart:] += ahead
        ranks[:-apart] -= ahead
    return ranks
