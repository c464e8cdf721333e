"""Accuracy and area of classes, estimated from a stratified random sample of reference points.

Every quantity is a ratio hits / (hits + misses) of areas: of an overall accuracy, hits are where map and reference
agree; of a producer's accuracy, where both have the class, and misses where only the reference has it. One estimator
serves them all: Stehman (2014, doi 10.1080/01431161.2014.930207, eq. 2, 25, 27, 28), which holds for any strata. Where
the strata are the map's own classes it equals Olofsson et al. (2014, doi 10.1016/j.rse.2014.02.015, eq. 2-11), whose
worked example the tests reproduce.

Points are weighted by the ground area of their pixel, which differs between rows of a map in degrees. In a projected
map all are equal and the formulas are the printed ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.metrics.share_interval import Z_95, Stratum, share_interval

_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Strata:
    """The population that a sample was drawn from, one entry per stratum.

    Attributes:
        codes: Code of each stratum.
        pixels: Pixels in it.
        areas: Their ground area, in any one unit.
        are_classes: True when the strata are the classes of the map under test: stratum c holds map class c alone.
    """

    codes: tuple[int, ...]
    pixels: tuple[int, ...]
    areas: tuple[float, ...]
    are_classes: bool = True


@dataclass(frozen=True, slots=True)
class LabelledPoints:
    """A sample with its reference labels, arrays of one length n.

    Attributes:
        strata: int (n,) code of the stratum that each point was drawn from.
        mapped: int (n,) class code of the map under test, 1..K.
        reference: int (n,) class code of the reference, 1..K.
        areas: float64 (n,) ground area of each point's pixel, in any one unit.
    """

    strata: NDArray[np.int64]
    mapped: NDArray[np.int64]
    reference: NDArray[np.int64]
    areas: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimated share with its uncertainty.

    Attributes:
        value: 0..1, NaN where it is not defined (a class that nobody saw).
        se: Standard error, NaN where it cannot be known.
        low: Lower end of the 95 % interval, NaN where it cannot be known.
        high: Upper end.
    """

    value: float
    se: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half-width of the symmetric interval that Olofsson et al. print: 1.96 standard errors."""
        return Z_95 * self.se


@dataclass(frozen=True, slots=True)
class AreaEstimates:
    """What a sample says of a map, per class in the order of the codes.

    Attributes:
        counts: int64 (K, K) points; rows are the map, columns the reference.
        proportions: float64 (K, K) shares of the area, summing to 1.
        overall: Overall accuracy.
        users: User's accuracy of each class.
        producers: Producer's accuracy of each class.
        f1: Harmonic mean of the two.
        shares: Share of the area that belongs to each class by the reference.
        sampled_area: Ground area that the estimates speak of: strata with at least one point.
        unsampled: Codes of strata that have area and no point; the estimates do not speak of them.
        single: Codes of strata with one point and more than one pixel; what depends on them has no standard error.
    """

    counts: NDArray[np.int64]
    proportions: NDArray[np.float64]
    overall: Estimate
    users: tuple[Estimate, ...]
    producers: tuple[Estimate, ...]
    f1: tuple[Estimate, ...]
    shares: tuple[Estimate, ...]
    sampled_area: float
    unsampled: tuple[int, ...]
    single: tuple[int, ...]

    @property
    def quantity_disagreement(self) -> float:
        """Share of the area that differs because the classes' totals differ (Pontius & Millones 2011)."""
        return float(np.abs(self.proportions.sum(axis=1) - self.proportions.sum(axis=0)).sum() / 2)

    @property
    def allocation_disagreement(self) -> float:
        """Share of the area that differs although the classes' totals could match."""
        return max(0.0, float(1 - np.trace(self.proportions) - self.quantity_disagreement))


def estimate_from_points(
    points: LabelledPoints, strata: Strata, classes: int, *, finite_population: bool = True
) -> AreaEstimates:
    """Estimate accuracy and areas.

    A stratum without points says nothing: the estimates speak of the other strata, and it is listed as unsampled. A
    stratum with one point has no variance: what depends on it gets NaN, unless that point is its only pixel.

    Args:
        points: The labelled sample: simple random without replacement inside each stratum.
        strata: The population.
        classes: Number of classes K.
        finite_population: Shrink variances by 1 - n/N of each stratum (Stehman). False gives the printed digits of
            Olofsson et al., who leave it out; on a whole scene it makes no difference.

    Raises:
        ValueError: No points, a code outside 1..K, or a stratum that the population does not have.
    """
    _check(points, strata, classes)
    sample = _Sample(points, strata, finite_population=finite_population)
    counts = np.zeros((classes, classes), np.int64)
    areas = np.zeros((classes, classes))
    np.add.at(counts, sample.cells, 1)
    np.add.at(areas, sample.cells, sample.expansion)
    agree = np.eye(classes, dtype=np.bool_)
    rows = [row[:, None] & np.ones_like(agree) for row in agree]
    columns = [row.T for row in rows]
    return AreaEstimates(
        counts=counts,
        proportions=areas / areas.sum(),
        overall=sample.estimate(agree, ~agree),
        users=tuple(sample.estimate(row & agree, row & ~agree) for row in rows),
        producers=tuple(sample.estimate(column & agree, column & ~agree) for column in columns),
        f1=tuple(
            sample.estimate(row & agree, (row | column) & ~agree, gain=2.0)
            for row, column in zip(rows, columns, strict=True)
        ),
        shares=tuple(sample.estimate(column, ~column) for column in columns),
        sampled_area=float(areas.sum()),
        unsampled=tuple(
            sorted({code for code, n in zip(strata.codes, strata.pixels, strict=True) if n} - sample.codes)
        ),
        single=sample.single,
    )


class _Sample:
    """Points beside their strata, ready to estimate ratios.

    Attributes:
        cells: int (n,), (n,) row (map) and column (reference) of each point in a (K, K) table.
        expansion: float64 (n,) area that each point stands for.
    """

    def __init__(self, points: LabelledPoints, strata: Strata, *, finite_population: bool) -> None:
        self.cells = points.mapped - 1, points.reference - 1
        found, self._index, self._drawn = np.unique(points.strata, return_inverse=True, return_counts=True)
        self._codes, self._pure = tuple(int(code) for code in found), strata.are_classes
        known = [strata.codes.index(code) for code in self._codes]
        pixels, areas = np.asarray(strata.pixels)[known], np.asarray(strata.areas, np.float64)[known]
        mean_area = np.bincount(self._index, points.areas) / self._drawn
        self._relative = points.areas / mean_area[self._index]
        self._areas = areas
        self.expansion = (areas / self._drawn)[self._index] * self._relative
        self._finite = np.maximum(1 - self._drawn / pixels, 0.0) if finite_population else np.ones(len(found))
        self._unknown = (self._drawn < _FEWEST) & (self._finite > 0)

    @property
    def codes(self) -> set[int]:
        """Codes of the strata that have points."""
        return set(self._codes)

    @property
    def single(self) -> tuple[int, ...]:
        """Codes of strata whose variance cannot be known from one point."""
        return tuple(code for code, unknown in zip(self._codes, self._unknown, strict=True) if unknown)

    def estimate(self, hit: NDArray[np.bool_], miss: NDArray[np.bool_], gain: float = 1.0) -> Estimate:
        """Estimate gain x hits / (gain x hits + misses) in area.

        Args:
            hit: bool (K, K) cells of the error matrix that are hits.
            miss: bool (K, K) cells that are misses, none of them a hit.
            gain: Weight of a hit: 2 for F1, else 1.
        """
        hits, misses = hit[self.cells], miss[self.cells]
        above, below = gain * float(self.expansion @ hits), float(self.expansion @ misses)
        if above + below <= 0:
            return Estimate(np.nan, np.nan, np.nan, np.nan)
        value = above / (above + below)
        residual = gain * (1 - value) * hits - value * misses
        variances = self._areas**2 * self._finite * self._mean_variances(residual)
        parts = [self._stratum(number, hits, misses, hit, miss) for number in range(len(self._codes))]
        if any(unknown and part.varies for unknown, part in zip(self._unknown, parts, strict=True)):
            return Estimate(value, np.nan, np.nan, np.nan)
        return Estimate(value, float(np.sqrt(variances.sum())) / (above + below), *share_interval(parts, gain))

    def _mean_variances(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance of the mean of each stratum, float64 (H,); 0 for strata of one point, which are looked at apart."""
        centre = np.bincount(self._index, self._relative * values) / self._drawn
        squares = np.bincount(self._index, (self._relative * (values - centre[self._index])) ** 2)
        return squares / np.maximum(self._drawn - 1, 1) / self._drawn

    def _stratum(
        self,
        number: int,
        hits: NDArray[np.bool_],
        misses: NDArray[np.bool_],
        hit: NDArray[np.bool_],
        miss: NDArray[np.bool_],
    ) -> Stratum:
        """What one stratum saw, and what it could have seen: strata that are map classes hold one row of the matrix."""
        mine = self._index == number
        rows = [self._codes[number] - 1] if self._pure else slice(None)
        weights = self._relative[mine] / self._drawn[number]
        finite = float(self._finite[number])
        return Stratum(
            area=float(self._areas[number]),
            points=float(self._drawn[number]) / finite if finite else np.inf,
            hits=float(weights @ hits[mine]),
            misses=float(weights @ misses[mine]),
            can_hit=bool(hit[rows].any()),
            can_miss=bool(miss[rows].any()),
            nothing_else=bool((hit | miss)[rows].all()),
        )


def _check(points: LabelledPoints, strata: Strata, classes: int) -> None:
    if not len(points.mapped):
        raise ValueError("an estimate needs at least one labelled point")
    for codes in (points.mapped, points.reference):
        if codes.min() < 1 or codes.max() > classes:
            raise ValueError(f"class codes are 1..{classes}, not {codes.min()}..{codes.max()}")
    strange = set(points.strata.tolist()) - set(strata.codes)
    if strange:
        raise ValueError(f"the population has no stratum {min(strange)}")
