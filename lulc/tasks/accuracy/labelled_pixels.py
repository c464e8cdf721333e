"""Labelled pixels and their activations, from a map and labels of any kind, or from a model and a training set."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk, crosswalk_ends, load_crosswalk
from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.labels.labels import open_labels
from lulc.io.labels.points import pixels_at, read_points
from lulc.io.labels.polygons import holds_points
from lulc.io.labels.training_set import open_training_set
from lulc.io.product.reader import ProductReader, open_product
from lulc.legend import NODATA_CODE, Legend
from lulc.model.bundle import load_bundle
from lulc.tasks.accuracy.estimate import label_codes
from lulc.tasks.accuracy.options import CalibrateOptions
from lulc.tasks.accuracy.pair import Pair, reference_legend
from lulc.tiling import block_windows
from lulc.training.validation import predictions

_MOST = 1_000_000
"""Pixels that are kept; more change no figure, and a whole tile would fill the memory."""

_SIDE = 512
_BLOCK = 128
"""Side of the blocks whose pixels are fitted or checked together: neighbours resemble each other."""

Part = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""Activations float32 (n, K), codes int64 (n,) from 0, and the group of each pixel, int64 (n,)."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPixels:
    """Pixels with activations of one model and a label each.

    Attributes:
        legend: Classes of the model.
        model: Its name and version.
        model_sha256: SHA-256 of its weights.
        temperature: Has divided the logits already.
        activations: float32 (n, K), 0..1; of a map that stores bytes a 0 is anything below half a step.
        codes: int64 (n,), 0..K-1.
        groups: int64 (n,); pixels of one group lie together, and are fitted or checked together.
    """

    legend: Legend
    model: str
    model_sha256: str
    temperature: float
    activations: NDArray[np.float32]
    codes: NDArray[np.int64]
    groups: NDArray[np.int64]


def pixels_of_map(map_path: Path, reference: Path, options: CalibrateOptions) -> LabelledPixels:
    """Read a map of a model at labelled points, or under labels of every pixel.

    Raises:
        InputError: The map has no activations or is not of one model; no pixel has a label.
        ConfigError: The labels are of a legend that leads to no other.
    """
    with open_product(map_path) as product:
        tags = product.tags
        if not product.has_activations:
            raise InputError(f"{map_path} has no activations", "classify again without --activations none")
        if not tags.get("LULC_MODEL_SHA256") or "LULC_TEMPERATURE" not in tags or "LULC_CLEANED" in tags:
            raise InputError(f"{map_path} is not as one model made it", "give a map of lulc classify")
        read = _at_points if holds_points(reference) else _under_labels
        found = list(read(product, reference, options))
        model, digest, temperature = tags["LULC_MODEL"], tags["LULC_MODEL_SHA256"], float(tags["LULC_TEMPERATURE"])
        return LabelledPixels(product.legend, model, digest, temperature, *_joined(found, reference))


def pixels_of_model(model: str | Path, training_set: Path, options: CalibrateOptions) -> LabelledPixels:
    """Run a model over a split of a training set.

    Raises:
        LulcError: The model or set is refused, or they do not fit each other.
    """
    bundle, data = load_bundle(model), open_training_set(training_set)
    to_model = _crosswalk(data.card.classes, bundle.card.classes, options)
    found: list[Part] = []
    for part in predictions(bundle, data, options.split):
        codes = to_model.relabel(part.codes)
        for chip, probabilities, labels in zip(part.chips, part.probabilities, codes, strict=True):
            found.append(_labelled(probabilities, labels, np.full(labels.shape, chip.block)))
    card = bundle.card
    return LabelledPixels(
        card.classes,
        f"{card.name} {card.version}",
        card.weights_sha256,
        card.temperature,
        *_joined(found, training_set),
    )


def _at_points(product: ProductReader, path: Path, options: CalibrateOptions) -> Iterator[Part]:
    points = read_points(path, label=options.attribute or "reference")
    codes = label_codes(path, points, product.legend)
    if not codes.any():
        raise InputError(f"no point of {path} has a label", "fill in class names or codes")
    row, col, inside = pixels_at(product.grid, points.lon, points.lat)
    for number in np.flatnonzero(inside & (codes > 0)).tolist():
        activations = product.activations(Window(int(row[number]), int(col[number]), 1, 1))
        if not np.isnan(activations[0, 0, 0]):
            yield activations[:, 0, 0][None], codes[number : number + 1] - 1, np.array([number])


def _under_labels(product: ProductReader, path: Path, options: CalibrateOptions) -> Iterator[Part]:
    legend = reference_legend(path, options.legend)
    crosswalks = (load_crosswalk(product.legend, product.legend), _crosswalk(legend, product.legend, options))
    shape, random = product.grid.shape, np.random.default_rng(options.seed)
    kept = min(1.0, _MOST / shape.size)
    with ExitStack() as stack:
        labels = stack.enter_context(open_labels(path, legend, attribute=options.attribute, layer=options.layer))
        pair = Pair(product, labels, *crosswalks)
        for window in block_windows(shape, _SIDE):
            codes = pair.reference_codes(window).copy()
            codes[random.random(codes.shape) >= kept] = NODATA_CODE
            activations = product.activations(window)
            codes[np.isnan(activations[0])] = NODATA_CODE
            yield _labelled(activations, codes, _block_numbers(window, shape.width))


def _crosswalk(of_labels: Legend, of_model: Legend, options: CalibrateOptions) -> Crosswalk:
    """From the classes of the labels to those of the model."""
    given = {crosswalk_ends(file): file for file in options.crosswalk}
    return load_crosswalk(of_labels, of_model, given.get((of_labels.name, of_model.name)))


def _block_numbers(window: Window, width: int) -> NDArray[np.int64]:
    """Number of the block of each pixel of a window in a map of some width: int64 (height, width)."""
    rows, cols = (np.arange(part.start, part.stop) // _BLOCK for part in window.slices())
    return np.asarray(rows[:, None] * (width // _BLOCK + 1) + cols)


def _labelled(
    activations_kyx: NDArray[np.float32], labels_yx: NDArray[np.uint8], groups_yx: NDArray[np.integer]
) -> Part:
    """Those pixels of a window that have a label."""
    known = labels_yx != NODATA_CODE
    return activations_kyx[:, known].T, labels_yx[known].astype(np.int64) - 1, groups_yx[known].astype(np.int64)


def _joined(parts: list[Part], reference: Path) -> Part:
    if not sum(len(codes) for _, codes, _ in parts):
        raise InputError(f"no pixel has a label of {reference}", "check that it has labels, and lies on the map")
    activations, codes, groups = (np.concatenate(column) for column in zip(*parts, strict=True))
    return activations, codes, groups
