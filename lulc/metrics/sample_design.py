"""How many reference points a map needs, and how many go to each class.

Olofsson et al. (2014, doi 10.1016/j.rse.2014.02.015), section 5.1: the sample size follows from the standard error
wanted for the overall accuracy; rare classes get a fixed minimum, the others share the rest by their area.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def sample_size(pixels: Sequence[int], expected: Sequence[float], target_se: float) -> int:
    """Points for a wanted standard error of the overall accuracy.

    Olofsson et al. eq. 13, with the finite population term of its source (Cochran 1977, eq. 5.25), which keeps the
    answer below the number of pixels on a small map.

    Args:
        pixels: Pixels of each class.
        expected: User's accuracy that is expected of each class, 0..1.
        target_se: Standard error wanted for the overall accuracy, such as 0.01.
    """
    weights, spread = _weights(pixels), _spread(expected)
    finite = float(weights @ spread**2) / sum(pixels)
    return math.ceil(float(weights @ spread) ** 2 / (target_se**2 + finite))


def allocate(pixels: Sequence[int], total: int, minimum: int) -> tuple[int, ...]:
    """Points for each class: at least a minimum, the rest in proportion to the pixels.

    A class with fewer pixels than the minimum gives all of them. Where the minima alone exceed `total`, the minima are
    what is returned.

    Args:
        pixels: Pixels of each class; a class without pixels gets no points.
        total: Points to spread.
        minimum: Fewest points of a class.

    Returns:
        Points of each class, never more than its pixels; their sum is `total` unless the minima or the pixels forbid.
    """
    sizes = np.asarray(pixels, np.int64)
    points = np.minimum(sizes, minimum)
    left = min(max(total, int(points.sum())), int(sizes.sum()))
    raised = points < sizes
    while raised.any():
        share = (left - points[~raised].sum()) * sizes / sizes[raised].sum()
        below = raised & (share < points)
        if not below.any():
            points[raised] = _whole(share[raised])
            break
        raised &= ~below
    return tuple(int(count) for count in points)


def allocate_for(pixels: Sequence[int], expected: Sequence[float], target_se: float, minimum: int) -> tuple[int, ...]:
    """Points for each class that reach a standard error with the fewest points in all.

    `sample_size` supposes the best allocation; the minima of rare classes are not, so more points may be needed.
    """
    low, high = min(sample_size(pixels, expected, target_se), sum(pixels)), sum(pixels)
    while low < high:
        middle = (low + high) // 2
        if expected_se(pixels, allocate(pixels, middle, minimum), expected) <= target_se:
            high = middle
        else:
            low = middle + 1
    return allocate(pixels, low, minimum)


def expected_se(pixels: Sequence[int], points: Sequence[int], expected: Sequence[float]) -> float:
    """Standard error of the overall accuracy that an allocation will give, if the expected accuracies come true."""
    sizes, drawn = np.asarray(pixels, float), np.asarray(points, float)
    kept = drawn > 0
    variance = (
        (_weights(pixels) * _spread(expected))[kept] ** 2 * (1 - drawn / np.maximum(sizes, 1))[kept] / drawn[kept]
    )
    return math.sqrt(float(variance.sum()))


def _weights(pixels: Sequence[int]) -> NDArray[np.float64]:
    sizes = np.asarray(pixels, np.float64)
    weights: NDArray[np.float64] = sizes / sizes.sum()
    return weights


def _spread(expected: Sequence[float]) -> NDArray[np.float64]:
    accuracy = np.asarray(expected, np.float64)
    return np.sqrt(accuracy * (1 - accuracy))


def _whole(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers with the same sum: the largest remainders are rounded up."""
    whole = np.floor(shares + 1e-9).astype(np.int64)
    missing = round(float(shares.sum())) - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:missing]] += 1
    return whole
