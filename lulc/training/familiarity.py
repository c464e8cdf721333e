"""Fit the familiarity of a model: Gaussians of the logits of training pixels, and quantiles of held-out ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.model.trust.familiarity import STEPS, Familiarity, quantiles

_FEWEST = 20
"""Pixels for each class K that a Gaussian of K dimensions needs at least."""

_RIDGE = 1e-4
"""Added to a covariance, relative to the mean variance of the logits: a class of few chips may have a flat one."""

_PER_BATCH = 20_000


class FamiliarityFit:
    """Collects the logits of labelled pixels: first of those that the model was trained on, then of held-out ones.

    Sums alone are kept of the first, and a random part of the second.

    Args:
        classes: K.
        seed: Of the choice of held-out pixels.
    """

    def __init__(self, classes: int, seed: int = 0) -> None:
        self._classes = classes
        self._pixels = torch.zeros(classes, dtype=torch.int64)
        self._count = torch.zeros(classes, dtype=torch.float64)
        self._sum = torch.zeros(classes, classes, dtype=torch.float64)
        self._products = torch.zeros(classes, classes, classes, dtype=torch.float64)
        self._random = torch.Generator().manual_seed(seed)
        self._held_out: list[Tensor] = []
        self._weights: list[Tensor] = []

    def feed(self, logits_pk: Tensor, weight: float = 1.0) -> None:
        """Take pixels of the training, float (n, K); each counts as much as `weight`."""
        pixels = logits_pk.detach().cpu().double()
        given = pixels.argmax(dim=1)
        for code in np.unique(given.numpy()).tolist():
            part = pixels[given == code]
            self._pixels[code] += len(part)
            self._count[code] += weight * len(part)
            self._sum[code] += weight * part.sum(dim=0)
            self._products[code] += weight * part.T @ part

    def hold_out(self, logits_pk: Tensor, weight: float = 1.0) -> None:
        """Take held-out pixels, float (n, K); each counts as much as `weight`, also where a part is chosen."""
        chosen = torch.randperm(len(logits_pk), generator=self._random)[:_PER_BATCH]
        self._held_out.append(logits_pk.detach().cpu()[chosen].float())
        self._weights.append(torch.full((len(chosen),), weight * len(logits_pk) / max(1, len(chosen))))

    def result(self) -> Familiarity | None:
        """What was fitted; None when there are too few pixels of either kind."""
        if not (self._held_out and self._enough.any()):
            return None
        return with_levels(self.gaussians(), [self.held_out()])

    def held_out(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-densities (n,) of the held-out pixels under the pixels of the training, and their weights (n,)."""
        density = self.gaussians().log_density(torch.cat(self._held_out))
        return density.numpy().astype(np.float64), torch.cat(self._weights).numpy().astype(np.float64)

    def gaussians(self) -> Familiarity:
        """Of the classes with enough pixels; without levels."""
        enough = self._enough
        count = self._count[enough, None]
        mean = self._sum[enough] / count
        covariance = self._products[enough] / count[..., None] - mean[:, :, None] * mean[:, None]
        covariance += _RIDGE * self._variance() * torch.eye(self._classes, dtype=torch.float64)
        whitening = torch.linalg.inv(torch.linalg.cholesky(covariance))
        log_weight = (self._count[enough] / self._count[enough].sum()).log()
        log_weight += whitening.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        return Familiarity(mean.float(), whitening.float(), log_weight.float(), torch.zeros(STEPS + 1))

    @property
    def _enough(self) -> Tensor:
        """Classes with enough pixels: bool (K,)."""
        return self._pixels >= _FEWEST * self._classes

    def _variance(self) -> float:
        """Mean variance of the logits of all training pixels."""
        total = self._count.sum()
        mean = self._sum.sum(dim=0) / total
        square = self._products.sum(dim=0).diagonal() / total
        return float((square - mean**2).mean())


def with_levels(
    gaussians: Familiarity, held_out: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> Familiarity:
    """The same Gaussians with the quantiles of held-out pixels.

    Args:
        gaussians: Of the training.
        held_out: Log-densities (n,) and weights (n,), from one or several `FamiliarityFit.held_out`.
    """
    density, weights = (np.concatenate(parts) for parts in zip(*held_out, strict=True))
    return replace(gaussians, levels=torch.from_numpy(quantiles(density, weights)))
