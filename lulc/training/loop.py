"""The training loop: steps, validation, checkpoints, early stop. A `Task` supplies batches, loss and validation."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from lulc.errors import ConfigError, InputError, Interrupted, LimitError, ModelError
from lulc.model.device import choose_precision
from lulc.run import StepProgress, silent
from lulc.threads import in_order
from lulc.training.distributed import ProcessGroup
from lulc.training.ema import EMA
from lulc.training.run_folder import RunFolder
from lulc.training.settings import FitSettings

Batch = TypeVar("Batch")

_NOTE_EVERY = 20


@dataclass(frozen=True, slots=True)
class Scores:
    """What a validation found.

    Attributes:
        loss: To be minimised.
        score: To be maximised, such as macro-F1.
        others: What the history records besides the loss, the score among it.
    """

    loss: float
    score: float
    others: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepLoss:
    """Loss of one process's part of a step.

    Attributes:
        value: A scalar with a gradient; 0 when nothing is labelled.
        labelled: Whether the batch holds a label.
    """

    value: Tensor
    labelled: bool


class Task(Protocol[Batch]):
    """What is trained."""

    def draw(self, step: int) -> Batch:
        """What this process's part of a step needs, read and decoded; called in threads."""

    def loss(self, network: Callable[[Tensor], Tensor], batch: Batch, step: int) -> StepLoss:
        """Loss of a batch; `network` runs in the precision of the run."""

    def validate(self, network: nn.Module) -> Scores:
        """Scores of a network in evaluation mode; the same in every process."""


@dataclass
class Progress:
    """How far a run has come; what a checkpoint says besides weights.

    Attributes:
        step: Steps done.
        best_loss: Least validation loss.
        best_score: Largest validation score.
        stale: Validations since the best loss.
        seconds: Time spent in steps, waiting for samples included.
        stopped: True when training ended early.
        labelled: True once a batch of this process held a label.
    """

    step: int = 0
    best_loss: float = math.inf
    best_score: float = -math.inf
    stale: int = 0
    seconds: float = 0.0
    stopped: bool = False
    labelled: bool = False


def fit(
    network: nn.Module,
    task: Task[Any],
    settings: FitSettings,
    group: ProcessGroup,
    run: RunFolder,
    *,
    workers: int = 2,
    between_steps: Callable[[], None] = lambda: None,
    on_step: StepProgress = silent,
) -> Progress:
    """Train a network; leaves history, checkpoint and best weights in the run's folder.

    Args:
        network: On the process group's device; trained in place.
        task: What is trained.
        settings: Steps, optimiser, precision, seed.
        group: The processes of the run.
        run: Where to write; a checkpoint there is continued.
        workers: Threads that read ahead.
        between_steps: Called before each step; may raise Interrupted to stop, a checkpoint is then written.
        on_step: Called after each step with (steps done, steps, loss).

    Raises:
        InputError: No sample of the run held a label.
        ModelError: The loss is not finite.
        ConfigError: The batch is too small for the network's batch norm.
        LimitError: The device has not enough memory for the batch.
    """
    loop = _Loop(network, task, settings, group, run)
    loop.resume()
    try:
        for step, batch in loop.batches(workers):
            between_steps()
            on_step(step + 1, settings.steps, loop.advance(step, batch))
            if loop.progress.stopped:
                break
    except Interrupted:  # raised between steps alone: anything else may have left a step half done
        loop.save()
        raise
    loop.check_labels()
    return loop.progress


class _Loop:
    """State of a run: network, moving average, optimiser, progress."""

    def __init__(
        self, network: nn.Module, task: Task[Any], settings: FitSettings, group: ProcessGroup, run: RunFolder
    ) -> None:
        self._network, self._task, self._settings, self._group, self._run = network, task, settings, group, run
        self._ema = EMA(network, settings.ema)
        self._wrapped = group.wrapped(network)
        self._optimiser = optimiser_for(network, settings)
        self._dtype = choose_precision(settings.precision, group.device)
        self._scaler = torch.amp.GradScaler(group.device.type, enabled=self._dtype == torch.float16)
        self._saved, self._since = -1, 0.0
        self._loss: float | None = None
        self._recent: list[Tensor] = []
        self.progress = Progress()

    def batches(self, workers: int) -> Iterator[tuple[int, Any]]:
        """Steps to do, each with what it needs."""
        last = self.progress.step if self.progress.stopped else self._settings.steps
        self._since = time.perf_counter()
        steps = range(self.progress.step, last)
        return zip(steps, in_order(self._task.draw, steps, workers), strict=True)

    def advance(self, step: int, batch: Any) -> float | None:  # noqa: ANN401 - the task's
        """One step and what is due after it; the loss of the latest note, None before the first."""
        with _known_failures():
            self._update(step, batch)
        self._ema.update_parameters(self._network)
        self.progress.step = step + 1
        self.progress.seconds += time.perf_counter() - self._since
        settings, last = self._settings, step + 1 == self._settings.steps
        due = last or (step + 1) % settings.validate_every == 0
        if due or (step + 1) % _NOTE_EVERY == 0:
            self._note(step + 1)
        if due:
            self._validate(step + 1)
        if (step + 1) % settings.checkpoint_every == 0 or due:
            self.save()
        self._since = time.perf_counter()
        return self._loss

    def _update(self, step: int, batch: Any) -> None:  # noqa: ANN401
        self._network.train()
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * schedule(step, self._settings)
        # Dropout and the like draw from this state: a step is repeatable by itself.
        torch.manual_seed(mixed_seed(self._settings.seed, step, self._group.rank))
        loss = self._task.loss(self._amp, batch, step)
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss.value).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._optimiser)
        if self._settings.clip:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._recent.append(loss.value.detach())
        self.progress.labelled |= loss.labelled

    def _amp(self, image: Tensor) -> Tensor:
        """The network in the precision of the run."""
        mixed = self._dtype != torch.float32
        with torch.autocast(self._group.device.type, self._dtype) if mixed else nullcontext():
            logits: Tensor = self._wrapped(image)
        return logits

    def _note(self, step: int) -> None:
        losses = self._group.sum(torch.stack(self._recent)) / self._group.size
        self._recent.clear()
        _refuse_infinite(losses.tolist(), step)
        self._loss = float(losses.mean())
        if self._group.leads:
            rate = self._optimiser.param_groups[0]["lr"]
            self._run.note(
                {"step": step, "loss": self._loss, "learning_rate": rate, "seconds": round(self.progress.seconds, 3)}
            )

    def _validate(self, step: int) -> None:
        scores = self._task.validate(self._ema.module)
        progress, state = self.progress, self._ema.module.state_dict()
        better_loss, better_score = scores.loss < progress.best_loss, scores.score > progress.best_score
        progress.stale = 0 if better_loss else progress.stale + 1
        progress.best_loss = min(scores.loss, progress.best_loss)
        progress.best_score = max(scores.score, progress.best_score)
        progress.stopped = 0 < self._settings.patience <= progress.stale
        if not self._group.leads:
            return
        if better_loss:
            self._run.save_weights("best-loss", state)
        if better_score:
            self._run.save_weights("best-score", state)
        self._run.note({"step": step, "val_loss": scores.loss, **scores.others})

    def save(self) -> None:
        """Write a checkpoint, unless this step has one."""
        if not self._group.leads or self._saved == self.progress.step or not self.progress.step:
            return
        recent = [float(loss) for loss in self._recent]
        # The checkpoint before is worth more than weights that are not finite.
        _refuse_infinite(recent, self.progress.step)
        for weight in self._network.state_dict().values():
            _refuse_infinite([float(weight.detach().sum())], self.progress.step)
        self._run.save_checkpoint(
            {
                "progress": asdict(self.progress),
                "network": self._network.state_dict(),
                "average": self._ema.module.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "scaler": self._scaler.state_dict(),
                "recent": recent,
            }
        )
        self._saved = self.progress.step

    def check_labels(self) -> None:
        """Refuse a run that learned nothing, which a loss of 0 looks like the best of.

        Raises:
            InputError: No batch of any process held a label.
        """
        seen = self._group.sum(torch.tensor(float(self.progress.labelled), device=self._group.device))
        if not float(seen):
            raise InputError(
                f"no sample of {self.progress.step} steps held a labelled pixel, so nothing was learned",
                "raise samples.crop or fit.steps, or prepare a set with more labels",
            )

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one."""
        state = self._run.load_checkpoint()
        if state is None:
            return
        try:
            self._take(state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise self._run.damaged(error) from error
        self._saved = self.progress.step
        if self._group.leads:
            self._run.rewind(self.progress.step)

    def _take(self, state: dict[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        if not 0 < self.progress.step <= self._settings.steps:
            raise ValueError(f"it is at step {self.progress.step} of {self._settings.steps}")
        self._network.load_state_dict(state["network"])
        self._ema.resume(state["average"], self.progress.step)
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        self._recent = [torch.tensor(loss, device=self._group.device) for loss in state["recent"]]


def _refuse_infinite(values: Sequence[float], last: int) -> None:
    """Refuse values of consecutive steps, up to the step `last`, when one is not finite."""
    for step, value in enumerate(values, last + 1 - len(values)):
        if not math.isfinite(value):
            raise ModelError(
                f"the loss or a weight is {value} at step {step}",
                "lower fit.learning_rate, or use fit.precision = fp32",
            )


@contextmanager
def _known_failures() -> Iterator[None]:
    """What torch says of too small and too large batches, in a line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise LimitError("the device has not enough memory for a step", "lower fit.batch or samples.crop") from error
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError("batch norm of this network needs more than one sample", "raise fit.batch") from error


def optimiser_for(network: nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    """Optimiser by name; norms and biases are not decayed."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    rate, decay = settings.learning_rate, settings.weight_decay
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": decay, "highest": rate},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0, "highest": rate},
    ]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=settings.momentum > 0)
    kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate)


def schedule(step: int, settings: FitSettings) -> float:
    """Share of the learning rate at a step: rising in a line, then half a cosine."""
    rising = max(1, round(settings.warm_up * settings.steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, settings.steps - rising)))


def mixed_seed(seed: int, step: int, rank: int) -> int:
    """A seed of its own for each step of each process."""
    return (seed * 1_000_003 + step) * 1_009 + rank
