"""`lulc patches evaluate`: a model tested on labelled patches that it was not trained on."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError, UsageError, did_you_mean
from lulc.io.figures.agreement import write_reliability
from lulc.io.files.atomic import write_whole
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.report.writer import JSON, MARKDOWN, FileWriter, check_report, write_report
from lulc.patches.card import load_patch_model
from lulc.patches.classifier import Classifier
from lulc.patches.dataset import Patch, PatchSet, check_outside, open_patch_set
from lulc.patches.learn.split import PatchSplit, model_split, read_split
from lulc.patches.options import PatchEvaluateOptions
from lulc.patches.study.evaluation_report import ConfusedPair, PatchEvaluation
from lulc.patches.study.figures import PATCHES, PER_ROW, Picture, PictureRow, write_patch_confusion, write_picture_rows
from lulc.patches.study.predictions import Predictions
from lulc.run import Progress, silent

ALL = "all"
"""In place of a split: every patch."""

_OTHERS = ("predictions.csv", "confusion.png", "confused.png", "reliability.png")

FILES = (JSON, MARKDOWN, *_OTHERS)
"""What is written into a folder; `confused.png` only when something was confused."""

_SUREST = 10
_DRAWN_PAIRS = 6


def evaluate_patches(
    model: str | Path, data: AnyPath, options: PatchEvaluateOptions | None = None, *, progress: Progress = silent
) -> PatchEvaluation:
    """Compare the classes that a model predicts with those of patches.

    Args:
        model: Bundle, by path or name.
        data: Folder or zip of class folders, named as the model's classes.
        options: How; None for the defaults.
        progress: Called with the pixels done and in all; the total assumes patches of one size.

    Raises:
        UsageError: A split file that would not be used.
        InputError: No such patches, a class that the model does not know, or a patch that cannot be read.
        ModelError: The model is refused.
        StorageError: A former report is there, or the disk is full or refuses.
    """
    data = as_path(data)
    options = options or PatchEvaluateOptions()
    split, split_file, turns = options.split, options.split_file, options.turns
    _check(data, options)
    loaded, labelled = load_patch_model(model), open_patch_set(data, options.bands)
    card, own = loaded.card, model_split(model)
    code_of = _codes(labelled, card.name, card.classes.names)
    listed = read_split(split_file) if split_file is not None else own
    patches, missing = _chosen(labelled, split, listed, str(split_file or card.name))
    actual = np.array([code_of[patch.code] for patch in patches], np.uint8)
    classifier, start = Classifier(loaded, options.device, options.precision, turns=turns), time.monotonic()
    probabilities = _probabilities(classifier, labelled, patches, progress)
    seconds = time.monotonic() - start
    predictions = Predictions(patches, actual, probabilities, classifier.classes)
    knowable = card.temperature != 1 and not turns  # a mean of eight cannot be undone
    mean = ("each answer is the mean over eight turns and mirror images of the patch",) if turns else ()
    report = PatchEvaluation(
        model=f"{card.name} {card.version}",
        data=str(data),
        split=split,
        matrix=predictions.matrix,
        top2_accuracy=predictions.top_accuracy(2),
        pairs=predictions.pairs(PER_ROW),
        surest=tuple(predictions.mistakes(predictions.wrong[:_SUREST])),
        calibration=predictions.calibration(),
        uncalibrated=predictions.calibration(card.temperature) if knowable else None,
        temperature=card.temperature,
        missing=missing,
        notes=(*mean, *_notes(predictions, missing, split, own, card.name)),
        device=str(classifier.device),
        seconds=seconds,
    )
    if options.out is not None:
        _write(report, predictions, labelled, options.out, overwrite=options.overwrite)
    return report


def _check(data: Path, options: PatchEvaluateOptions) -> None:
    """Refuse options and outputs before any work."""
    if options.split == ALL and options.split_file is not None:
        raise UsageError(f"a split file is of no use with {ALL}", "leave one of them out")
    if options.out is not None:
        check_outside(options.out, data)
        check_report(options.out, _OTHERS, overwrite=options.overwrite)


def _codes(data: PatchSet, model: str, classes: Sequence[str]) -> dict[int, int]:
    """Code of a class in the set to its code in the model; classes are matched by name."""
    for name in data.classes:
        if name not in classes:
            raise InputError(f"{data.path}: {model} has no class {name}", did_you_mean(name, classes))
    return {code: classes.index(name) + 1 for code, name in enumerate(data.classes, 1)}


def _chosen(data: PatchSet, split: str, listed: PatchSplit | None, source: str) -> tuple[tuple[Patch, ...], int]:
    """Patches of a split that are there, and how many more it lists."""
    if split == ALL:
        return data.patches, 0
    if listed is None:
        raise InputError(
            f"{source} does not say which patches it was trained on", "give --split-file, or try it on --split all"
        )
    wanted = listed.counts()[split]
    if not wanted:
        raise InputError(f"the split of {source} lists no patches as {split}", "choose another --split")
    patches = listed.of(data, split)
    if not patches:
        raise InputError(
            f"{data.path} has none of the {wanted} patches that {source} lists as {split}",
            "check DATA, or try the model on --split all",
        )
    return patches, wanted - len(patches)


def _probabilities(
    classifier: Classifier, data: PatchSet, patches: Sequence[Patch], progress: Progress
) -> NDArray[np.float32]:
    """Calibrated probabilities, finite: float32 (n, K)."""
    found = np.empty((len(patches), len(classifier.classes)), np.float32)
    pixels = 0
    for number, one in enumerate(classifier.classify(patches, data.read)):
        found[number] = one.probabilities
        pixels += one.image.valid.size
        progress(pixels, pixels * len(patches) // (number + 1))
    return found


def _notes(predictions: Predictions, missing: int, split: str, own: PatchSplit | None, model: str) -> Iterator[str]:
    """Remarks: missing patches and classes, and patches that the model may have been trained on."""
    total = len(predictions.patches)
    if missing:
        yield f"{missing:,} of {total + missing:,} patches that are listed as {split} are not in the data"
    lacking = [
        name for name, count in zip(predictions.classes, predictions.matrix.reference_totals, strict=True) if not count
    ]
    if lacking:
        yield f"there are no patches of {', '.join(lacking)}: how many of these it finds is not known"
    if own is None:
        yield f"{model} does not say which patches it was trained on: these may be among them"
        return
    # `Forest/Forest_12.tif` shows the ground of `Forest/Forest_12.jpg`
    known = {name.rpartition(".")[0]: part for name, part in own.names.items()}
    parts = [known.get(patch.name.rpartition(".")[0]) for patch in predictions.patches]
    if "train" in parts:
        yield f"{model} was trained on {parts.count('train'):,} of these {total:,} patches, by their names: they say little about others"
    if "val" in parts:
        yield f"{parts.count('val'):,} of these {total:,} patches chose the weights and the temperature of {model}"
    if None in parts and "train" not in own.names.values():
        yield f"{model} lists its test patches only: it may have been trained on the other {parts.count(None):,}"


def _write(report: PatchEvaluation, predictions: Predictions, data: PatchSet, folder: Path, *, overwrite: bool) -> None:
    rows = [_row(pair, data) for pair in report.pairs[:_DRAWN_PAIRS]]
    title = f"{report.model} on {Path(report.data).name} ({report.split})"
    wrong = f"{len(predictions.wrong):,} of {len(predictions.patches):,} patches"
    headline = f"Most confused, the surest first ({wrong} taken for another class)"
    writers: tuple[FileWriter | None, ...] = (
        lambda path: write_whole(path, predictions.csv()),
        lambda path: write_patch_confusion(path, report.matrix, title),
        (lambda path: write_picture_rows(path, rows, headline, title)) if rows else None,
        lambda path: write_reliability(path, report.calibration, title, report.uncalibrated, PATCHES),
    )
    write_report(report, folder, dict(zip(_OTHERS, writers, strict=True)), overwrite=overwrite)


def _row(pair: ConfusedPair, data: PatchSet) -> PictureRow:
    """A confused pair with the images of its examples."""
    patches = {patch.name: patch for patch in data.patches}
    pictures = (
        Picture(
            data.read(patches[example.name]).colors(), f"{example.confidence:.3f}", PurePosixPath(example.name).stem
        )
        for example in pair.examples
    )
    return PictureRow(pair.header, tuple(pictures))
