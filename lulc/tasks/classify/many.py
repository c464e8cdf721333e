"""Classify many scenes in one process, which loads its libraries and the model once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lulc.errors import InputError, Interrupted, LulcError, StorageError, UsageError
from lulc.io.files.outputs import check_outputs, made_folder
from lulc.io.product.reader import open_product
from lulc.legend import NODATA_CODE
from lulc.model.bundle import load_bundle
from lulc.model.device import choose_placement
from lulc.run import Progress, running, silent
from lulc.tasks.classify.classify import classify, plan_classification
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.report import ClassifyReport
from lulc.tasks.classify.scene_list import map_of


@dataclass(frozen=True)
class SceneOutcome:
    """What became of one scene of a list.

    Attributes:
        scene: Its input, the first of several that are stacked.
        output: Its map.
        report: Of the run that made the map; None where none did.
        error: Why there is no map; None where there is one.
    """

    scene: Path
    output: Path
    report: ClassifyReport | None = None
    error: LulcError | None = None

    @property
    def state(self) -> str:
        """`classified`, `there already` or `failed`."""
        return "failed" if self.error else "classified" if self.report else "there already"

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`: a failure has its message and exit code, a map made now its report."""
        facts: dict[str, Any] = {"scene": str(self.scene), "output": str(self.output), "state": self.state}
        if self.error:
            return facts | {"error": str(self.error), "exit_code": self.error.exit_code}
        return facts | ({"report": self.report.to_json()} if self.report else {})


def classify_many(
    scenes: Sequence[Sequence[Path]],
    folder: Path,
    options: ClassifyOptions,
    *,
    told: Callable[[SceneOutcome], None] = lambda _: None,
    progress: Progress = silent,
) -> tuple[SceneOutcome, ...]:
    """Classify scenes one after the other, each into a map of its name. A scene that fails does not stop the others.

    A map that is there already, whole, and of the same scene, model, settings and version of lulc, is kept: a list that was
    interrupted goes on where it was. (How it is compressed does not count.) Any other file of that name is refused.

    Args:
        scenes: For each scene its file, or several files that are stacked.
        folder: Of the maps; made when it is not there.
        options: Of all scenes.
        told: Called with each outcome, in order.
        progress: As for `classify`, of each scene.

    Raises:
        ModelError: The model is refused.
        UsageError: Two maps would have one name, or a map that of an input.
        StorageError: The folder cannot be written.
        Interrupted: A signal came. Maps that are done stay, and finished chunks of the one at work.
    """
    outputs = [map_of(inputs, folder) for inputs in scenes]
    _refuse_one_name(scenes, outputs)
    load_bundle(options.model)  # what is refused here would fail every scene
    choose_placement(options.device, options.precision)
    outcomes = []
    with made_folder(folder), running() as run:
        check_outputs(outputs, [path for inputs in scenes for path in inputs], overwrite=True)
        for inputs, output in zip(scenes, outputs, strict=True):
            run.check()
            outcome = _outcome(inputs, output, options, progress)
            told(outcome)
            outcomes.append(outcome)
    return tuple(outcomes)


def _refuse_one_name(scenes: Sequence[Sequence[Path]], outputs: Sequence[Path]) -> None:
    first: dict[Path, Path] = {}
    for inputs, output in zip(scenes, outputs, strict=True):
        if output in first:
            raise UsageError(
                f"{first[output]} and {inputs[0]} would both become {output}",
                "name each scene once, and classify scenes of one name by lists of their own",
            )
        first[output] = inputs[0]


def _outcome(inputs: Sequence[Path], output: Path, options: ClassifyOptions, progress: Progress) -> SceneOutcome:
    try:
        if not options.overwrite and _made_before(inputs, output, options):
            return SceneOutcome(inputs[0], output)
        report = classify(inputs, output, options, progress=progress)
    except Interrupted:
        raise
    except LulcError as error:
        return SceneOutcome(inputs[0], output, error=error)
    return SceneOutcome(inputs[0], output, report)


def _made_before(inputs: Sequence[Path], output: Path, options: ClassifyOptions) -> bool:
    """True when a file is the map that this run would make, as its tags say.

    Raises:
        StorageError: It is another one.
    """
    if not output.exists():
        return False
    wanted = plan_classification(inputs, options).tags
    try:
        stored = _tags_of_whole(output, options)
    except InputError as error:
        raise StorageError(f"{output} exists and is no map of lulc", "use another folder") from error
    different = sorted(name for name in wanted.keys() | stored.keys() if wanted.get(name, "") != stored.get(name, ""))
    if different:
        raise StorageError(f"{output} exists and differs in {different[0]}", "use --overwrite or another folder")
    return True


def _tags_of_whole(path: Path, options: ClassifyOptions) -> dict[str, str]:
    """Tags of a product, every pixel of which has been read.

    Raises:
        InputError: It is no product of lulc, or has no data though the options require some.
        StorageError: It is damaged.
    """
    with open_product(path) as product:
        holds_data = False
        for window in product.block_rows():
            holds_data |= bool((product.classes(window) != NODATA_CODE).any())
            if product.has_activations:
                product.activations(window)
        if options.require_data and not holds_data:
            raise StorageError(f"{path} exists and has no data", "leave --require-data out, or the scene")
        return product.tags
