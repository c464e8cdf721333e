"""How a network is trained, of scenes and of patches alike: plan, fit, take the best weights, measure, write the bundle."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from pydantic import BaseModel
from torch import nn

from lulc.errors import UsageError
from lulc.features import FeatureSpec
from lulc.io.figures.curves import draw_curves
from lulc.run import StepProgress, running, silent
from lulc.training.distributed import ProcessGroup, process_group, stop_together
from lulc.training.events import check_events, write_events
from lulc.training.loop import Progress, Task, fit
from lulc.training.run_folder import RunFolder
from lulc.training.settings import RunSettings


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    Attributes:
        output: Folder of the run; it is a model bundle too.
        steps: Steps done.
        stopped_early: True when the validation loss had stopped falling.
        parameters: Weights of the network.
        start: What the weights started from.
        temperature: Calibrates the probabilities, fitted on the validation split.
        metrics: Scores.
        seconds: Spent in training steps.
    """

    output: str
    steps: int
    stopped_early: bool
    parameters: int
    start: str
    temperature: float
    metrics: dict[str, Any]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    @property
    def how_it_ended(self) -> str:
        """Text on an early stop; empty when all steps were done."""
        return ", stopped early" if self.stopped_early else ""


Report_co = TypeVar("Report_co", bound=RunReport, covariant=True)


@dataclass(frozen=True)
class Plan(ABC, Generic[Report_co]):
    """A network that is ready to be trained, and what becomes of it.

    Attributes:
        settings: What to do, its steps counted.
        identity: What must be the same for the run to be continued.
        network: On the device; trained in place.
        device: Device of this process.
        architecture: What it was built from.
        features: Its channels.
        start: What its weights started from.
        task: Its batches, loss and validation.
    """

    settings: RunSettings
    identity: Mapping[str, Any]
    network: nn.Module
    device: torch.device
    architecture: BaseModel
    features: FeatureSpec
    start: str
    task: Task[Any]

    def keep(self, folder: Path, *, resume: bool) -> None:
        """Save in the run's folder, before the first step, what else the run depends on; nothing by default."""

    @abstractmethod
    def finish(self, folder: Path, progress: Progress) -> Report_co:
        """Measure the trained network, which is in evaluation mode, and write its bundle."""

    def card(
        self, progress: Progress, temperature: float, metrics: Mapping[str, Any], data: str, facts: Mapping[str, object]
    ) -> dict[str, Any]:
        """What the cards of all trained models say.

        Args:
            progress: How the run went.
            temperature: Fitted on the validation split.
            metrics: Scores.
            data: Name of the data; a card names no place on a disk.
            facts: What else to say of the training, first.
        """
        settings, recipe = self.settings, self.settings.to_table()
        recipe.pop("card")
        recipe["data"] = data
        recipe["network"]["start"] = Path(recipe["network"]["start"]).name
        training = {
            **facts,
            "start": self.start,
            "recipe": recipe,
            "steps": progress.step,
            "seconds": round(progress.seconds),
            "lulc": version("lulc"),
            "torch": str(torch.__version__),
        }
        return {
            "name": settings.name,
            "version": settings.card.version,
            "architecture": self.architecture,
            "features": self.features,
            "temperature": round(temperature, 4),
            "good_at": settings.card.good_at,
            "bad_at": settings.card.bad_at,
            "training": training,
            "metrics": metrics,
            "licence": settings.card.licence,
        }

    def outcome(
        self, folder: Path, progress: Progress, temperature: float, metrics: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The fields of `RunReport`."""
        return {
            "output": str(folder),
            "steps": progress.step,
            "stopped_early": progress.stopped,
            "parameters": sum(weight.numel() for weight in self.network.parameters()),
            "start": self.start,
            "temperature": temperature,
            "metrics": metrics,
            "seconds": round(progress.seconds, 1),
        }


def train(
    settings: RunSettings,
    plan_for: Callable[[ProcessGroup], Plan[Report_co]],
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: Path | None = None,
    progress: StepProgress = silent,
) -> Report_co | None:
    """Train a network and leave a model bundle.

    Args:
        settings: What to do.
        plan_for: Opens the data and builds the network for the processes of the run; it writes nothing.
        output: Folder of the run.
        resume: Continue the run in that folder; without one there, start it.
        overwrite: Replace the run in that folder.
        tensorboard: Folder for TensorBoard's event files, or None.
        progress: Called with (steps done, steps, loss) after each step.

    Returns:
        What was done; None in the helping processes of torchrun.

    Raises:
        LulcError: The data, the settings or the start weights are refused, writing failed, or Interrupted: the run can
            then be resumed.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other", "choose one")
    if tensorboard is not None:
        check_events(tensorboard)
    with ExitStack() as stack, process_group(settings.fit.device) as group, running() as signals:
        run = RunFolder(output)
        run.check(resume=resume, overwrite=overwrite)
        plan = plan_for(group)
        if group.leads:
            stack.enter_context(run.held())
            run.begin(plan.identity, resume=resume, overwrite=overwrite)
            plan.keep(output, resume=resume)
        group.barrier()  # nobody looks for a checkpoint before the folder is ready
        done = fit(
            plan.network,
            plan.task,
            plan.settings.fit,
            group,
            run,
            workers=settings.samples.workers,
            between_steps=stop_together(group, signals),
            on_step=progress,
        )
        if not group.leads:
            return None
        plan.network.load_state_dict(run.kept_weights(settings.fit.keep) or plan.network.state_dict())
        plan.network.eval()
        report = plan.finish(output, done)
        history = run.history()
        draw_curves(history, output / "curves.png", settings.name)
        if tensorboard is not None:
            write_events(history, tensorboard)
        return report


def class_lines(per_class: Mapping[str, Mapping[str, Any]], scores: Mapping[str, str], count: str) -> Iterator[str]:
    """A line for each class.

    Args:
        per_class: Scores by class.
        scores: Key of each score to show, and what to call it.
        count: How many pixels or patches there are, as a format of one class's scores.
    """
    width = max(map(len, per_class))
    for name, found in per_class.items():
        shown = [
            f"{text} {'  -  ' if found[key] is None else format(found[key], '.3f')}" for key, text in scores.items()
        ]
        yield f"  {name:{width}}  {'  '.join(shown)}  {count.format(**found)}"
