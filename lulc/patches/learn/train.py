"""`lulc patches train`: class folders and a configuration in, a patch model out."""

from contextlib import ExitStack
from pathlib import Path

from lulc.errors import ConfigError, UsageError
from lulc.io.figures.curves import draw_curves
from lulc.patches.dataset import check_outside
from lulc.patches.learn.plan import plan_patches
from lulc.patches.learn.settings import PatchSettings
from lulc.patches.learn.split import SPLIT_FILE, PatchSplit, read_split
from lulc.patches.learn.trained import PatchTrainReport, TrainedPatches
from lulc.run import StepProgress, running, silent
from lulc.training.distributed import join_world, stop_together
from lulc.training.events import check_events, write_events
from lulc.training.loop import fit
from lulc.training.run_folder import RunFolder


def train_patches(
    settings: PatchSettings,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: Path | None = None,
    progress: StepProgress = silent,
) -> PatchTrainReport | None:
    """Train a patch classifier and leave a model bundle.

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
        LulcError: The patches, the settings or the start weights are refused, writing failed, or Interrupted: the run
            can then be resumed.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other", "choose one")
    if tensorboard is not None:
        check_events(tensorboard)
    with ExitStack() as stack, join_world(settings.fit.device) as world, running() as signals:
        run = RunFolder(output)
        check_outside(output, settings.data)
        run.check(resume=resume, overwrite=overwrite)
        plan = plan_patches(settings, world)
        if world.leads:
            stack.enter_context(run.held())
            run.begin(settings.to_table(), resume=resume, overwrite=overwrite)
            _keep_split(run.path / SPLIT_FILE, plan.split, resume=resume)
        world.meet()  # nobody looks for a checkpoint before the folder is ready
        done = fit(
            plan.network,
            plan.task(world),
            plan.settings.fit,
            world,
            run,
            workers=settings.samples.workers,
            between_steps=stop_together(world, signals),
            told=progress,
        )
        if not world.leads:
            return None
        plan.network.load_state_dict(run.kept_weights(settings.fit.keep) or plan.network.state_dict())
        trained = TrainedPatches.measured(plan, done, world.device)
        trained.write(run.path)
        history = run.history()
        draw_curves(history, run.path / "curves.png", settings.name)
        if tensorboard is not None:
            write_events(history, tensorboard)
        return trained.report(run.path)


def _keep_split(file: Path, split: PatchSplit, *, resume: bool) -> None:
    """Save the split; a run is continued on its own patches alone."""
    if resume and file.is_file() and read_split(file) != split:
        raise ConfigError(f"{file.parent} was trained on other patches", "use another OUT, or the patches as they were")
    split.write(file)
