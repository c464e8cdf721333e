"""`lulc calibrate`: temperature and thresholds of prediction sets, fitted on labelled pixels and checked on others."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.io.files.atomic import write_whole
from lulc.io.files.outputs import check_outputs
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.labels.training_set import is_training_set
from lulc.io.product.rounding import ACTIVATION_STEPS, largest_remainder
from lulc.io.report.markdown import markdown_table, number
from lulc.metrics.conformal import ALWAYS, in_sets, set_thresholds
from lulc.model.trust.calibration import CalibratedClass, Calibration
from lulc.tasks.accuracy.labelled_pixels import LabelledPixels, pixels_of_map, pixels_of_model
from lulc.tasks.accuracy.options import CalibrateOptions

COVERAGES = tuple(round(percent / 100, 2) for percent in range(50, 100))
"""Coverages of a calibration."""

_FOLDS = 5
_STEEPEST = 10.0
_HALF_STEP = 0.5 / ACTIVATION_STEPS
"""A stored 0 is anything below half a step: in the loss it counts as that."""


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration found.

    Attributes:
        output: The file written.
        calibration: What is in it.
        pixels: Labelled pixels.
        temperature_before: What had divided the logits.
        nll: Mean negative log-likelihood of the labels, nat: before, and with the new temperature on pixels that were not fitted.
    """

    output: str
    calibration: Calibration
    pixels: int
    temperature_before: float
    nll: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        rest = {"pixels": self.pixels, "temperature_before": self.temperature_before, "nll": self.nll}
        return {"output": self.output, **rest, **self.calibration.to_json()}

    def to_text(self) -> str:
        """Some lines for people."""
        found = self.calibration
        place = found.coverages.index(found.checked)
        rows = [
            (
                entry.name,
                f"{entry.pixels:,d}",
                "in every set"
                if entry.thresholds[place] == ALWAYS
                else f"{entry.thresholds[place] / ACTIVATION_STEPS:.3f}",
                number(entry.coverage, ".3f", none=""),
            )
            for entry in found.classes
        ]
        before, after = self.nll
        return "\n".join(
            [
                f"{self.output}: {found.model}, {self.pixels:,d} labelled pixels of {found.reference}",
                f"temperature {found.temperature:.3g} (was {self.temperature_before:.3g}); loss of labels {before:.3f} nat, {after:.3f} where not fitted",
                f"sets of {found.checked:.0%} coverage hold {found.set_size:.2f} classes; checked on pixels that were not fitted:",
                *markdown_table(("class", "pixels", "least activation", "coverage"), rows),
            ]
        )


def calibrate(
    subject: AnyPath, reference: AnyPath, output: AnyPath, options: CalibrateOptions | None = None
) -> CalibrationReport:
    """Fit the temperature and the thresholds of a model's prediction sets, and write them.

    Args:
        subject: A map of `lulc classify` with activations; or a model, when the reference is a training set.
        reference: Labelled points, a label raster, label polygons; or the folder of a training set.
        output: JSON file to write.
        options: How.

    Raises:
        LulcError: The inputs are refused or do not fit each other, or the output exists.
    """
    subject, reference, output = as_path(subject), as_path(reference), as_path(output)
    options = options or CalibrateOptions()
    check_outputs([output], [subject, reference], overwrite=options.overwrite)
    if not reference.exists():
        raise InputError(f"there is no {reference}", "check the path")
    of_model = is_training_set(reference)
    pixels = (pixels_of_model if of_model else pixels_of_map)(subject, reference, options)
    report = fitted(pixels, reference.name, options, str(output))
    content = json.dumps(report.calibration.to_json(), indent=1) + "\n"
    write_whole(output, content.encode())
    return report


def fitted(pixels: LabelledPixels, reference: str, options: CalibrateOptions, output: str = "") -> CalibrationReport:
    """Fit labelled pixels; each fifth of the groups is checked by a fit of the others.

    Args:
        pixels: The pixels.
        reference: What their labels are called.
        options: How.
        output: File that the report names.
    """
    covered, sizes, losses = _checked(pixels, options)
    factor = _factor(pixels.activations, pixels.codes, fit=options.temperature)
    steps = stored_steps(pixels.activations, factor)
    table = np.stack([set_thresholds(steps, pixels.codes, coverage) for coverage in COVERAGES])
    counts = np.bincount(pixels.codes, minlength=len(pixels.legend))
    classes = tuple(
        CalibratedClass(
            name=name,
            pixels=int(counts[code]),
            thresholds=tuple(table[:, code].tolist()),
            coverage=float(covered[code]) if np.isfinite(covered[code]) else None,
        )
        for code, name in enumerate(pixels.legend.names)
    )
    calibration = Calibration(
        model=pixels.model,
        model_sha256=pixels.model_sha256,
        reference=reference,
        temperature=round(pixels.temperature * factor, 6),
        coverages=COVERAGES,
        checked=options.coverage,
        set_size=sizes,
        classes=classes,
    )
    before = _loss(pixels.activations, pixels.codes, 1.0)
    return CalibrationReport(output, calibration, len(pixels.codes), pixels.temperature, (before, losses))


def _checked(pixels: LabelledPixels, options: CalibrateOptions) -> tuple[NDArray[np.float64], float, float]:
    """On pixels that were not fitted: coverage of each class (K,), mean size of a set, mean loss."""
    found, random = np.unique(pixels.groups, return_inverse=True)[1], np.random.default_rng(options.seed)
    fold = random.permutation(found.max() + 1)[found] % _FOLDS
    classes = len(pixels.legend)
    hits, counts, sizes, losses = np.zeros(classes), np.zeros(classes), 0.0, 0.0
    for number_of in range(_FOLDS):
        held = fold == number_of
        if held.all() or not held.any():
            continue
        factor = _factor(pixels.activations[~held], pixels.codes[~held], fit=options.temperature)
        thresholds = set_thresholds(
            stored_steps(pixels.activations[~held], factor), pixels.codes[~held], options.coverage
        )
        inside = in_sets(stored_steps(pixels.activations[held], factor), thresholds)
        codes = pixels.codes[held]
        hits += np.bincount(codes, weights=inside[np.arange(len(codes)), codes], minlength=classes)
        counts += np.bincount(codes, minlength=classes)
        sizes += float(inside.sum())
        losses += _loss(pixels.activations[held], codes, factor) * len(codes)
    total = max(1.0, counts.sum())
    return np.divide(hits, counts, out=np.full(classes, np.nan), where=counts > 0), sizes / total, losses / total


def _factor(activations_pk: NDArray[np.float32], codes: NDArray[np.int64], *, fit: bool) -> float:
    """What to multiply the temperature by, for the least loss; 1 when it is not to be fitted."""
    from scipy.optimize import minimize_scalar

    if not fit:
        return 1.0
    bounds = (-np.log(_STEEPEST), np.log(_STEEPEST))
    found = minimize_scalar(
        lambda log: _loss(activations_pk, codes, float(np.exp(log))), bounds=bounds, method="bounded"
    )
    return float(np.exp(found.x))


def _loss(activations_pk: NDArray[np.float32], codes: NDArray[np.int64], factor: float) -> float:
    """Mean negative log-likelihood of the labels, nat."""
    logits = np.log(np.maximum(activations_pk, _HALF_STEP)) / factor
    logits -= logits.max(axis=1, keepdims=True)
    likely = logits[np.arange(len(codes)), codes] - np.log(np.exp(logits).sum(axis=1))
    return float(-likely.mean(dtype=np.float64))


def stored_steps(activations_pk: NDArray[np.float32], factor: float = 1.0) -> NDArray[np.uint8]:
    """Activations as they would be stored with a temperature that is `factor` times as high: uint8 (n, K), steps of 1/250.

    A stored 0 stays 0. Whatever it stands for, the threshold of its class then errs to larger sets.
    """
    likely = activations_pk ** np.float32(1 / factor)
    likely /= likely.sum(axis=1, keepdims=True)
    return largest_remainder(np.ascontiguousarray(likely.T)[:, :, None])[:, :, 0].T
