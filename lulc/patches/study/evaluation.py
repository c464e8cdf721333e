"""`lulc patches evaluate`: a model tried on labelled patches that it has not been trained on."""

import csv
import io
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError, ModelError, UsageError, did_you_mean
from lulc.io.figures.agreement import write_reliability
from lulc.io.files.durable import storage_errors, write_whole
from lulc.io.files.staging import check_folder
from lulc.metrics.calibration import Calibration, Reliability
from lulc.metrics.confusion import ConfusionMatrix
from lulc.model.device import Precision
from lulc.patches.card import load_patch_model
from lulc.patches.classifier import Classifier
from lulc.patches.dataset import Patch, PatchSet, check_outside, open_patch_set
from lulc.patches.learn.split import PatchSplit, model_split, read_split
from lulc.patches.study.evaluation_report import ConfusedPair, Mistake, PatchEvaluation
from lulc.patches.study.figures import PATCHES, PER_ROW, Picture, PictureRow, write_patch_confusion, write_picture_rows
from lulc.run import Progress, silent
from lulc.split import SPLITS

ALL = "all"
"""In place of a split: every patch."""

FILES = ("report.json", "report.md", "predictions.csv", "confusion.png", "confused.png", "reliability.png")
"""What is written into a folder; `confused.png` only when something was confused."""


_SUREST = 10
_DRAWN_PAIRS = 6


def evaluate_patches(  # noqa: PLR0913 - what a user can choose
    model: str | Path,
    data: Path,
    *,
    split: str = "test",
    split_file: Path | None = None,
    bands: Sequence[str] | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    turns: bool = False,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> PatchEvaluation:
    """Compare a model's answers with the classes of patches.

    Args:
        model: Bundle, by path or name.
        data: Folder or zip of class folders, named as the model's classes.
        split: `train`, `val` or `test`: the patches that the model's own split, or `split_file`, lists so; or `all`.
        split_file: A `split.csv` in place of the model's own.
        bands: Names of the bands in the files, when these do not say; or the one name of a known order.
        device: `auto`, `cpu`, `cuda`, ...
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        turns: Average over the eight turns and mirror images of each patch.
        out: Folder for the report, the answers and pictures; None writes nothing.
        overwrite: Replace a former report there.
        progress: Told (done, total) pixels; the total supposes that patches are of one size.

    Raises:
        UsageError: No such split, or a split file that would not be used.
        InputError: No such patches, a class that the model does not know, or a patch that cannot be read.
        ModelError: The model is refused.
        StorageError: A former report is there, or the disk is full or refuses.
    """
    if split not in (*SPLITS, ALL):
        raise UsageError(f"there is no split {split}", did_you_mean(split, (*SPLITS, ALL)))
    if split == ALL and split_file is not None:
        raise UsageError(f"a split file is of no use with {ALL}", "leave one of them out")
    if out is not None:
        check_outside(out, data)
        check_folder(out, FILES, overwrite=overwrite)
    found, labelled = load_patch_model(model), open_patch_set(data, bands)
    card, own = found.card, model_split(model)
    code_of = _codes(labelled, card.name, card.classes.names)
    listed = read_split(split_file) if split_file is not None else own
    patches, missing = _chosen(labelled, split, listed, str(split_file or card.name))
    classifier, start = Classifier(found, device, precision, turns=turns), time.monotonic()
    shares = _probabilities(classifier, labelled, patches, progress)
    seconds = time.monotonic() - start
    if not np.isfinite(shares).all():
        raise ModelError(f"{card.name} answers with values that are no numbers", "its weights are damaged")
    answers = _Answers(
        patches, np.array([code_of[patch.code] for patch in patches], np.uint8), shares, classifier.classes
    )
    knowable = card.temperature != 1 and not turns  # a mean of eight cannot be undone
    unscaled = None if not knowable else _without_temperature(shares, card.temperature)
    report = PatchEvaluation(
        model=f"{card.name} {card.version}",
        data=str(data),
        split=split,
        matrix=answers.matrix,
        top2_accuracy=answers.top_accuracy(2),
        pairs=answers.pairs(),
        surest=tuple(answers.mistakes(answers.wrong[:_SUREST])),
        calibration=_calibration(shares, answers.actual),
        uncalibrated=None if unscaled is None else _calibration(unscaled, answers.actual),
        temperature=card.temperature,
        missing=missing,
        notes=(
            *(["each answer is the mean over eight turns and mirror images of the patch"] if turns else []),
            *_notes(answers, missing, split, own, card.name),
        ),
        device=str(classifier.device),
        seconds=seconds,
    )
    if out is not None:
        _write(report, answers, labelled, out, overwrite=overwrite)
    return report


def _codes(data: PatchSet, model: str, classes: Sequence[str]) -> dict[int, int]:
    """Code of a class in the set to its code in the model: they are told by name."""
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
    """Calibrated probabilities: float32 (n, K)."""
    shares = np.empty((len(patches), len(classifier.classes)), np.float32)
    pixels = 0
    for number, (_, image, answer) in enumerate(classifier.classify(patches, data.read)):
        shares[number] = answer
        pixels += image.valid.size
        progress(pixels, pixels * len(patches) // (number + 1))
    return shares


def _without_temperature(shares: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What softmax would have given without the temperature T, float32 (n, K): p ** T, scaled to sum to 1."""
    logs = temperature * np.log(np.maximum(shares, np.finfo(np.float32).tiny).astype(np.float64))
    raw = np.exp(logs - logs.max(axis=1, keepdims=True))
    result: NDArray[np.float32] = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def _calibration(shares: NDArray[np.float32], actual: NDArray[np.uint8]) -> Calibration:
    collector = Reliability(shares.shape[1])
    collector.feed(shares.T, actual)
    found = collector.result()
    assert found is not None, "there is at least one patch"
    return found


class _Answers:
    """Patches with their classes and a model's probabilities.

    Attributes:
        patches: n of them.
        actual: Codes of their classes in the model's legend: uint8 (n,), from 1.
        shares: Probabilities: float32 (n, K).
        predicted: Most probable class: uint8 (n,), from 1.
        confidence: Its probability: float32 (n,).
        classes: Class names, K of them.
        wrong: Positions of the patches that were taken for another class, the surest first: int64 (m,).
    """

    def __init__(
        self,
        patches: Sequence[Patch],
        actual: NDArray[np.uint8],
        shares: NDArray[np.float32],
        classes: tuple[str, ...],
    ) -> None:
        self.patches, self.actual, self.shares, self.classes = patches, actual, shares, classes
        self.predicted = (shares.argmax(axis=1) + 1).astype(np.uint8)
        self.confidence = shares.max(axis=1)
        surest = np.argsort(-self.confidence, kind="stable")
        self.wrong = surest[(self.predicted != actual)[surest]]

    @property
    def matrix(self) -> ConfusionMatrix:
        """Counts: rows predicted, columns actual."""
        return ConfusionMatrix.from_codes(self.predicted, self.actual, self.classes)

    def top_accuracy(self, most: int) -> float:
        """Share of the patches whose class is among the `most` most probable."""
        top = np.argsort(-self.shares, axis=1, kind="stable")[:, :most] + 1
        return float((top == self.actual[:, None]).any(axis=1).mean())

    def mistakes(self, positions: NDArray[np.int64]) -> Iterator[Mistake]:
        """Some of the patches that were taken for another class."""
        for position in positions.tolist():
            code = int(self.actual[position])
            yield Mistake(
                name=self.patches[position].name,
                actual=self.classes[code - 1],
                predicted=self.classes[self.predicted[position] - 1],
                confidence=float(self.confidence[position]),
                of_actual=float(self.shares[position, code - 1]),
            )

    def pairs(self) -> tuple[ConfusedPair, ...]:
        """Every pair of classes that was confused, the most frequent first, with its surest mistakes."""
        counts = self.matrix.counts.T
        confused = [(row, column) for row, column in np.argwhere(counts).tolist() if row != column]
        confused.sort(key=lambda pair: -counts[pair])
        return tuple(self._pair(*pair, counts) for pair in confused)

    def _pair(self, row: int, column: int, counts: NDArray[np.int64]) -> ConfusedPair:
        mine = (self.actual[self.wrong] == row + 1) & (self.predicted[self.wrong] == column + 1)
        return ConfusedPair(
            actual=self.classes[row],
            predicted=self.classes[column],
            count=int(counts[row, column]),
            of=int(counts[row].sum()),
            examples=tuple(self.mistakes(self.wrong[mine][:PER_ROW])),
        )

    def csv(self) -> bytes:
        """One line a patch: name, class, answer, confidence and the probability of each class."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["name", "actual", "predicted", "confidence", *self.classes])
        for patch, actual, predicted, shares in zip(
            self.patches, self.actual.tolist(), self.predicted.tolist(), self.shares.tolist(), strict=True
        ):
            names = self.classes[actual - 1], self.classes[predicted - 1]
            lines.writerow([patch.name, *names, *(f"{share:.6g}" for share in (max(shares), *shares))])
        return text.getvalue().encode()


def _notes(answers: _Answers, missing: int, split: str, own: PatchSplit | None, model: str) -> Iterator[str]:
    """What the reader has to know: patches and classes that lack, and what the model may have seen before."""
    total = len(answers.patches)
    if missing:
        yield f"{missing:,} of {total + missing:,} patches that are listed as {split} are not in the data"
    lacking = [name for name, count in zip(answers.classes, answers.matrix.reference_totals, strict=True) if not count]
    if lacking:
        yield f"there are no patches of {', '.join(lacking)}: how many of these it finds is not known"
    if own is None:
        yield f"{model} does not say which patches it was trained on: these may be among them"
        return
    # `Forest/Forest_12.tif` shows the ground of `Forest/Forest_12.jpg`
    known = {name.rpartition(".")[0]: part for name, part in own.names.items()}
    parts = [known.get(patch.name.rpartition(".")[0]) for patch in answers.patches]
    if "train" in parts:
        yield f"{model} was trained on {parts.count('train'):,} of these {total:,} patches, by their names: they say little about others"
    if "val" in parts:
        yield f"{parts.count('val'):,} of these {total:,} patches chose the weights and the temperature of {model}"
    if None in parts and "train" not in own.names.values():
        yield f"{model} lists its test patches only: it may have been trained on the other {parts.count(None):,}"


def _write(report: PatchEvaluation, answers: _Answers, data: PatchSet, folder: Path, *, overwrite: bool) -> None:
    """Write every file of a report whole; report.json is the last."""
    check_folder(folder, FILES, overwrite=overwrite)  # another process may have been faster
    rows = [_row(pair, data) for pair in report.pairs[:_DRAWN_PAIRS]]
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    numbers, text, predictions, confusion, confused, reliability = (folder / name for name in FILES)
    title = f"{report.model} on {Path(report.data).name} ({report.split})"
    write_whole(predictions, answers.csv())
    write_patch_confusion(confusion, report.matrix, title)
    if rows:
        wrong = f"{len(answers.wrong):,} of {len(answers.patches):,} patches"
        write_picture_rows(confused, rows, f"Most confused, the surest first ({wrong} taken for another class)", title)
    else:
        with storage_errors(confused):
            confused.unlink(missing_ok=True)  # of a former report
    write_reliability(reliability, report.calibration, title, report.uncalibrated, PATCHES)
    write_whole(text, report.to_markdown().encode())
    write_whole(numbers, (json.dumps(report.to_json(), indent=1) + "\n").encode())


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
