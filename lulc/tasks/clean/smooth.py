"""Bayesian smoothing of activations: each is drawn to the likeliest part of its neighbourhood, class by class.

The logit x of a class at a pixel is taken for a measurement, with variance s2, of a mean that is itself spread around m with variance v. m and
v are the mean and the variance of the logits in the upper half of the window around the pixel, so that a class that covers
one side of a border is not judged by the other side. The mean of the posterior is (v x + s2 m) / (v + s2): where the neighbourhood
agrees the pixel follows it, where it varies the pixel keeps what it has. Empirical Bayes as in sits (Simoes et al. 2021,
doi:10.3390/rs13132428; Camara et al. 2024, doi:10.3390/rs16234572).

A pixel depends on the window around it alone. All sums run in one order, so results do not depend on how work is cut.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lulc.io.product.rounding import ACTIVATION_STEPS
from lulc.legend import NODATA_CODE

_ROWS, _COLUMNS = 64, 512
"""Pixels that are worked on at once: their planes stay in a core's cache, and their halo is little beside them."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Smoothing(NamedTuple):
    """How activations are smoothed.

    Attributes:
        window: Side of the window, pixels; odd, at most 15.
        strength: Variance of a logit, s2.
    """

    window: int
    strength: float

    @property
    def halo(self) -> int:
        """Pixels around a pixel that decide about it."""
        return self.window // 2


def smooth(steps_kyx: Bytes, smoothing: Smoothing) -> Floats:
    """Smooth activations.

    Args:
        steps_kyx: uint8 (K, height, width), 0..250, 255 without data, with a halo around the pixels that are wanted; beyond it there is no data.
        smoothing: How.

    Returns:
        Probabilities, float32 (K, height - 2 halo, width - 2 halo), summing to 1; arbitrary without data.
    """
    halo, (classes, height, width) = smoothing.halo, steps_kyx.shape
    smoothed = np.empty((classes, height - 2 * halo, width - 2 * halo), np.float32)
    for row in range(0, height - 2 * halo, _ROWS):
        for col in range(0, width - 2 * halo, _COLUMNS):
            out = smoothed[:, row : row + _ROWS, col : col + _COLUMNS]
            around = np.s_[row : row + out.shape[1] + 2 * halo, col : col + out.shape[2] + 2 * halo]
            _smooth_tile(steps_kyx[:, *around], smoothing, out)
    return smoothed


def _smooth_tile(steps_kyx: Bytes, smoothing: Smoothing, out: Floats) -> None:
    """Fill `out`, float32 (K, height, width), from steps with a halo."""
    classes, _, pitch = steps_kyx.shape
    window = _Window(smoothing.window, pitch, out.shape[1] * pitch)
    flat = np.zeros((classes, steps_kyx[0].size + smoothing.window), np.uint8)
    np.copyto(flat[:, : steps_kyx[0].size].reshape(steps_kyx.shape), steps_kyx, where=steps_kyx != NODATA_CODE)
    known = np.zeros(flat.shape[1], np.uint8)
    known[: steps_kyx[0].size] = (steps_kyx[0] != NODATA_CODE).ravel()
    half = window.half_of(known)
    for steps, plane in zip(flat, out, strict=True):
        plane[:] = _smoothed_plane(steps, half, window, smoothing.strength).reshape(-1, pitch)[:, : out.shape[2]]
    total = out[0].copy()
    for plane in out[1:]:
        total += plane
    out /= total


def _logits() -> Floats:
    """Logits of the steps of an activation, float32 (251,); a step stands for its middle, so 0 and 250 have one too."""
    share = (np.arange(ACTIVATION_STEPS + 1) + 0.5) / (ACTIVATION_STEPS + 1)
    return np.log(share / (1 - share)).astype(np.float32)


_LOGITS = _logits()


class _Window(NamedTuple):
    """The window around each pixel of a tile, whose rows lie one behind the other.

    Attributes:
        side: Pixels.
        pitch: From a pixel to the one below it.
        size: Pixels that are wanted, and between the rows some that are not.
    """

    side: int
    pitch: int
    size: int

    def views(self, plane: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The plane, shifted to every place of the window: (size,) each."""
        for down in range(self.side):
            for right in range(self.side):
                begin = down * self.pitch + right
                yield plane[begin : begin + self.size]

    def middle(self, plane: Floats) -> Floats:
        """The plane, not shifted: (size,)."""
        begin = self.side // 2 * (self.pitch + 1)
        return plane[begin : begin + self.size]

    def half_of(self, known: Bytes) -> Bytes:
        """Half of the pixels with data around each pixel, rounded up; 1 where there are none."""
        count = np.zeros(self.size, np.uint8)
        for view in self.views(known):
            count += view
        return np.maximum(count // np.uint8(2) + count % np.uint8(2), np.uint8(1))

    def lowest_of_half(self, steps: Bytes, half: Bytes) -> Bytes:
        """The lowest of the highest `half` steps around each pixel, found bit by bit."""
        lowest, count = np.zeros(self.size, np.uint8), np.empty(self.size, np.uint8)
        reached = np.empty(self.size, np.bool_)
        most = int(steps.max())
        for bit in (1 << place for place in range(most.bit_length() - 1, -1, -1)):
            tried = lowest | np.uint8(bit)
            count[:] = 0
            for view in self.views(steps):
                np.greater_equal(view, tried, out=reached)
                count += reached.view(np.uint8)
            np.copyto(lowest, tried, where=count >= half)
        return lowest


def _smoothed_plane(steps: Bytes, half: Bytes, window: _Window, strength: float) -> Floats:
    """Unscaled probabilities of one class: float32 (size,)."""
    if not steps.any():
        return np.full(half.shape, 1 / (1 + np.exp(-_LOGITS[:1])), np.float32)
    lowest = _LOGITS[window.lowest_of_half(steps, half)]
    logits = _LOGITS[steps]
    above, squares, over = (np.zeros(half.shape, np.float32) for _ in range(3))
    for view in window.views(logits):
        np.subtract(view, lowest, out=over)
        np.maximum(over, 0, out=over)
        above += over
        over *= over
        squares += over
    above /= half
    variance = np.maximum(squares / half - above * above, 0)
    doubt = np.float32(strength)
    posterior = (variance * window.middle(logits) + doubt * (lowest + above)) / (variance + doubt)
    return np.asarray(1 / (1 + np.exp(-posterior)))
