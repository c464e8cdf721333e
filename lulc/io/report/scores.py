"""What every report of a comparison says: its confusion matrix and its calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.io.report.markdown import WIDEST_MATRIX, markdown_table
from lulc.metrics.calibration import Calibration


def matrix_section(meaning: str, corner: str, names: Sequence[str], counts: NDArray[np.int64]) -> list[str]:
    """Lines of the confusion matrix.

    Args:
        meaning: What is counted, and what rows and columns are.
        corner: What rows are, in a word.
        names: The K classes.
        counts: int64 (K, K).
    """
    head = ["## Confusion matrix", ""]
    if len(names) > WIDEST_MATRIX:
        return [*head, "Too wide for a page; report.json holds it."]
    rows = [[name, *(f"{count:,}" for count in row)] for name, row in zip(names, counts, strict=True)]
    return [*head, meaning, "", *markdown_table([corner, *names], rows)]


def calibration_section(title: str, found: Calibration, conclusion: str, remark: str = "") -> list[str]:
    """Lines on whether probabilities are honest.

    Args:
        title: Heading.
        found: The scores.
        conclusion: What confidence and agreement say together.
        remark: Added to the calibration error.
    """
    floor = f"probabilities below {found.floor:g} count as {found.floor:g}"
    classwise = f"class-wise {found.classwise_ece:.4f}"
    return [
        f"## {title}",
        "",
        f"- expected calibration error {found.ece:.4f} (15 equal-mass bins), {classwise}{remark}",
        f"- Brier score {found.brier:.4f} (0..2), negative log-likelihood {found.nll:.4f} nats ({floor})",
        f"- {conclusion}",
    ]


def calibration_json(found: Calibration, names: Sequence[str], counted: str, score: str) -> dict[str, Any]:
    """Calibration by name.

    Args:
        found: The scores.
        names: The K classes.
        counted: What is counted: `pixels` or `patches`.
        score: What the fraction confirmed by the reference is called: `agreement` or `accuracy`.
    """
    return {
        "ece": found.ece,
        "classwise_ece": found.classwise_ece,
        "class_ece": dict(zip(names, found.class_ece, strict=True)),
        "brier": found.brier,
        "nll": found.nll,
        "nll_floor": found.floor,
        "mean_confidence": found.confidence,
        score: found.overall,
        "curve": {counted: found.bin_pixels, "confidence": found.bin_confidence, score: found.bin_agreement},
    }
