"""`lulc patches predict` of files: what patches show."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lulc.errors import InputError, LulcError, UsageError
from lulc.io.files.durable import write_whole
from lulc.io.files.staging import check_target
from lulc.io.scene.safe import is_safe
from lulc.patches.card import PatchCard
from lulc.patches.classifier import Classifier
from lulc.patches.dataset import IMAGE_ENDINGS
from lulc.patches.image import PatchImage, read_image
from lulc.patches.pixels import level_note

if TYPE_CHECKING:
    from lulc.patches.second_opinion import Adviser, Opinion

_SIZE_TOLERANCE = 1.5
_OPINION_COLUMNS = ("opinion", "opinion_reason", "opinion_problem")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of one patch.

    Attributes:
        name: The file.
        answer: The most probable class.
        confidence: Its calibrated probability.
        probabilities: Of every class, by name, the most probable first.
        notes: What makes the patch unlike those that the model was trained on.
        opinion: What was said by whom `--ask` names, or None.
    """

    name: str
    answer: str
    confidence: float
    probabilities: dict[str, float]
    notes: tuple[str, ...] = ()
    opinion: "Opinion | None" = None

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        plain: dict[str, Any] = {
            "name": self.name,
            "class": self.answer,
            "confidence": round(self.confidence, 4),
            "probabilities": {name: round(share, 4) for name, share in self.probabilities.items()},
            "notes": list(self.notes),
        }
        return plain if self.opinion is None else plain | {"opinion": self.opinion.to_json()}

    def to_text(self) -> str:
        """A line, and one more for each note and for the opinion."""
        second = list(self.probabilities.items())[1]
        lines = [f"{self.name}: {self.answer} {self.confidence:.1%} (then {second[0]} {second[1]:.1%})"]
        lines += [f"  note: {note}" for note in self.notes]
        if self.opinion is not None:
            same = "agrees" if self.opinion.answer == self.answer else "differs"
            said = f"{self.opinion.answer} ({same})" + (f": {self.opinion.reason}" if self.opinion.reason else "")
            lines.append(f"  second opinion: {said if self.opinion.answer else 'none, ' + self.opinion.problem}")
        return "\n".join(lines)


def classify_files(
    inputs: Sequence[Path],
    classifier: Classifier,
    *,
    bands: Sequence[str] | None = None,
    adviser: "Adviser | None" = None,
    refused: Callable[[LulcError], None] | None = None,
) -> Iterator[Answer]:
    """What a model says of files, in their order.

    Args:
        inputs: Files, and folders whose image files are taken.
        classifier: The model.
        bands: Names of the bands in the files, when these do not say.
        adviser: Whom to ask for a second opinion.
        refused: Told of files in folders that cannot be classified; None raises at the first.

    Raises:
        LulcError: A file is refused.
    """
    files = image_files(inputs)

    def told(path: Path, error: LulcError) -> None:
        if refused is None or path in inputs:
            raise error
        refused(error)

    for path, image, row in classifier.classify(files, lambda file: read_image(file, bands), refused=told):
        order = np.argsort(-row, kind="stable")
        yield Answer(
            name=str(path),
            answer=classifier.classes[order[0]],
            confidence=float(row[order[0]]),
            probabilities={classifier.classes[place]: float(row[place]) for place in order},
            notes=tuple(patch_notes(image, classifier.card)),
            opinion=adviser.ask(image.colors()) if adviser else None,
        )


def image_files(inputs: Sequence[Path]) -> list[Path]:
    """Files, and the image files below folders, hidden ones left out.

    Raises:
        InputError: Not there, or a folder without images.
        UsageError: A whole scene.
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
    image: PatchImage, card: PatchCard, instead: str = "--grid classifies its cells instead"
) -> Iterator[str]:
    """What makes a patch unlike those that a model was trained on, in sentences.

    Args:
        image: The patch.
        card: Of the model.
        instead: What can be done with a patch that is a scene, in the words of who asks.
    """
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
    """Answers as CSV: name, class, confidence, the probability of every class in order of their names.

    Where somebody else was asked too: also the class that was named, the reason, and why there is no answer.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    classes = sorted(answers[0].probabilities) if answers else []
    asked = any(one.opinion for one in answers)
    rows.writerow(["name", "class", "confidence", *classes, *(_OPINION_COLUMNS if asked else ())])
    for one in answers:
        shares = (f"{one.probabilities[name]:.4f}" for name in classes)
        said = (one.opinion.answer, one.opinion.reason, one.opinion.problem) if one.opinion else ()
        rows.writerow([one.name, one.answer, f"{one.confidence:.4f}", *shares, *said])
    return text.getvalue().encode()


def write_answers(path: Path, answers: Sequence[Answer], *, overwrite: bool = False) -> None:
    """Write answers as CSV, whole or not at all.

    Raises:
        StorageError: It exists, or the disk refuses.
    """
    check_target(path, overwrite=overwrite)
    write_whole(path, answers_csv(answers))
