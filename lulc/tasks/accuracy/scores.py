"""Parts of an agreement report: counted areas, agreement near borders, scores with intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.metrics.bootstrap import Intervals, block_intervals
from lulc.metrics.confusion import ConfusionMatrix, defined_mean


@dataclass(frozen=True, slots=True)
class CountedArea:
    """What a class covers among the compared pixels, as counted.

    Attributes:
        name: Class name.
        map_ha: Hectares in the map; None where the CRS does not give them.
        reference_ha: Hectares in the reference.
    """

    name: str
    map_ha: float | None
    reference_ha: float | None


@dataclass(frozen=True, slots=True)
class EdgeAgreement:
    """Agreement that forgives, or leaves out, the borders between classes.

    Attributes:
        any_in_3x3: Fraction of the pixels whose map class occurs in the reference within one pixel of it.
        any_in_3x3_interval: Its 95 % block-bootstrap interval.
        inside: Agreement where the 3 x 3 reference pixels are of one class.
        inside_interval: Its 95 % block-bootstrap interval.
        inside_share: Fraction of the compared pixels that are such.
    """

    any_in_3x3: float
    any_in_3x3_interval: tuple[float, float]
    inside: float
    inside_interval: tuple[float, float]
    inside_share: float


@dataclass(frozen=True, slots=True)
class ScoreIntervals:
    """95 % block-bootstrap intervals: each array float64 (2, ...), lower and upper ends; NaN where the blocks cannot say.

    Attributes:
        blocks: Blocks that were resampled.
        overall: Of the overall agreement.
        macro_f1: Of the mean F1.
        macro_iou: Of the mean intersection over union.
        users: (2, K), as the next three.
        producers: Of the producer's agreement.
        f1: Of F1.
        iou: Of intersection over union.
    """

    blocks: int
    overall: NDArray[np.float64]
    macro_f1: NDArray[np.float64]
    macro_iou: NDArray[np.float64]
    users: NDArray[np.float64]
    producers: NDArray[np.float64]
    f1: NDArray[np.float64]
    iou: NDArray[np.float64]


def score_intervals(per_block: NDArray[np.int64], names: tuple[str, ...], seed: int) -> ScoreIntervals:
    """Intervals of all scores from the confusion matrices of blocks, (blocks, K, K)."""

    def scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        matrix = ConfusionMatrix(counts, names)
        f1, iou = matrix.f1, matrix.iou
        single = [matrix.overall, defined_mean(f1), defined_mean(iou)]
        return np.concatenate([single, matrix.users, matrix.producers, f1, iou])

    found: Intervals = block_intervals(per_block, scores, seed=seed)
    ends = np.array([found.low, found.high])
    users, producers, f1, iou = np.split(ends[:, 3:], 4, axis=1)
    return ScoreIntervals(found.blocks, ends[:, 0], ends[:, 1], ends[:, 2], users, producers, f1, iou)
