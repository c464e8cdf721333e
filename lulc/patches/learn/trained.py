"""A trained patch classifier: measured, written as a bundle, reported."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lulc.metrics.confusion import ConfusionMatrix, defined_mean
from lulc.patches.card import write_patch_model
from lulc.patches.dataset import Patch
from lulc.patches.learn.leakage import Leakage
from lulc.patches.learn.legend import legend_of
from lulc.patches.learn.plan import PatchPlan
from lulc.patches.learn.task import answers
from lulc.training.calibration import TemperatureFit
from lulc.training.loop import Progress
from lulc.training.validation import confusion_counts

_LEAST_FOR_TEMPERATURE = 100  # fitted to fewer validation patches it made probabilities worse


@dataclass(frozen=True, slots=True)
class PatchTrainReport:
    """What a run did.

    Attributes:
        output: Folder of the run; it is a model bundle too.
        steps: Steps done.
        stopped_early: True when the validation loss had stopped falling.
        parameters: Weights of the network.
        start: What the weights started from.
        patches: Patches in each split.
        leakage: What was found twice.
        temperature: Calibrates the probabilities, fitted on the validation split; 1 when that is too small.
        metrics: Scores of each split that was not learnt from.
        seconds: Spent in training steps.
        patches_per_s: Patches trained on per second.
    """

    output: str
    steps: int
    stopped_early: bool
    parameters: int
    start: str
    patches: dict[str, int]
    leakage: Leakage
    temperature: float
    metrics: dict[str, Any]
    seconds: float
    patches_per_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_text(self) -> str:
        """Some lines for people."""
        early = ", stopped early" if self.stopped_early else ""
        counts = ", ".join(f"{count} {name}" for name, count in self.patches.items() if count)
        lines = [
            f"{self.output}: patch model of {self.parameters:,d} weights, {self.start}",
            f"patches    {counts}; {self.leakage.to_text()}",
            f"trained    {self.steps} steps in {self.seconds:.0f} s ({self.patches_per_s:.0f} patches/s{early})",
        ]
        for split, scores in self.metrics.items():
            lines.append(
                f"{split:10} accuracy {scores['accuracy']:.4f}, macro-F1 {scores['macro_f1']:.4f}, "
                f"loss {scores['loss']:.4f} nat ({scores['patches']} patches)"
            )
        if self.metrics["val"]["patches"] < _LEAST_FOR_TEMPERATURE:
            lines.append(f"confidences are not calibrated: that takes {_LEAST_FOR_TEMPERATURE} validation patches")
        shown = self.metrics[list(self.metrics)[-1]]["per_class"]
        width = max(len(name) for name in shown)
        lines += [
            f"  {name:{width}}  F1 {_shown(one['f1'])}  recall {_shown(one['recall'])}  "
            f"precision {_shown(one['precision'])}  {one['patches']:>6,d}"
            for name, one in shown.items()
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class TrainedPatches:
    """A trained network and what is known of it.

    Attributes:
        plan: What was trained on what.
        progress: How the run went.
        temperature: Fitted on the validation split.
        metrics: Scores of each split that was not learnt from.
    """

    plan: PatchPlan
    progress: Progress
    temperature: float
    metrics: dict[str, Any]

    @classmethod
    def measured(cls, plan: PatchPlan, progress: Progress, device: torch.device) -> "TrainedPatches":
        """Fit the temperature on the validation split, and score all splits but the training one."""
        network = plan.network.eval()
        if plan.settings.card.half:
            _round_to_half(network)
        temperature, metrics = TemperatureFit(), {}
        for split in ("val", "test"):
            patches = plan.split.of(plan.data, split)
            if patches:
                metrics[split] = _scores(plan, network, patches, device, temperature if split == "val" else None)
        enough = metrics["val"]["patches"] >= _LEAST_FOR_TEMPERATURE
        return cls(plan, progress, temperature.result() if enough else 1.0, metrics)

    def write(self, folder: Path) -> None:
        """Write the model bundle."""
        plan, told = self.plan, self.plan.settings.card
        legend = legend_of(plan.data.classes, told.legend)
        write_patch_model(
            folder,
            plan.network,
            half=told.half,
            name=plan.settings.name,
            version=told.version,
            summary=told.summary or f"{len(legend)} classes of patches, trained on {plan.data.path.name}",
            architecture=plan.architecture,
            features=plan.spec,
            legend=legend.to_table(),
            input_levels=told.levels,
            resolution_m=told.resolution_m,
            temperature=round(self.temperature, 4),
            patch_side=plan.side,
            pictures=plan.pictures,
            picture_white=told.picture_white if plan.pictures else None,
            good_at=told.good_at,
            bad_at=told.bad_at,
            training=self._training(),
            metrics=self.metrics,
            attribution=told.attribution,
            licence=told.licence,
        )

    def _training(self) -> dict[str, Any]:
        plan = self.plan
        recipe = plan.settings.to_table()
        recipe.pop("card")
        recipe["data"] = plan.data.path.name
        recipe["network"]["start"] = Path(recipe["network"]["start"]).name  # a card names no place on a disk
        return {
            "data": plan.data.path.name,
            "patches": plan.split.counts(),
            "leakage": {
                "same": plan.leakage.same,
                "near": plan.leakage.near,
                "shared_ground": plan.leakage.shared_ground,
            },
            "start": plan.start,
            "recipe": recipe,
            "steps": self.progress.step,
            "seconds": round(self.progress.seconds),
            "lulc": version("lulc"),
            "torch": str(torch.__version__),
        }

    def report(self, folder: Path) -> PatchTrainReport:
        """What the run did."""
        plan, seconds = self.plan, max(self.progress.seconds, 1e-9)
        return PatchTrainReport(
            output=str(folder),
            steps=self.progress.step,
            stopped_early=self.progress.stopped,
            parameters=sum(weight.numel() for weight in plan.network.parameters()),
            start=plan.start,
            patches=plan.split.counts(),
            leakage=plan.leakage,
            temperature=self.temperature,
            metrics=self.metrics,
            seconds=round(self.progress.seconds, 1),
            patches_per_s=round(self.progress.step * plan.settings.fit.batch / seconds, 1),
        )


def _round_to_half(network: nn.Module) -> None:
    """Round the weights as they will be stored, so that what is measured is what is shipped."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.copy_(weight.half().float())


def _scores(
    plan: PatchPlan,
    network: nn.Module,
    patches: Sequence[Patch],
    device: torch.device,
    temperature: TemperatureFit | None,
) -> dict[str, Any]:
    classes = plan.data.classes
    counts, loss = torch.zeros(len(classes), len(classes), dtype=torch.int64), 0.0
    for logits, target in answers(network, plan.reader, patches, plan.spec, device):
        counts += confusion_counts(logits, target.codes)
        loss += float(nn.functional.cross_entropy(logits, target.codes, reduction="sum"))
        if temperature is not None:
            temperature.feed(logits, target)
    matrix = ConfusionMatrix(counts.numpy(), classes)
    columns = zip(classes, matrix.f1, matrix.producers, matrix.users, matrix.reference_totals, strict=True)
    return {
        "patches": len(patches),
        "accuracy": matrix.overall,
        "macro_f1": defined_mean(matrix.f1),
        "loss": loss / len(patches),
        "per_class": {
            name: {"f1": _defined(f1), "recall": _defined(recall), "precision": _defined(precision), "patches": int(n)}
            for name, f1, recall, precision, n in columns
        },
    }


def _defined(value: float) -> float | None:
    return None if isnan(value) else round(float(value), 4)


def _shown(value: float | None) -> str:
    return "  -  " if value is None else f"{value:.3f}"
