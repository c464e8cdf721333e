"""One training run: network, task, loop, and the model at its end."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from math import isnan
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lulc.features import FeatureSpec
from lulc.io.labels.training_set import TrainingSet
from lulc.metrics.confusion import ConfusionMatrix, defined_mean
from lulc.model.build import Architecture, build_network
from lulc.model.bundle import write_bundle
from lulc.model.predictor import keep_freed_memory
from lulc.model.receptive_field import Reach, measure_reach
from lulc.training.calibration import TemperatureFit
from lulc.training.distributed import World
from lulc.training.loop import Progress, fit
from lulc.training.losses import cross_entropy
from lulc.training.run_folder import RunFolder
from lulc.training.segmentation import Segmentation, architecture_for, check_crop, chosen_features
from lulc.training.settings import TrainSettings
from lulc.training.start import start_from
from lulc.training.validation import answers, confusion_counts


@dataclass(frozen=True)
class TrainedModel:
    """A trained network and what is known of it.

    Attributes:
        network: In evaluation mode, on the CPU.
        architecture: What it was built from.
        features: Its channels.
        reach: Its receptive field.
        start: What its weights started from.
        temperature: Fitted on the validation split.
        metrics: On the validation split.
        progress: How the run went.
    """

    network: nn.Module
    architecture: Architecture
    features: FeatureSpec
    reach: Reach
    start: str
    temperature: float
    metrics: dict[str, Any]
    progress: Progress

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.network.parameters())

    def write_bundle(self, folder: Path, settings: TrainSettings, data: TrainingSet) -> None:
        """Write the model bundle."""
        card, told = data.card, settings.card
        write_bundle(
            folder,
            self.network,
            name=settings.name,
            version=told.version,
            summary=told.summary or f"{len(card.classes)} classes of {card.classes.title}, trained on {card.name}",
            architecture=self.architecture,
            features=self.features,
            legend=card.classes.to_table(),
            input_levels=card.levels,
            resolution_m=card.resolution_m,
            temperature=round(self.temperature, 4),
            good_at=told.good_at,
            bad_at=told.bad_at,
            training=self._training(settings, data),
            metrics=self.metrics,
            attribution=card.attribution,
            licence=told.licence,
        )

    def _training(self, settings: TrainSettings, data: TrainingSet) -> dict[str, Any]:
        recipe = settings.to_table()
        recipe.pop("card")
        recipe["data"] = data.card.name
        recipe["network"]["start"] = Path(recipe["network"]["start"]).name  # a card names no place on a disk
        counts = {name: len([chip for chip in data.chips if chip.split == name]) for name in ("train", "val", "test")}
        return {
            "data": data.card.summary or data.card.name,
            "split": {**data.card.split, "chips": counts},
            "start": self.start,
            "recipe": recipe,
            "steps": self.progress.step,
            "seconds": round(self.progress.seconds),
            "lulc": version("lulc"),
            "torch": str(torch.__version__),
        }


@dataclass(frozen=True)
class Plan:
    """A network that is ready to be trained.

    Attributes:
        network: On the world's device.
        architecture: What it was built from.
        features: Its channels.
        stride: Its total stride.
        reach: Its receptive field.
        start: What its weights started from.
        task: What the training loop asks.
    """

    network: nn.Module
    architecture: Architecture
    features: FeatureSpec
    stride: int
    reach: Reach
    start: str
    task: Segmentation


def plan_training(data: TrainingSet, settings: TrainSettings, world: World) -> Plan:
    """Build the network and its task; nothing is written.

    Raises:
        LulcError: The settings do not fit the set, or the start weights are not to be had.
    """
    data.split("val")  # or say now that there is nothing to validate on
    keep_freed_memory()
    torch.manual_seed(settings.fit.seed)
    spec = chosen_features(settings.network, data.card.features)
    architecture = architecture_for(settings.network, spec, len(data.card.classes))
    network = build_network(architecture)
    stride = check_crop(network, len(spec.channels), settings.samples.crop)
    start = start_from(network, architecture, spec.channels, settings.network.start)
    reach = measure_reach(network, len(spec.channels), stride)
    network = network.to(world.device).to(memory_format=torch.channels_last)
    task = Segmentation(data, spec, settings, world, stride)
    return Plan(network, architecture, spec, stride, reach, start, task)


def train_model(
    plan: Plan,
    data: TrainingSet,
    settings: TrainSettings,
    world: World,
    run: RunFolder,
    *,
    between_steps: Callable[[], None],
    told: Callable[[int, int, float], None],
) -> TrainedModel:
    """Train, choose the best weights, calibrate, measure.

    Raises:
        LulcError: Training failed, or was interrupted.
    """
    network = plan.network
    workers = settings.samples.workers
    progress = fit(
        network, plan.task, settings.fit, world, run, workers=workers, between_steps=between_steps, told=told
    )
    chosen = run.kept_weights(settings.fit.keep) if world.leads else None
    network.load_state_dict(chosen or network.state_dict())
    network.eval()
    measured = (1.0, dict[str, Any]())
    if world.leads:
        measured = _measured(network, data, plan.features, plan.stride, world)
    return TrainedModel(
        network.cpu(), plan.architecture, plan.features, plan.reach, plan.start, *measured, progress=progress
    )


def _measured(
    network: nn.Module, data: TrainingSet, spec: FeatureSpec, stride: int, world: World
) -> tuple[float, dict[str, Any]]:
    """Temperature and scores on the validation split."""
    names = data.card.classes.names
    counts, temperature = torch.zeros(len(names), len(names), dtype=torch.int64), TemperatureFit()
    even, loss, pixels = torch.ones(len(names), device=world.device), 0.0, 0
    for answer in answers(network, data, data.split("val"), spec, stride, world.device):
        counts += confusion_counts(answer.logits, answer.target.codes)
        temperature.feed(answer.logits, answer.target)
        known = int(answer.target.known.sum())
        loss += float(cross_entropy(answer.logits, answer.target, even)) * known if known else 0.0
        pixels += known
    matrix = ConfusionMatrix(counts.numpy(), names)
    metrics = {
        "split": "val",
        "against": "most probable class of the soft labels" if data.card.labels == "shares" else "labels",
        "agreement": matrix.overall,
        "macro_f1": defined_mean(matrix.f1),
        "loss": loss / pixels,
        "pixels": pixels,
        "per_class": _class_scores(matrix),
    }
    return temperature.result(), metrics


def _class_scores(matrix: ConfusionMatrix) -> dict[str, dict[str, float | int | None]]:
    """F1, producer's and user's agreement of each class; None where undefined."""
    columns = zip(matrix.names, matrix.f1, matrix.producers, matrix.users, matrix.reference_totals, strict=True)
    return {
        name: {"f1": _defined(f1), "producers": _defined(producers), "users": _defined(users), "pixels": int(pixels)}
        for name, f1, producers, users, pixels in columns
    }


def _defined(value: float) -> float | None:
    return None if isnan(value) else round(float(value), 4)
