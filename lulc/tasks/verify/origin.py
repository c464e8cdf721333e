"""What a map states of its scene and model, and windows of it inferred again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lulc.errors import InputError, ModelError, raised_as
from lulc.grid import Window
from lulc.io.product.reader import ProductReader
from lulc.legend import NODATA_CODE
from lulc.model.bundle import Bundle, load_bundle
from lulc.tasks.classify.job import Job, plan_job
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.seams import InferredAgain, seam_windows
from lulc.tasks.classify.series import open_series
from lulc.tasks.verify.options import VerifyOptions

_SIDE = 256
_SEED = 7
_MOST_FLIPS = {"fp32": 0.002, "bf16": 0.02, "fp16": 0.02}
"""Share of the classes that another processor may give otherwise, by precision."""

_MOST_DIFFERENCE = {"fp32": 0.005, "bf16": 0.05, "fp16": 0.05}
"""Likewise the mean difference of the activations of a window."""


@dataclass(frozen=True, slots=True)
class Again:
    """Windows inferred again.

    Attributes:
        windows: How many.
        pixels: Valid pixels compared.
        flips: Share of them whose class differs.
        difference: Largest difference of an activation, 0..1; None for a map without.
    """

    windows: int
    pixels: int
    flips: float
    difference: float | None


def model_of(product: ProductReader, given: str | Path | None) -> Bundle | None:
    """The model of a map, checked against what the map states; None when it is not at hand.

    Raises:
        InputError: The model that was given is another, or the map is of none.
        ModelError: The model is damaged.
    """
    stated = product.tags.get("LULC_MODEL_SHA256", "")
    if not stated and given is not None:
        raise InputError(f"{product.path} names no model", "leave --model out")
    if not stated:
        return None
    try:
        bundle = load_bundle(given if given is not None else product.tags.get("LULC_MODEL", "").rpartition(" ")[0])
    except ModelError:
        if given is not None:
            raise
        return None
    if bundle.card.weights_sha256 == stated:
        return bundle
    if given is None:
        return None
    raise InputError(
        f"{product.path} was made with {product.tags.get('LULC_MODEL')}, whose weights are not those of {given}",
        "give the model that it states",
    )


def options_of(product: ProductReader, bundle_name: str | Path) -> ClassifyOptions:
    """The options of `lulc classify` that decide pixels, as the map states them."""
    tags = product.tags
    clouds = tags.get("LULC_CLOUDS", "")
    stated = {
        "model": bundle_name,
        "window": tags.get("LULC_WINDOW"),
        "halo": tags.get("LULC_HALO"),
        "blend": tags.get("LULC_BLEND"),
        "precision": tags.get("LULC_PRECISION", "fp32"),
        "activations": tags.get("LULC_ACTIVATIONS", "uint8"),
        "clouds": clouds if clouds in ("network", "scl", "qa60", "model") else "none",
        "allow_no_georef": True,
    }
    with raised_as(InputError, f"{product.path} has damaged tags", "make the map again", ValueError):
        return ClassifyOptions.model_validate(stated)


def check_scene(product: ProductReader, options: VerifyOptions, bundle: Bundle, name: str | Path) -> Again | None:
    """Compare a scene with what its map states of it, and infer windows again.

    Returns:
        What was inferred; None for a map whose windows fade into each other, which one window cannot repeat.

    Raises:
        InputError: The scene is another, its grid differs, or its pixels give other classes.
    """
    chosen = options_of(product, name)
    with open_series([Path(path) for path in options.scene], chosen) as series:
        scene = series.first
        if scene.fingerprint(times=False) != product.tags.get("LULC_INPUT_SHA256"):
            stated = product.tags.get("LULC_INPUT", "another scene")
            raise InputError(
                f"{product.path} was made of {stated}, whose content is not that of {scene.info.name}",
                "give that scene",
            )
        if not scene.grid.same_as(product.grid):
            raise InputError(f"{product.path} does not lie on the grid of {scene.info.name}", "make the map again")
        temperature = float(product.tags.get("LULC_TEMPERATURE", bundle.card.temperature))
        job = plan_job(series, bundle.with_temperature(temperature), chosen)
        if chosen.blend:
            return None
        again = InferredAgain(series, job)
        return _compared(product, job, again, options.windows)


def _compared(product: ProductReader, job: Job, again: InferredAgain, count: int) -> Again:
    flips = pixels = 0
    largest = 0.0
    windows = [*seam_windows(job.plan, count // 2)]
    windows += _anywhere(product, count - len(windows))
    for window in windows:
        codes = product.classes(window)
        valid = codes != NODATA_CODE
        if not valid.any():
            continue
        found = again.probabilities(window)
        flips += int(((found.argmax(axis=0) + 1 != codes) & valid).sum())
        pixels += int(valid.sum())
        if product.has_activations:
            difference = np.abs(found - product.activations(window))[:, valid]
            largest = max(largest, float(difference.max()))
            if difference.mean() > _MOST_DIFFERENCE[job.placement.precision]:
                raise _other_pixels(product, job, window, f"activations differ by {difference.mean():.3f} on average")
    share = flips / max(1, pixels)
    if share > _MOST_FLIPS[job.placement.precision]:
        raise _other_pixels(product, job, windows[0], f"{share:.2%} of the classes are others")
    return Again(len(windows), pixels, share, largest if product.has_activations else None)


def _other_pixels(product: ProductReader, job: Job, window: Window, what: str) -> InputError:
    place = f"rows {window.row}-{window.row_end}, columns {window.col}-{window.col_end}"
    return InputError(
        f"{product.path}: {job.card.name} gives other pixels for its scene: {what}, first at {place}",
        "the map was changed, or is of other options; make it again",
    )


def _anywhere(product: ProductReader, count: int) -> list[Window]:
    """Random windows, with a fixed seed."""
    random, shape = np.random.default_rng(_SEED), product.grid.shape
    height, width = min(_SIDE, shape.height), min(_SIDE, shape.width)
    return [
        Window(
            int(random.integers(shape.height - height + 1)),
            int(random.integers(shape.width - width + 1)),
            height,
            width,
        )
        for _ in range(count)
    ]
