"""Areas of classes inside one zone of a map, estimated from the points of a sample of the whole map that lie in it.

The sample is simple random within each class of the map. Given how many of its points fall into a zone, those of one map
class are a simple random sample of that class in the zone. So the classes of the map inside the zone, whose areas are
counted, are post-strata (Holt & Smith 1979, doi 10.2307/2344652; Sarndal, Swensson & Wretman 1992, ch. 7.6 and 10), and
the estimator of the whole map serves (`estimate_from_points`).

A map class with fewer than `FEWEST_IN_CLASS` points in the zone cannot be judged. It counts as mapped, and intervals
allow for all of it being of any class. Where such classes make up more than `MOST_UNKNOWN` of the zone, or the zone has
fewer than `FEWEST_POINTS` points, there is no estimate.

The limits are from a simulation (`benchmarks/zone_intervals.py`). With two points a class, 95 % intervals held the truth
in 96 to 98 % of 5-class zones; higher limits hardly changed that and took zones away. One point has no variance. With
fewer than 20 points an interval is wider than a quarter of the zone, which is no help to anybody.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.metrics.area_estimate import LabelledPoints, Strata, estimate_from_points

FEWEST_POINTS = 20
FEWEST_IN_CLASS = 2
MOST_UNKNOWN = 0.05
"""Of a zone's area, 0..1."""


@dataclass(frozen=True, slots=True)
class ZoneShare:
    """Share of a zone's mapped area that belongs to a class, 0..1, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ZoneEstimate:
    """What points say of a zone.

    Attributes:
        points: Points in it.
        unknown: Fraction of its area in map classes with too few points.
        shares: Of each class; None where points are too few.
    """

    points: int
    unknown: float
    shares: tuple[ZoneShare, ...] | None


def estimate_zone(points: LabelledPoints, areas: NDArray[np.float64]) -> ZoneEstimate:
    """Estimate the share of each class in a zone.

    Args:
        points: Those in the zone; strata and mapped are the class of the map that they were drawn from.
        areas: float64 (K,) what each map class covers in the zone, in any one unit.
    """
    drawn = np.bincount(points.mapped, minlength=len(areas) + 1)[1:]
    known = (drawn >= FEWEST_IN_CLASS) & (areas > 0)
    whole = float(areas.sum())
    unknown = float(areas[~known].sum()) / whole if whole > 0 else 1.0
    if len(points.mapped) < FEWEST_POINTS or unknown > MOST_UNKNOWN:
        return ZoneEstimate(len(points.mapped), unknown, None)
    kept = known[points.mapped - 1]
    sample = LabelledPoints(points.strata[kept], points.mapped[kept], points.reference[kept], points.areas[kept])
    codes = (np.flatnonzero(known) + 1).tolist()
    strata = Strata(tuple(codes), tuple(drawn[known].tolist()), tuple(areas[known].tolist()))
    found = estimate_from_points(sample, strata, len(areas), finite_population=False)
    sampled = 1 - unknown
    shares = tuple(
        ZoneShare(
            value=share.value * sampled + (0.0 if seen else area / whole),
            low=share.low * sampled,
            high=share.high * sampled + unknown,
        )
        for share, seen, area in zip(found.shares, known.tolist(), areas.tolist(), strict=True)
    )
    return ZoneEstimate(len(points.mapped), unknown, shares)


def synthetic_areas(proportions: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a zone would hold if the map erred in it as it does as a whole: a synthetic estimate (Rao & Molina 2015, ch. 3).

    Args:
        proportions: float64 (K, K) error matrix of the whole map in shares of its area; rows map, columns reference.
        areas: float64 (K,) what each map class covers in the zone.

    Returns:
        float64 (K,) in the unit of `areas`; NaN where a class of the zone has no row in the matrix.
    """
    rows = proportions.sum(axis=1)
    present = areas > 0
    if (rows[present] <= 0).any():
        return np.full(len(areas), np.nan)
    given: NDArray[np.float64] = (areas[present] / rows[present]) @ proportions[present]
    return given
