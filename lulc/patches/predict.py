"""`lulc patches predict` of files: classify patches."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lulc.errors import InputError, LulcError, UsageError
from lulc.io.files.atomic import write_whole
from lulc.io.files.csv_text import csv_text
from lulc.io.files.outputs import check_target
from lulc.io.files.paths import AnyPaths, as_paths
from lulc.io.scene.safe import is_safe
from lulc.patches.card import PatchCard
from lulc.patches.classifier import Classifier, Prediction
from lulc.patches.dataset import IMAGE_ENDINGS
from lulc.patches.distribution import score_text, unlike_note, unlike_warning
from lulc.patches.image import PatchImage, read_image
from lulc.patches.pixels import level_note

if TYPE_CHECKING:
    from lulc.patches.second_opinion import Adviser, Opinion

_log = logging.getLogger(__name__)

_SIZE_TOLERANCE = 1.5
_OPINION_COLUMNS = ("opinion", "opinion_reason", "opinion_problem")


@dataclass(frozen=True, slots=True)
class Answer:
    """Prediction for one patch.

    Attributes:
        name: The file.
        answer: The most probable class.
        confidence: Its calibrated probability, 0..1.
        probabilities: Calibrated probability of every class by name, the most probable first.
        ood_score: Out-of-distribution score, above 1 unlike the training patches; None when the model does not know.
        notes: Differences between the patch and the training patches of the model.
        opinion: Second opinion of the model named by `--ask`; None without.
    """

    name: str
    answer: str
    confidence: float
    probabilities: dict[str, float]
    ood_score: float | None = None
    notes: tuple[str, ...] = ()
    opinion: "Opinion | None" = None

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        plain: dict[str, Any] = {
            "name": self.name,
            "class": self.answer,
            "confidence": round(self.confidence, 4),
            "probabilities": {name: round(probability, 4) for name, probability in self.probabilities.items()},
            "notes": list(self.notes),
        }
        if self.ood_score is not None:
            plain["ood_score"] = round(self.ood_score, 4)
        return plain if self.opinion is None else plain | {"opinion": self.opinion.to_json()}

    def to_text(self) -> str:
        """One line, and one more for each note and for the opinion."""
        second = list(self.probabilities.items())[1]
        lines = [
            f"{self.name}: {self.answer} {self.confidence:.1%} (then {second[0]} {second[1]:.1%}){score_text(self.ood_score)}"
        ]
        lines += [f"  note: {note}" for note in self.notes]
        if self.opinion is not None:
            same = "agrees" if self.opinion.answer == self.answer else "differs"
            said = f"{self.opinion.answer} ({same})" + (f": {self.opinion.reason}" if self.opinion.reason else "")
            lines.append(f"  second opinion: {said if self.opinion.answer else 'none, ' + self.opinion.problem}")
        return "\n".join(lines)


def classify_files(
    inputs: AnyPaths,
    classifier: Classifier,
    *,
    bands: Sequence[str] | None = None,
    adviser: "Adviser | None" = None,
    refused: Callable[[LulcError], None] | None = None,
) -> Iterator[Answer]:
    """Classify files, and yield their predictions in order; at the end, warn when many are unlike the training patches.

    Args:
        inputs: Files, and folders whose image files are taken.
        classifier: The model.
        bands: Names of the bands in order, when the files do not state them.
        adviser: Vision model that gives a second opinion; None for none.
        refused: Called for each file in a folder that cannot be classified; None raises at the first.

    Raises:
        InputError: A file is refused.
        LimitError: A file is larger than a patch may be.
        ModelError: The model gives values that are not finite.
        StorageError: A file cannot be read.
        UsageError: An input is a whole scene.
    """
    inputs = as_paths(inputs)
    files = image_files(inputs)

    def on_refused(path: Path, error: LulcError) -> None:
        if refused is None or path in inputs:
            raise error
        refused(error)

    scores = []
    for one in classifier.classify(files, lambda file: read_image(file, bands), refused=on_refused):
        scores.append(one.ood_score)
        yield _answer(one, classifier, adviser)
    known = [score for score in scores if score is not None]
    for warning in unlike_warning(sum(score > 1 for score in known), len(known), classifier.card.name):
        _log.warning(warning)


def _answer(found: Prediction[Path], classifier: Classifier, adviser: "Adviser | None") -> Answer:
    row, image = found.probabilities, found.image
    order = np.argsort(-row, kind="stable")
    return Answer(
        name=str(found.item),
        answer=classifier.classes[order[0]],
        confidence=float(row[order[0]]),
        probabilities={classifier.classes[index]: float(row[index]) for index in order},
        ood_score=found.ood_score,
        notes=tuple(patch_notes(image, classifier.card, found.ood_score)),
        opinion=adviser.ask(image.colors()) if adviser else None,
    )


def image_files(inputs: Sequence[Path]) -> list[Path]:
    """List files, and the image files below folders without hidden ones.

    Raises:
        InputError: A path does not exist, or a folder has no images.
        UsageError: A path is a whole scene.
    """
    files: list[Path] = []
    for path in inputs:
        if not path.exists():
            raise InputError(f"there is no {path}", "check the path")
        if not path.is_dir():
            files.append(path)
            continue
        if is_safe(path):
            raise UsageError(f"{path} is a whole scene", "classify its cells with --grid OUT.tif")
        found = [entry for entry in sorted(path.rglob("*")) if _is_image(entry.relative_to(path)) and entry.is_file()]
        if not found:
            raise InputError(f"{path} holds no JPEG, PNG or TIFF files", "give another folder, or files")
        files += found
    return files


def _is_image(name: Path) -> bool:
    return name.suffix.lower() in IMAGE_ENDINGS and not any(part.startswith(".") for part in name.parts)


def patch_notes(
    image: PatchImage,
    card: PatchCard,
    ood_score: float | None,
    instead: str = "--grid classifies its cells instead",
) -> Iterator[str]:
    """Sentences on the differences between a patch and the training patches of a model.

    Args:
        image: The patch.
        card: Card of the model.
        ood_score: Of the patch; None when not known.
        instead: Advice for a patch that is a scene, in the caller's words.
    """
    yield from unlike_note(ood_score, card.name)
    height, width = image.values.shape[1:]
    if not all(1 / _SIZE_TOLERANCE <= side / card.patch_side <= _SIZE_TOLERANCE for side in (height, width)):
        cells = f"; {instead}" if image.grid.crs else ""
        yield f"{height} x {width} px, {card.name} was trained on {card.patch_side} px: it was resized{cells}"
    size = image.grid.pixel_size_m() if image.grid.crs else None
    if card.resolution_m and size and not 1 / _SIZE_TOLERANCE <= size / card.resolution_m <= _SIZE_TOLERANCE:
        yield f"pixels are {size:.3g} m, {card.name} was trained at {card.resolution_m:g} m"
    yield from level_note(image.level, card)
    empty = 1 - float(image.valid.mean())
    if empty:
        yield f"{empty:.0%} of the patch has no data"


def answers_csv(answers: Sequence[Answer]) -> bytes:
    """Predictions as CSV: name, class, confidence, OOD score, and the probability of every class by name.

    There is no column `ood_score` when the model does not know the scores.
    With second opinions there are columns for the class, the reason, and the problem if there is no class.
    """
    classes = sorted(answers[0].probabilities) if answers else []
    asked = any(one.opinion for one in answers)
    rows = []
    for one in answers:
        probabilities = (f"{one.probabilities[name]:.4f}" for name in classes)
        opinion = (one.opinion.answer, one.opinion.reason, one.opinion.problem) if one.opinion else ()
        score = () if one.ood_score is None else (f"{one.ood_score:.4f}",)
        rows.append([one.name, one.answer, f"{one.confidence:.4f}", *score, *probabilities, *opinion])
    scored = ("ood_score",) if any(one.ood_score is not None for one in answers) else ()
    columns = ["name", "class", "confidence", *scored, *classes, *(_OPINION_COLUMNS if asked else ())]
    return csv_text(columns, rows).encode()


def write_answers(path: Path, answers: Sequence[Answer], *, overwrite: bool = False) -> None:
    """Write predictions as CSV, whole or not at all.

    Raises:
        StorageError: The file exists, or writing failed.
    """
    check_target(path, overwrite=overwrite)
    write_whole(path, answers_csv(answers))
