"""Familiarity: how a pixel's logits compare with those of the training, as a fraction of held-out training pixels.

The logits of training pixels that are given one class are described by a Gaussian (Lee et al. 2018, arXiv:1807.03888, on
the last layer), and the classes together by the mixture of these, weighted by how often each is given. The familiarity of a pixel is
the fraction of held-out training pixels whose log-density is lower: 5 % of those lie below 0.05.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.errors import ModelError, raised_as

FAMILIARITY = "familiarity.safetensors"
"""File of a bundle beside its weights."""

MOST_BYTES = 128 << 20
"""More than 250 classes need."""

STEPS = 250
"""Steps of the quantiles of held-out pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """Statistics of the logits of a model's training, of C Gaussians over K classes.

    Attributes:
        mean: float32 (C, K), means.
        whitening: float32 (C, K, K), lower triangles W; the inverse of a covariance is W^T W.
        log_weight: float32 (C,), logarithms of the weights and of the determinants of `whitening`.
        levels: float32 (251,), quantiles 0, 1/250 .. 1 of the log-density of held-out training pixels, rising.
    """

    mean: Tensor
    whitening: Tensor
    log_weight: Tensor
    levels: Tensor

    def to_bytes(self) -> bytes:
        """As safetensors."""
        from safetensors.torch import save

        return save({field.name: getattr(self, field.name).contiguous() for field in fields(self)})

    @classmethod
    def from_bytes(cls, content: bytes, classes: int, name: str) -> Self:
        """Read what `to_bytes` wrote.

        Args:
            content: Of the file.
            classes: K of the model.
            name: Of the model, for messages.

        Raises:
            ModelError: It is damaged, or fits another model.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        with raised_as(ModelError, f"{name}: {FAMILIARITY} is damaged", "fetch the bundle again", SafetensorError):
            found = load(content)
        count = len(found.get("log_weight", ()))
        shapes = {"mean": (count, classes), "whitening": (count, classes, classes), "log_weight": (count,)}
        fits = {tensor: (found[tensor].shape, found[tensor].dtype) for tensor in found} == {
            tensor: (torch.Size(shape), torch.float32) for tensor, shape in {**shapes, "levels": (STEPS + 1,)}.items()
        }
        if not (count and fits and all(torch.isfinite(tensor).all() for tensor in found.values())):
            raise ModelError(f"{name}: {FAMILIARITY} does not fit the model", "fetch the bundle again")
        return cls(**found)

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))

    def log_density(self, logits_pk: Tensor) -> Tensor:
        """Log-density of some logits, (n,), up to a constant.

        Args:
            logits_pk: float (n, K).
        """
        density = torch.full((len(logits_pk),), -torch.inf, device=logits_pk.device)
        for mean, whitening, weight in zip(self.mean, self.whitening, self.log_weight, strict=True):
            distance = ((logits_pk - mean) @ whitening.T).square_().sum(dim=1)
            density = torch.logaddexp(density, weight - distance / 2)
        return density

    def __call__(self, logits_nkyx: Tensor) -> Tensor:
        """Familiarity of pixels: float32 (n, 1, height, width), 0..1; NaN where logits are.

        Args:
            logits_nkyx: Logits before temperature, of any float dtype (n, K, height, width).
        """
        count, classes, height, width = logits_nkyx.shape
        pixels = logits_nkyx.permute(0, 2, 3, 1).reshape(-1, classes).float()
        density = self.log_density(pixels)
        above = torch.searchsorted(self.levels, density).clamp_(1, STEPS)
        low, high = self.levels[above - 1], self.levels[above]
        part = ((density - low) / (high - low).clamp(min=1e-6)).clamp_(0, 1)
        return ((above - 1 + part) / STEPS).reshape(count, 1, height, width)


def quantiles(values: NDArray[np.floating], weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """Weighted quantiles 0, 1/250 .. 1 of some values: float32 (251,), rising.

    Args:
        values: (n,), finite.
        weights: (n,), positive.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return np.asarray(np.interp(np.linspace(0, 1, STEPS + 1), reached, values[order]), np.float32)
