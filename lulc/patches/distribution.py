"""How far a patch lies from the patches that a model was trained on: the out-of-distribution (OOD) score."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lulc.config import Table

QUANTILE = 0.99
"""Fraction of held-out patches that lie within the limit."""

MOST_UNLIKE = 0.02
"""A run warns when a larger fraction of its patches has an OOD score above 1: twice what the limit lets through."""

_FLOOR = 1e-4
"""Least standard deviation of a statistic: that of a constant one, such as a band of one value, is 0."""

_DIGITS = 9
"""Significant digits that a card keeps."""


class TrainingDistribution(Table):
    """Statistics of the training patches of a model, and how far held-out patches lie from them.

    The distance of a patch is the Mahalanobis distance of its `patch_statistics` (Mahalanobis 1936). Its OOD score is
    the distance divided by `limit`: 1 is the limit, and a patch above it is unlike the training patches.

    Attributes:
        mean: Mean of each statistic over the training patches, S numbers.
        covariance: Their covariance, S rows of S numbers, symmetric and positive definite.
        limit: Distance within which the fraction `quantile` of the held-out patches lies.
        quantile: That fraction, 0..1.
        held_out: Number of held-out patches.
    """

    mean: tuple[float, ...] = Field(min_length=3)
    covariance: tuple[tuple[float, ...], ...]
    limit: float = Field(gt=0)
    quantile: float = Field(default=QUANTILE, gt=0, lt=1)
    held_out: int = Field(ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        size = len(self.mean)
        if len(self.covariance) != size or any(len(row) != size for row in self.covariance):
            raise ValueError(f"{size} means need a covariance of {size} rows of {size} numbers")
        covariance = np.array(self.covariance)
        if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=0):
            raise ValueError("the covariance must be symmetric")
        try:
            np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            raise ValueError("the covariance must be positive definite") from None
        return self

    @classmethod
    def fit(cls, training: NDArray[np.float64], held_out: NDArray[np.float64]) -> Self:
        """Summarise the training patches, and set the limit by held-out patches.

        The covariance is shrunk towards its diagonal with the weight S / (n + S), as if S uncorrelated patches had been
        seen as well: few patches do not determine S x S numbers. The limit is that of split conformal prediction (Vovk
        et al. 2005): the distance of rank (m + 1) x `QUANTILE`, or the largest distance when m is too small for that.
        Then a new patch of the same kind exceeds it with a probability of at most 1 / (m + 1).

        Args:
            training: Statistics of n training patches: float64 (n, S).
            held_out: Statistics of m patches that were not trained on: float64 (m, S), m at least 1.
        """
        count, size = training.shape
        centred = training - training.mean(axis=0)
        covariance = centred.T @ centred / count
        variances = np.diag(np.diag(covariance))
        covariance = (count * covariance + size * variances) / (count + size) + _FLOOR**2 * np.eye(size)
        summary = cls(
            mean=_rounded(training.mean(axis=0)),
            covariance=tuple(map(_rounded, covariance)),
            limit=1,
            held_out=len(held_out),
        )
        distances = np.sort(summary.scores(held_out))
        rank = min(math.ceil((len(distances) + 1) * QUANTILE), len(distances))
        return summary.model_copy(update={"limit": max(_rounded(distances)[rank - 1], _FLOOR)})

    @cached_property
    def _whitening(self) -> NDArray[np.float64]:
        """Matrix (S, S) that turns differences from the mean into vectors as long as their Mahalanobis distance."""
        whitening: NDArray[np.float64] = np.linalg.inv(np.linalg.cholesky(np.array(self.covariance))).T
        return whitening

    def scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        """OOD scores: float64 (n,), 0 at the mean, above 1 unlike the training patches.

        Args:
            statistics: Of n patches: float64 (n, S).
        """
        found: NDArray[np.float64] = np.linalg.norm((statistics - np.array(self.mean)) @ self._whitening, axis=1)
        return found / self.limit


def statistics_count(bands: int) -> int:
    """Number of statistics of a patch, S."""
    return 2 * bands + 1


def patch_statistics(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Statistics of patches: colour, contrast and texture.

    They are the mean of each band, the standard deviation of each band, and the mean absolute difference of adjacent
    pixels of the brightness (the mean of all bands). Gradients of single bands would tell JPEG files, whose colours are
    stored at half the resolution, from the same ground in a GeoTIFF.

    Args:
        values: Input of a network before normalisation: float32 (n, bands, side, side), not finite where not
            valid. Each patch has a valid pixel; n may be 0.

    Returns:
        float64 (n, S).
    """
    finite = np.where(np.isfinite(values), values, np.float32(np.nan))
    pixels, brightness = _flat(finite, 2), finite.mean(axis=1)
    steps = [_flat(np.abs(np.diff(brightness, axis=axis)), 1) for axis in (1, 2)]
    gradient = _mean_or_zero(np.concatenate(steps, axis=1))[:, None]
    found = np.hstack([np.nanmean(pixels, axis=2), np.nanstd(pixels, axis=2), gradient])
    return found.astype(np.float64)


def score_text(score: float | None) -> str:
    """An OOD score as the end of a line of text; empty without one."""
    return "" if score is None else f", OOD score {score:.2f}"


def unlike_note(score: float | None, model: str) -> tuple[str, ...]:
    """A sentence on a patch that is unlike the training patches of a model; empty for others and without a score."""
    if score is None or score <= 1:
        return ()
    found = f"unlike the training patches of {model} in colour, contrast or texture (OOD score {score:.2f}, limit 1)"
    return (f"{found}: do not trust the class",)


def unlike_warning(unlike: int, count: int, model: str, items: str = "patches") -> tuple[str, ...]:
    """A sentence on a run of which more than `MOST_UNLIKE` is unlike the training patches; else empty.

    Args:
        unlike: Number of patches with an OOD score above 1.
        count: Number of patches with a score; of a single one its note says all.
        model: Name of the model.
        items: What the patches are called.
    """
    if count <= 1 or unlike <= MOST_UNLIKE * count:
        return ()
    found = f"{unlike:,} of {count:,} {items} ({unlike / count:.0%}) are unlike the training patches of {model}"
    return (f"{found} (OOD score above 1): do not trust their classes",)


def _flat(values: NDArray[np.float32], axes: int) -> NDArray[np.float32]:
    """The values with all axes but the first ones as one, also of no patches."""
    return values.reshape(*values.shape[:axes], math.prod(values.shape[axes:]))


def _mean_or_zero(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean of each row (n, m) without its NaNs: float64 (n,), 0 for a row of NaNs alone."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=1, dtype=np.float64)
    mean: NDArray[np.float64] = total / np.maximum(known.sum(axis=1), 1)
    return mean


def _rounded(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
