"""Prediction sets of stated coverage: class-conditional split-conformal thresholds.

A set holds every class whose activation reaches the threshold of that class. Among pixels of each class at least the stated
share has it in its set, as far as they are exchangeable with those that the thresholds come from (Vovk 2012, "Conditional validity of
inductive conformal predictors", arXiv:1209.2673; the score is that of Sadinle et al. 2019, doi:10.1080/01621459.2017.1395341).
"""

from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

ALWAYS = 0
"""Threshold of a class with too few pixels to bound: it is in every set."""


def set_thresholds(activations_pk: NDArray[np.uint8], codes: NDArray[np.integer], coverage: float) -> NDArray[np.uint8]:
    """Least activation with which each class is in a set: uint8 (K,), steps of 1/250.

    Args:
        activations_pk: uint8 (n, K), activations of labelled pixels in steps.
        codes: (n,) labels, 0..K-1.
        coverage: Share of the pixels of each class whose set is to hold it, 0..1.
    """
    classes = activations_pk.shape[1]
    thresholds = np.full(classes, ALWAYS, np.uint8)
    for code in range(classes):
        own = np.sort(activations_pk[codes == code, code])[::-1]
        rank = ceil((own.size + 1) * Fraction(str(coverage)))  # floating point would lift 10 x 0.9 to a tenth pixel
        if rank <= own.size:
            thresholds[code] = own[rank - 1]
    return thresholds


def in_sets(activations_pk: NDArray[np.uint8], thresholds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which classes are in the set of each pixel: bool (n, K). The most active one always is.

    Args:
        activations_pk: uint8 (n, K), steps of 1/250.
        thresholds: uint8 (K,), as `set_thresholds`.
    """
    inside: NDArray[np.bool_] = activations_pk >= thresholds
    inside |= activations_pk == activations_pk.max(axis=1, keepdims=True)
    return inside
