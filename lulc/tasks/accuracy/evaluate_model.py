"""Trying a model on a split of a training set that it has not been trained on."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk
from lulc.errors import InputError
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.labels.training_set import open_training_set
from lulc.legend import NODATA_CODE, Legend
from lulc.metrics.calibration import Calibration, Reliability
from lulc.metrics.confusion import ConfusionMatrix, count_pairs
from lulc.model.bundle import load_bundle
from lulc.tasks.accuracy.agreement_report import EvaluationReport, score_intervals
from lulc.tasks.accuracy.options import TrialOptions
from lulc.tasks.accuracy.pair import choose_crosswalks
from lulc.training.validation import predictions


def evaluate_model(model: Path | str, training_set: AnyPath, options: TrialOptions | None = None) -> EvaluationReport:
    """Compare a model with the labels of a split.

    Args:
        model: Bundle, by path or name.
        training_set: Folder of the set.
        options: How; None for the defaults.

    Raises:
        LulcError: The model or set is refused, they do not fit each other, or the split is empty.
    """
    training_set = as_path(training_set)
    start, options = time.monotonic(), options or TrialOptions()
    split = options.split
    bundle, data = load_bundle(model), open_training_set(training_set)
    to_model, to_labels = choose_crosswalks(bundle.card.classes, data.card.classes, options.to, options.crosswalk)
    tally = _Tally(to_model)
    for found in predictions(bundle, data, split):
        codes = to_labels.relabel(found.codes)
        for chip, *given in zip(found.chips, found.probabilities, found.uncalibrated, codes, strict=True):
            tally.add(chip.block, *given)
    per_block = np.stack(list(tally.blocks.values()))
    matrix = ConfusionMatrix(per_block.sum(axis=0), tally.legend.names)
    if not matrix.total:
        raise InputError(f"no pixel of the split {split!r} has a class in both", "check the legends and crosswalks")
    after, before = tally.calibrated.result(), tally.uncalibrated.result()
    assert after is not None
    assert before is not None  # some pixel was compared
    return EvaluationReport(
        subject=f"{bundle.card.name} {bundle.card.version}",
        reference=f"{training_set} ({split})",
        legend=tally.legend,
        matrix=matrix,
        intervals=score_intervals(per_block, tally.legend.names, options.seed),
        block="ground",
        seed=options.seed,
        candidates=tally.candidates,
        calibration=after,
        uncalibrated=before,
        notes=to_model.merged
        + _notes(split, bundle.card.temperature, before, after, data.card.labels, data.card.classes),
        seconds=time.monotonic() - start,
    )


class _Tally:
    """Counts over chips, in the legend of the comparison.

    Attributes:
        legend: That legend.
        blocks: Confusion counts by block of ground, int64 (K, K) each.
        calibrated: Of the probabilities.
        uncalibrated: Of the probabilities without the model's temperature.
        candidates: Pixels of all chips.
    """

    def __init__(self, crosswalk: Crosswalk) -> None:
        self._crosswalk, self.legend = crosswalk, crosswalk.target
        self.blocks: dict[int, NDArray[np.int64]] = {}
        self.calibrated, self.uncalibrated = Reliability(len(self.legend)), Reliability(len(self.legend))
        self.candidates = 0

    def add(
        self,
        block: int,
        probabilities: NDArray[np.float32],
        uncalibrated: NDArray[np.float32],
        codes: NDArray[np.uint8],
    ) -> None:
        """Count a chip: probabilities of the model's classes, float32 (K, height, width), and its labels."""
        summed = self._crosswalk.sum_activations(probabilities)
        self.calibrated.feed(summed, codes)
        self.uncalibrated.feed(self._crosswalk.sum_activations(uncalibrated), codes)
        top = np.where(np.isnan(summed[0]), NODATA_CODE, np.nan_to_num(summed).argmax(axis=0) + 1).astype(np.uint8)
        counts = count_pairs(top, codes, len(self.legend))
        self.blocks[block] = self.blocks.get(block, np.zeros_like(counts)) + counts
        self.candidates += codes.size


def _notes(
    split: str, temperature: float, before: Calibration, after: Calibration, labels: str, legend: Legend
) -> tuple[str, ...]:
    notes = []
    if split != "test":
        notes.append("a model trained on this set has seen this split, or was chosen by it; --split test is honest")
    notes.append(
        f"calibration error {before.ece:.3f} without the card's temperature, {after.ece:.3f} with it ({temperature:g})"
    )
    if labels == "shares":
        notes.append(f"the labels are shares of {legend.title}; each pixel counts as its most probable class")
    return tuple(notes)
