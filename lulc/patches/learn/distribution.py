"""The distribution of the training patches, as a card keeps it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lulc.patches.dataset import Patch
from lulc.patches.distribution import TrainingDistribution, patch_statistics
from lulc.patches.learn.samples import PatchReader
from lulc.patches.pixels import LEAST_VALID

_AT_ONCE = 64


def learnt_distribution(
    reader: PatchReader, train: Sequence[Patch], held_out: Sequence[Patch]
) -> TrainingDistribution | None:
    """Distribution of the training patches, with its limit from held-out patches; one pass over both.

    Args:
        reader: Reads patches as the network sees them before normalisation.
        train: Patches that were trained on.
        held_out: Patches that were not, usually the validation split.

    Returns:
        None when one of the two has no patch with enough data to get a class.

    Raises:
        InputError: A patch cannot be read.
    """
    training, others = (statistics_of(reader, patches) for patches in (train, held_out))
    return TrainingDistribution.fit(training, others) if len(training) and len(others) else None


def statistics_of(reader: PatchReader, patches: Sequence[Patch]) -> NDArray[np.float64]:
    """Statistics of the patches that have enough data to get a class: float64 (n, S).

    Raises:
        InputError: A patch cannot be read.
    """
    found = []
    for start in range(0, len(patches), _AT_ONCE):
        values = reader.read(patches[start : start + _AT_ONCE]).values
        enough = np.isfinite(values).all(axis=1).mean(axis=(1, 2)) >= LEAST_VALID
        found.append(patch_statistics(values[enough]))
    return np.concatenate(found)
