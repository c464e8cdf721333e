"""Mean and standard deviation of channels over many chips, in one pass."""

import numpy as np
from numpy.typing import NDArray

_LEAST_STD = 1e-6


class ChannelStatistics:
    """Running mean and variance per channel.

    Chips are merged by Chan et al. 1983, which is exact also where the mean is large against the deviation.
    """

    def __init__(self) -> None:
        self._count: NDArray[np.float64] = np.zeros(1)
        self._mean: NDArray[np.float64] = np.zeros(1)
        self._squares: NDArray[np.float64] = np.zeros(1)

    def feed(self, planes: NDArray[np.float32]) -> None:
        """Add the finite values of a chip, float32 (channels, height, width)."""
        values = planes.reshape(len(planes), -1).astype(np.float64)
        finite = np.isfinite(values)
        count = finite.sum(axis=1).astype(np.float64)
        mean = np.where(finite, values, 0).sum(axis=1) / np.maximum(count, 1)
        squares = (np.where(finite, values - mean[:, None], 0) ** 2).sum(axis=1)
        total = self._count + count
        shift = mean - self._mean
        self._squares = self._squares + squares + shift**2 * self._count * count / np.maximum(total, 1)
        self._mean = self._mean + shift * count / np.maximum(total, 1)
        self._count = total

    def result(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, in the units of the channels; a deviation of 0 becomes 1."""
        deviation = np.sqrt(self._squares / np.maximum(self._count, 1))
        std = np.where(deviation > _LEAST_STD, deviation, 1.0)
        return tuple(np.round(self._mean, 7).tolist()), tuple(np.round(std, 7).tolist())
