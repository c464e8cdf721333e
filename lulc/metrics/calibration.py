"""Whether probabilities mean what they say: of all pixels given 0.8, the reference should confirm 80 %.

Pixels stream through in any number of pieces; what is kept are histograms, so memory does not grow with the scene.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.legend import NODATA_CODE

BINS = 15
"""Equal-mass bins of every calibration error."""

_FINE = 2000
_SPREAD = 50
_SMALLEST = 1e-7
_PIECE = 1 << 17


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Calibration against a reference.

    Attributes:
        pixels: Pixels with a probability and a reference class.
        ece: Expected calibration error of the top class: mean distance of confidence and agreement over the bins,
            weighted by pixels (Guo et al. 2017, arXiv:1706.04599; equal-mass bins of Nguyen & O'Connor 2015,
            doi:10.18653/v1/D15-1182). 0..1, 0 is best.
        classwise_ece: Mean over the classes of the reference of the same for each class's own probability
            (Kull et al. 2019, arXiv:1910.12656).
        class_ece: That of each class, float64 (K,); NaN for a class that the reference lacks.
        brier: Mean over pixels of the squared error summed over classes (Brier 1950), 0..2, 0 is best.
        nll: Mean of -log(probability of the reference's class), nats; probabilities below `floor` count as `floor`.
        floor: Smallest probability in `nll`.
        confidence: Mean top probability.
        overall: Share of the pixels whose top class is the reference's.
        bin_pixels: Pixels in each bin of the curve, int64 (B,); B is at most 15, less where many pixels share one
            probability and cannot be parted.
        bin_confidence: Mean top probability in each bin, float64 (B,), rising.
        bin_agreement: Share of the pixels in each bin whose top class is the reference's, float64 (B,).
        spread: Pixels by top probability in 50 bins of equal width from 0 to 1, int64 (50,).
    """

    pixels: int
    ece: float
    classwise_ece: float
    class_ece: NDArray[np.float64]
    brier: float
    nll: float
    floor: float
    confidence: float
    overall: float
    bin_pixels: NDArray[np.int64]
    bin_confidence: NDArray[np.float64]
    bin_agreement: NDArray[np.float64]
    spread: NDArray[np.int64]


class _Histogram:
    """Pixels, summed probability and hits in narrow bins of probability."""

    def __init__(self) -> None:
        self.pixels = np.zeros(_FINE, np.int64)
        self.probability = np.zeros(_FINE)
        self.hits = np.zeros(_FINE, np.int64)

    def add(self, probability: NDArray[np.floating[Any]], hit: NDArray[np.bool_]) -> None:
        bins = np.minimum((probability * _FINE).astype(np.intp), _FINE - 1)
        self.pixels += np.bincount(bins, minlength=_FINE)
        self.probability += np.bincount(bins, probability, minlength=_FINE)
        self.hits += np.bincount(bins[hit], minlength=_FINE)

    def equal_mass(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Pixels, mean probability and share of hits of up to 15 bins of about equal mass, none of them empty.

        A narrow bin goes whole to the wide one that holds its middle.
        """
        middle = (np.cumsum(self.pixels) - self.pixels / 2) / max(self.pixels.sum(), 1)
        wide = np.minimum((middle * BINS).astype(np.intp), BINS - 1)
        pixels = np.bincount(wide, self.pixels, minlength=BINS)
        filled = pixels > 0
        probability = np.bincount(wide, self.probability, minlength=BINS)[filled] / pixels[filled]
        hits = np.bincount(wide, self.hits, minlength=BINS)[filled] / pixels[filled]
        return pixels[filled].astype(np.int64), probability, hits

    def error(self) -> float:
        """Mean distance of probability and share of hits."""
        pixels, probability, hits = self.equal_mass()
        return float(pixels @ np.abs(probability - hits) / pixels.sum())


class Reliability:
    """Collects probabilities and reference classes of pixels.

    Args:
        classes: K.
        floor: Probabilities below this count as this in the log-likelihood: half a step where they were rounded.
    """

    def __init__(self, classes: int, *, floor: float = _SMALLEST) -> None:
        self._floor = floor
        self._top = _Histogram()
        self._of_class = [_Histogram() for _ in range(classes)]
        self._squares = self._logs = 0.0

    def feed(
        self,
        probabilities: NDArray[np.floating[Any]],
        codes: NDArray[np.uint8],
        predicted: NDArray[np.uint8] | None = None,
    ) -> None:
        """Add pixels.

        Args:
            probabilities: (K, ...), 0..1, summing to 1 over K up to rounding; NaN where there is no data.
            codes: Classes of the reference, 1..K, 255 where not labelled: uint8 (...).
            predicted: Top classes, 1..K: uint8 (...). Rounded probabilities can tie; this says which one was larger.
                In a map with a minimum mapping unit they are the classes given. None takes the first of the largest.

        Raises:
            ValueError: Shapes do not fit, or a code is neither a class nor 255.
        """
        if probabilities.shape != (len(self._of_class), *codes.shape):
            raise ValueError(f"probabilities {probabilities.shape} do not fit codes {codes.shape}")
        counted = (codes != NODATA_CODE) & np.isfinite(probabilities).all(axis=0)
        truth = codes[counted].astype(np.intp) - 1
        if not truth.size:
            return
        if not 0 <= truth.min() <= truth.max() < len(self._of_class):
            raise ValueError(f"codes run from {truth.min() + 1} to {truth.max() + 1}")
        shares = probabilities[:, counted]
        top = shares.argmax(axis=0) if predicted is None else predicted[counted].astype(np.intp) - 1
        for start in range(0, truth.size, _PIECE):
            piece = slice(start, start + _PIECE)
            self._add(shares[:, piece].astype(np.float64), top[piece], truth[piece])

    def _add(self, shares: NDArray[np.float64], top: NDArray[np.intp], truth: NDArray[np.intp]) -> None:
        """Add pixels: (K, n), and positions of their top classes and of the reference's, (n,)."""
        self._top.add(shares[top, np.arange(top.size)], top == truth)
        for position, (histogram, share) in enumerate(zip(self._of_class, shares, strict=True)):
            histogram.add(share, truth == position)
        own = shares[truth, np.arange(truth.size)]
        self._squares += float((shares**2).sum() + (1 - 2 * own).sum())
        self._logs -= float(np.log(np.maximum(own, self._floor)).sum())

    def result(self) -> Calibration | None:
        """What was found, or None when no pixel had both a probability and a class."""
        total = int(self._top.pixels.sum())
        if not total:
            return None
        pixels, confidence, agreement = self._top.equal_mass()
        seen = [bool(histogram.hits.sum()) for histogram in self._of_class]
        errors = [h.error() if known else np.nan for h, known in zip(self._of_class, seen, strict=True)]
        return Calibration(
            pixels=total,
            ece=self._top.error(),
            classwise_ece=float(np.nanmean(errors)),
            class_ece=np.array(errors),
            brier=self._squares / total,
            nll=self._logs / total,
            floor=self._floor,
            confidence=float(self._top.probability.sum() / total),
            overall=float(self._top.hits.sum() / total),
            bin_pixels=pixels,
            bin_confidence=confidence,
            bin_agreement=agreement,
            spread=self._top.pixels.reshape(_SPREAD, -1).sum(axis=1),
        )
