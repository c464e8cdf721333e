"""`lulc train`: a training set and a configuration in, a model bundle out."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.errors import UsageError
from lulc.io.figures.curves import draw_curves
from lulc.io.labels.training_set import TrainingSet, open_training_set
from lulc.run import StepProgress, running, silent
from lulc.training.distributed import join_world, stop_together
from lulc.training.events import check_events, write_events
from lulc.training.run import TrainedModel, plan_training, train_model
from lulc.training.run_folder import RunFolder
from lulc.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a run did.

    Attributes:
        output: Folder of the run; it is a model bundle too.
        steps: Steps done.
        stopped_early: True when the validation loss had stopped falling.
        parameters: Weights of the network.
        start: What the weights started from.
        half_field: Half receptive field, pixels.
        halo_bounded: False when windows of a scene cannot be made to agree (global pooling and the like).
        temperature: Calibrates the probabilities, fitted on the validation split.
        metrics: Scores on the validation split, per class and overall.
        seconds: Spent in training steps.
        mpx_per_s: Megapixels of samples trained on per second.
    """

    output: str
    steps: int
    stopped_early: bool
    parameters: int
    start: str
    half_field: int
    halo_bounded: bool
    temperature: float
    metrics: dict[str, Any]
    seconds: float
    mpx_per_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_text(self) -> str:
        """Some lines for people."""
        early = ", stopped early" if self.stopped_early else ""
        lines = [
            f"{self.output}: model of {self.parameters:,d} weights, {self.start}",
            f"trained    {self.steps} steps in {self.seconds:.0f} s ({self.mpx_per_s:.2f} Mpx/s{early})",
            "validation agreement {agreement:.3f}, macro-F1 {macro_f1:.3f}, loss {loss:.3f} nat".format(**self.metrics),
            f"temperature {self.temperature:.2f}",
        ]
        width = max(len(name) for name in self.metrics["per_class"])
        lines += [
            f"  {name:{width}}  F1 {_shown(scores['f1'])}  producer's {_shown(scores['producers'])}  "
            f"user's {_shown(scores['users'])}  {scores['pixels']:>10,d} px"
            for name, scores in self.metrics["per_class"].items()
        ]
        if not self.halo_bounded:
            lines.append("warning: this network looks at the whole window; maps made with it show window borders")
        return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "  -  " if value is None else f"{value:.3f}"


def train(
    settings: TrainSettings,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: Path | None = None,
    progress: StepProgress = silent,
) -> TrainReport | None:
    """Train a network and leave a model bundle.

    Args:
        settings: What to do.
        output: Folder of the run.
        resume: Continue the run in that folder; without one there, start it.
        overwrite: Replace the run in that folder.
        tensorboard: Folder for TensorBoard's event files, or None.
        progress: Told (steps done, steps, loss) after each step.

    Returns:
        What was done; None in the helping processes of torchrun.

    Raises:
        LulcError: The set, the settings or the start weights are refused, writing failed, or Interrupted: the run can
            then be resumed.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other", "choose one")
    if tensorboard is not None:
        check_events(tensorboard)
    data = open_training_set(settings.data)
    with ExitStack() as stack, join_world(settings.fit.device) as world, running() as signals:
        run = RunFolder(output)
        run.check(resume=resume, overwrite=overwrite)
        plan = plan_training(data, settings, world)
        if world.leads:
            stack.enter_context(run.held())
            run.begin(settings.to_table() | {"set": data.fingerprint()}, resume=resume, overwrite=overwrite)
        world.meet()  # nobody looks for a checkpoint before the folder is ready
        trained = train_model(
            plan, data, settings, world, run, between_steps=stop_together(world, signals), told=progress
        )
        if not world.leads:
            return None
        return _finish(run, settings, data, trained, tensorboard)


def _finish(
    run: RunFolder, settings: TrainSettings, data: TrainingSet, trained: TrainedModel, tensorboard: Path | None
) -> TrainReport:
    trained.write_bundle(run.path, settings, data)
    history = run.history()
    draw_curves(history, run.path / "curves.png", settings.name)
    if tensorboard is not None:
        write_events(history, tensorboard)
    pixels = trained.progress.step * settings.fit.batch * settings.samples.crop**2
    return TrainReport(
        output=str(run.path),
        steps=trained.progress.step,
        stopped_early=trained.progress.stopped,
        parameters=trained.parameters,
        start=trained.start,
        half_field=trained.reach.half_field,
        halo_bounded=trained.reach.bounded,
        temperature=trained.temperature,
        metrics=trained.metrics,
        seconds=round(trained.progress.seconds, 1),
        mpx_per_s=round(pixels / 1e6 / max(trained.progress.seconds, 1e-9), 3),
    )
