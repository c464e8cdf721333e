"""Bands that say how far a map can be trusted, computed beside its classes on the device of the probabilities."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from lulc.io.product.bands import CONFIDENCE, FAMILIARITY, MARGIN, SET_BITS, ExtraBand, set_bands
from lulc.io.product.rounding import ACTIVATION_STEPS


class Beside(ABC):
    """Extra bands of a map.

    Attributes:
        bands: What they are called.
    """

    bands: tuple[ExtraBand, ...]

    @abstractmethod
    def of(self, activations_kyx: Tensor, ground_pyx: Tensor) -> Tensor:
        """The bands of pixels that have data, (len(bands), height, width), of the dtype of the activations.

        Args:
            activations_kyx: As stored: uint8 (K, height, width) in steps of 1/250, or float32.
            ground_pyx: Finished planes before `SKY`: K probabilities, then familiarity where the model has it; float32.
        """


class Trust(Beside):
    """Confidence and margin as stored activations give them, and familiarity.

    Args:
        familiarity: The model has statistics of its training.
    """

    def __init__(self, *, familiarity: bool) -> None:
        self.bands = (CONFIDENCE, MARGIN, *([FAMILIARITY] if familiarity else []))

    def of(self, activations_kyx: Tensor, ground_pyx: Tensor) -> Tensor:
        """As `Beside`."""
        first, second = two_largest(activations_kyx)
        planes = [first, first - second]
        if FAMILIARITY in self.bands:
            familiar = ground_pyx[len(activations_kyx)]
            bytewise = activations_kyx.dtype == torch.uint8
            planes.append((familiar * ACTIVATION_STEPS).round().to(torch.uint8) if bytewise else familiar)
        return torch.stack(planes)


def two_largest(planes_kyx: Tensor) -> tuple[Tensor, Tensor]:
    """The largest and the second largest of K planes at each pixel, (height, width); the second is 0 where K is 1."""
    first, second = planes_kyx[0].clone(), torch.zeros_like(planes_kyx[0])
    for plane in planes_kyx[1:]:
        torch.maximum(second, torch.minimum(first, plane), out=second)
        torch.maximum(first, plane, out=first)
    return first, second


class Sets(Beside):
    """The set of classes that a pixel may have: its size, and a bit for each class, seven in a band.

    Args:
        thresholds: Least activation of each of K classes, steps of 1/250.
    """

    def __init__(self, thresholds: Sequence[int]) -> None:
        self.bands = set_bands(len(thresholds))
        self._thresholds = torch.tensor(thresholds, dtype=torch.uint8)[:, None, None]

    def of(self, activations_kyx: Tensor, ground_pyx: Tensor) -> Tensor:
        """As `Beside`."""
        del ground_pyx
        steps = activations_kyx
        if steps.dtype != torch.uint8:
            steps = (steps * ACTIVATION_STEPS).round().to(torch.uint8)
        inside = (steps >= self._thresholds.to(steps.device)) | (steps == steps.amax(dim=0))
        planes = [inside.sum(dim=0, dtype=torch.uint8)]
        for first in range(0, len(inside), SET_BITS):
            bits = [plane.to(torch.uint8) << number for number, plane in enumerate(inside[first : first + SET_BITS])]
            planes.append(torch.stack(bits).sum(dim=0, dtype=torch.uint8))
        return torch.stack(planes).to(activations_kyx.dtype)
