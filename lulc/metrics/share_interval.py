"""95 % intervals of shares from a stratified sample, which hold where few points or none disagree.

The symmetric interval of 1.96 standard errors has no width where every point of a stratum agrees, and a producer's
accuracy then looks certain although one missed pixel in a large stratum would change it. Here each stratum has Wilson's
interval (1927), which allows for what its points could have missed, and the strata are put together by the distances
of their limits from their values (MOVER; Zou & Donner 2008, doi 10.1002/sim.3095; for ratios Donner & Zou 2012,
doi 10.1177/0962280210383082).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.96
"""Half-width of a 95 % interval in standard errors, as Olofsson et al. print it."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """What a stratum says of a ratio hits / (hits + misses).

    Attributes:
        area: Its area.
        points: Points in it, raised by the finite population correction; infinite when every pixel was looked at.
        hits: Share of it that is a hit, 0..1.
        misses: Share of it that is a miss, 0..1.
        can_hit: False when it cannot hold a hit: the stratum of another map class has none for a user's accuracy.
        can_miss: False when it cannot hold a miss.
        nothing_else: True when all of it is either one or the other.
    """

    area: float
    points: float
    hits: float
    misses: float
    can_hit: bool
    can_miss: bool
    nothing_else: bool

    @property
    def varies(self) -> bool:
        """False when the stratum adds nothing to what the ratio may be."""
        return self.can_hit or self.can_miss


def share_interval(strata: Sequence[Stratum], gain: float = 1.0) -> tuple[float, float]:
    """95 % interval of gain x hits / (gain x hits + misses), both ends in 0..1.

    Args:
        strata: Independent strata.
        gain: Weight of a hit.
    """
    hits = sum(part.area * part.hits for part in strata)
    misses = sum(part.area * part.misses for part in strata)
    few, against = _limit(hits, misses, [_distances(part) for part in strata])
    least, with_it = _limit(misses, hits, [_distances(_mirrored(part)) for part in strata])
    low = gain * few / (gain * few + against) if few > 0 else 0.0
    high = gain * with_it / (gain * with_it + least) if least > 0 else 1.0
    return low, high


def wilson(share: float, points: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share seen in a number of points, which may be infinite."""
    z2 = Z_95**2 / points
    centre = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * share * (1 - share) + z2**2 / 4) / (1 + z2)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def _distances(part: Stratum) -> tuple[float, float, float]:
    """How much fewer hits, how many more misses (as areas) a stratum may hold, and how the two go together (0..1)."""
    fewer = part.hits - wilson(part.hits, part.points)[0] if part.can_hit else 0.0
    more = wilson(part.misses, part.points)[1] - part.misses if part.can_miss else 0.0
    return part.area * fewer, part.area * more, _together(part)


def _together(part: Stratum) -> float:
    """Minus the correlation of hits and misses in a stratum: a pixel is one of them at most."""
    if part.nothing_else:
        return 1.0
    neither = (1 - part.hits) * (1 - part.misses)
    return float(np.sqrt(min(1.0, part.hits * part.misses / neither))) if neither > 0 else 0.0


def _mirrored(part: Stratum) -> Stratum:
    return Stratum(part.area, part.points, part.misses, part.hits, part.can_miss, part.can_hit, part.nothing_else)


def _limit(hits: float, misses: float, distances: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Lower limit of hits / misses, as numerator and denominator; the numerator is 0 where nothing is sure.

    It is the t at which `hits - t misses` equals its own distance to 0: a quadratic equation, solved for the root that
    exists with no misses too.
    """
    fewer, more, together = np.asarray(distances).T
    middle = hits * misses + float((together * fewer * more).sum())
    constant = max(hits**2 - float((fewer**2).sum()), 0.0)
    square = misses**2 - float((more**2).sum())
    return constant, middle + float(np.sqrt(max(middle**2 - square * constant, 0.0)))
