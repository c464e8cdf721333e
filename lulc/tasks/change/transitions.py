"""Hectares of every pair of classes: as counted, expected or adjusted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COUNTED = "as counted: pixels of the change map, which carry its errors; not an estimate of area"
EXPECTED = (
    "expected: sums of the joint probabilities. Model-based: as trustworthy as the activations are calibrated, and "
    "every doubt between two dates counts as a little change, so the sum of changes is too large where little changed"
)
ADJUSTED = "adjusted: estimated from labelled points of a probability sample of the change map, with 95 % intervals"

LEAST_SHOWN = 0.05
"""Hectares below which a class is left out of tables: it would read 0.0."""


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """Hectares of every pair of classes.

    Attributes:
        meaning: How they were found, `COUNTED`, `EXPECTED` or `ADJUSTED`.
        hectares: float64 (K, K), rows before, columns after.
    """

    meaning: str
    hectares: NDArray[np.float64]

    @property
    def changed(self) -> float:
        """Hectares off the diagonal."""
        return float(self.hectares.sum() - np.trace(self.hectares))

    def balance(self) -> NDArray[np.float64]:
        """Per class before, after, gain, loss and net, hectares: float64 (K, 5)."""
        before, after, stays = self.hectares.sum(axis=1), self.hectares.sum(axis=0), np.diag(self.hectares)
        return np.column_stack([before, after, after - stays, before - stays, after - before])
