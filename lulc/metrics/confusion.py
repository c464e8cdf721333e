"""The confusion matrix of a map and a reference, and what follows from it.

The same numbers describe agreement (every pixel compared with another map) and accuracy (a probability sample); which of
the two they are depends on where the counts come from, so nothing here is called either. There is no kappa: it compares
with a randomness that is of no interest and hides the two disagreements that are (Pontius & Millones 2011, IJRS 32:4407,
doi:10.1080/01431161.2011.552923; Foody 2020, RSE 239:111630, doi:10.1016/j.rse.2019.111630).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.legend import NODATA_CODE


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Shares of all pixels on which map and reference differ; each lies in 0..1.

    Attributes:
        quantity: Because a class has more or less of them in the map than in the reference.
        allocation: Because a class lies at other places; with `quantity` it is the whole disagreement.
        exchange: Part of `allocation`: two classes in each other's places.
        shift: The rest of `allocation`: places passed on among three or more classes.
    """

    quantity: float
    allocation: float
    exchange: float
    shift: float


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionMatrix:
    """Counts by class of the map (rows) and class of the reference (columns).

    What is not defined is NaN, never 0: the user's value of a class that the map lacks, the producer's value of one that
    the reference lacks.

    Attributes:
        counts: int64 (K, K), not negative.
        names: Class names, K of them, in order of their codes.

    Raises:
        ValueError: The counts are not a square of that size, not whole numbers, or negative.
    """

    counts: NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        counts = np.asarray(self.counts)
        if counts.shape != (len(self.names), len(self.names)):
            raise ValueError(f"counts have the shape {counts.shape} for {len(self.names)} classes")
        if counts.dtype.kind not in "iu" or (counts < 0).any():
            raise ValueError("counts must be whole numbers, 0 or more")
        object.__setattr__(self, "counts", counts.astype(np.int64))

    @classmethod
    def empty(cls, names: tuple[str, ...]) -> "ConfusionMatrix":
        """A matrix of zeros."""
        return cls(np.zeros((len(names), len(names)), np.int64), names)

    @classmethod
    def from_codes(
        cls, map_codes: NDArray[np.uint8], reference_codes: NDArray[np.uint8], names: tuple[str, ...]
    ) -> "ConfusionMatrix":
        """Count pairs of pixels.

        Args:
            map_codes: Codes 1..K, 255 where there is no data; integer, any shape.
            reference_codes: The same of the reference.
            names: Class names in order of their codes.

        Raises:
            ValueError: Shapes differ, or a code is neither a class nor 255.
        """
        return cls(count_pairs(map_codes, reference_codes, len(names)), names)

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        if self.names != other.names:
            raise ValueError(f"matrices of the classes {self.names} and {other.names} cannot be added")
        return ConfusionMatrix(self.counts + other.counts, self.names)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, ConfusionMatrix) and self.names == other.names
        return same and bool(np.array_equal(self.counts, other.counts))  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]

    @property
    def total(self) -> int:
        """Pixels counted."""
        return int(self.counts.sum())

    @property
    def overall(self) -> float:
        """Share of the pixels with the same class in both; NaN without pixels."""
        return float(_ratio(np.trace(self.counts), self.counts.sum()))

    @property
    def map_totals(self) -> NDArray[np.int64]:
        """Pixels of each class in the map: int64 (K,)."""
        totals: NDArray[np.int64] = self.counts.sum(axis=1)
        return totals

    @property
    def reference_totals(self) -> NDArray[np.int64]:
        """Pixels of each class in the reference: int64 (K,)."""
        totals: NDArray[np.int64] = self.counts.sum(axis=0)
        return totals

    @property
    def true_positives(self) -> NDArray[np.int64]:
        """Pixels of each class in both: int64 (K,)."""
        return np.diagonal(self.counts).copy()

    @property
    def false_positives(self) -> NDArray[np.int64]:
        """Pixels of each class in the map alone (commission): int64 (K,)."""
        return self.map_totals - self.true_positives

    @property
    def false_negatives(self) -> NDArray[np.int64]:
        """Pixels of each class in the reference alone (omission): int64 (K,)."""
        return self.reference_totals - self.true_positives

    @property
    def true_negatives(self) -> NDArray[np.int64]:
        """Pixels of other classes in both: int64 (K,)."""
        return self.total - self.true_positives - self.false_positives - self.false_negatives

    @property
    def users(self) -> NDArray[np.float64]:
        """Share of each class of the map that the reference confirms (user's; precision): float64 (K,)."""
        return _ratio(self.true_positives, self.map_totals)

    @property
    def producers(self) -> NDArray[np.float64]:
        """Share of each class of the reference that the map finds (producer's; recall): float64 (K,)."""
        return _ratio(self.true_positives, self.reference_totals)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of user's and producer's, 2 TP / (2 TP + FP + FN): float64 (K,)."""
        return _ratio(2 * self.true_positives, self.map_totals + self.reference_totals)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union (Jaccard), TP / (TP + FP + FN): float64 (K,)."""
        return _ratio(self.true_positives, self.map_totals + self.reference_totals - self.true_positives)

    @property
    def micro_iou(self) -> float:
        """Intersection over union of all classes together; micro user's, producer's and F1 all equal `overall`."""
        return float(_ratio(np.trace(self.counts), 2 * self.counts.sum() - np.trace(self.counts)))

    @property
    def disagreement(self) -> Disagreement:
        """Quantity and allocation disagreement, and the parts of the latter.

        Pontius & Millones 2011, equations 3 to 6; exchange and shift after Pontius & Santacruz 2014 (IJRS 35:7543,
        doi:10.1080/2150704X.2014.969814).
        """
        shares = _ratio(self.counts, self.counts.sum())
        mapped, referenced, both = shares.sum(axis=1), shares.sum(axis=0), np.diagonal(shares)
        quantity = np.abs(mapped - referenced).sum() / 2
        allocation = np.minimum(mapped - both, referenced - both).sum()
        exchange = np.triu(2 * np.minimum(shares, shares.T), k=1).sum()
        return Disagreement(float(quantity), float(allocation), float(exchange), float(max(allocation - exchange, 0)))

    def proportions(self, mapped_area_share: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The matrix in shares of the area, W_i n_ij / n_i+ (Olofsson et al. 2014, RSE 148:42, equation 4).

        Args:
            mapped_area_share: Share of each class of the map in its area, W: (K,), summing to 1.

        Returns:
            float64 (K, K); its row sums are W. A row without counts is NaN, or 0 where the class has no area.

        Raises:
            ValueError: Not K shares that sum to 1.
        """
        weights = np.asarray(mapped_area_share, np.float64)
        if weights.shape != (len(self.names),) or (weights < 0).any() or not np.isclose(weights.sum(), 1):
            raise ValueError(f"mapped_area_share must be {len(self.names)} shares that sum to 1, not {weights}")
        rows = weights[:, None] * _ratio(self.counts, self.map_totals[:, None])
        rows[weights == 0] = 0
        return rows


def count_pairs(
    map_codes: NDArray[np.integer[Any]], reference_codes: NDArray[np.integer[Any]], classes: int
) -> NDArray[np.int64]:
    """Pixels of each pair of classes: int64 (K, K); a pixel that is 255 in either is not counted.

    Args:
        map_codes: Codes 1..K and 255, any shape.
        reference_codes: The same of the reference.
        classes: K.

    Raises:
        ValueError: Shapes differ, or a code is neither a class nor 255.
    """
    counts: NDArray[np.int64] = count_pairs_by_block(map_codes, reference_codes, classes, np.zeros(1, np.intp), 1)[0]
    return counts


def count_pairs_by_block(
    map_codes: NDArray[np.integer[Any]],
    reference_codes: NDArray[np.integer[Any]],
    classes: int,
    block_of: NDArray[np.intp],
    blocks: int,
) -> NDArray[np.int64]:
    """As `count_pairs`, for each block of pixels by itself: int64 (blocks, K, K).

    Args:
        map_codes: Codes 1..K and 255, any shape.
        reference_codes: The same of the reference.
        classes: K.
        block_of: Number of each pixel's block, 0..blocks-1; broadcasts to the shape of the codes.
        blocks: How many there are.

    Raises:
        ValueError: Shapes differ, or a code is neither a class nor 255.
    """
    mapped, referenced = np.asarray(map_codes), np.asarray(reference_codes)
    if mapped.shape != referenced.shape:
        raise ValueError(f"map {mapped.shape} and reference {referenced.shape} differ in shape")
    counted = (mapped != NODATA_CODE) & (referenced != NODATA_CODE)
    rows, columns = mapped[counted].astype(np.intp) - 1, referenced[counted].astype(np.intp) - 1
    for code in (rows, columns):
        if code.size and not 0 <= code.min() <= code.max() < classes:
            raise ValueError(f"codes run from {code.min() + 1} to {code.max() + 1}, classes from 1 to {classes}")
    cells = (np.broadcast_to(block_of, mapped.shape)[counted] * classes + rows) * classes + columns
    counts: NDArray[np.int64] = np.bincount(cells, minlength=blocks * classes**2)
    return counts.reshape(blocks, classes, classes)


def defined_mean(scores: NDArray[np.float64]) -> float:
    """Macro average: mean over the classes for which the score is defined; NaN when it is for none."""
    known = scores[np.isfinite(scores)]
    return float(known.mean()) if known.size else float("nan")


def _ratio(numerator: Any, denominator: Any) -> NDArray[np.float64]:  # noqa: ANN401 - counts, or one of them
    """Quotient, NaN where the denominator is 0."""
    above, below = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    quotient: NDArray[np.float64] = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return quotient
