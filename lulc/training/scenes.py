"""`lulc train`: a training set and a configuration in, a model bundle for scenes out."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from lulc.io.files.paths import AnyPath, as_path
from lulc.io.labels.training_set import TrainingSet, open_training_set
from lulc.metrics.confusion import defined_mean
from lulc.model.build import build_network
from lulc.model.bundle import write_bundle
from lulc.model.receptive_field import ReceptiveField, measure_receptive_field
from lulc.model.trust.familiarity import Familiarity
from lulc.run import StepProgress, silent
from lulc.split import SPLITS
from lulc.training.calibration import TemperatureFit
from lulc.training.distributed import ProcessGroup
from lulc.training.familiarity import FamiliarityFit
from lulc.training.loop import Progress
from lulc.training.samples import check_labels
from lulc.training.segmentation import Segmentation, architecture_for, check_crop, chosen_features
from lulc.training.settings import TrainSettings
from lulc.training.start import start_segmentation
from lulc.training.train import Plan, RunReport, class_lines, train
from lulc.training.validation import Validation, chip_logits, planes_needed, validate

_SCORES = {"f1": "F1", "producers": "producer's", "users": "user's"}


@dataclass(frozen=True, slots=True)
class TrainReport(RunReport):
    """What a run did; `metrics` are scores on the validation split, per class and overall.

    Attributes:
        half_field: Half receptive field, pixels.
        halo_bounded: False when windows of a scene cannot be made to agree (global pooling and the like).
        mpx_per_s: Megapixels of samples trained on per second.
    """

    half_field: int
    halo_bounded: bool
    mpx_per_s: float

    def to_text(self) -> str:
        """Some lines for people."""
        lines = [
            f"{self.output}: model of {self.parameters:,d} weights, {self.start}",
            f"trained    {self.steps} steps in {self.seconds:.0f} s ({self.mpx_per_s:.2f} Mpx/s{self.how_it_ended})",
            "validation agreement {agreement:.3f}, macro-F1 {macro_f1:.3f}, loss {loss:.3f} nat".format(**self.metrics),
            f"temperature {self.temperature:.2f}",
            *class_lines(self.metrics["per_class"], _SCORES, "{pixels:>10,d} px"),
        ]
        if not self.halo_bounded:
            lines.append("warning: this network looks at the whole window; maps made with it show window borders")
        return "\n".join(lines)


@dataclass(frozen=True)
class ScenePlan(Plan[TrainReport]):
    """A network for scenes that is ready to be trained.

    Attributes:
        data: Training set.
        receptive_field: Of the network.
    """

    settings: TrainSettings
    data: TrainingSet
    receptive_field: ReceptiveField

    def finish(self, folder: Path, progress: Progress) -> TrainReport:
        """Fit the temperature and score the network on the validation split; write its bundle."""
        card, words, temperature = self.data.card, self.settings.card, TemperatureFit()
        chips = self.data.split("val")
        logits = chip_logits(self.network, self.data, chips, self.features, self.device)
        metrics = self._metrics(validate(logits, card.classes.names, ProcessGroup(self.device), temperature))
        fitted = temperature.result()
        counts = {name: sum(chip.split == name for chip in self.data.chips) for name in SPLITS}
        facts = {"data": card.summary or card.name, "split": {**card.split, "chips": counts}}
        write_bundle(
            folder,
            self.network,
            self._familiarity(),
            summary=words.summary or f"{len(card.classes)} classes of {card.classes.title}, trained on {card.name}",
            legend=card.classes.to_table(),
            input_levels=card.levels,
            resolution_m=card.resolution_m,
            attribution=card.attribution,
            **self.card(progress, fitted, metrics, card.name, facts),
        )
        pixels = progress.step * self.settings.fit.batch * self.settings.samples.crop**2
        return TrainReport(
            **self.outcome(folder, progress, fitted, metrics),
            half_field=self.receptive_field.half_field,
            halo_bounded=self.receptive_field.bounded,
            mpx_per_s=round(pixels / 1e6 / max(progress.seconds, 1e-9), 3),
        )

    def _familiarity(self) -> Familiarity | None:
        """Statistics of the training split; their quantiles are those of the validation split."""
        fitted = FamiliarityFit(len(self.data.card.classes))
        for split, take in (("train", fitted.feed), ("val", fitted.hold_out)):
            chips = self.data.split(split)
            for logits, target in chip_logits(self.network, self.data, chips, self.features, self.device):
                take(logits.permute(0, 2, 3, 1)[target.known])
        return fitted.result()

    def _metrics(self, found: Validation) -> dict[str, object]:
        soft = self.data.card.labels == "shares"
        return {
            "split": "val",
            "against": "most probable class of the soft labels" if soft else "labels",
            "agreement": found.matrix.overall,
            "macro_f1": defined_mean(found.matrix.f1),
            "loss": found.loss,
            "pixels": found.pixels,
            "per_class": found.per_class(_SCORES, "pixels"),
        }


def plan_scenes(settings: TrainSettings, group: ProcessGroup) -> ScenePlan:
    """Open the set, build the network and its task; nothing is written.

    Raises:
        LulcError: The settings do not fit the set, or the start weights are not to be had.
    """
    data = open_training_set(settings.data)
    torch.manual_seed(settings.fit.seed)
    spec = chosen_features(settings.network, data.card.features)
    for split in ("train", "val"):
        check_labels(data, planes_needed(spec, data.card.planes), split)
    architecture = architecture_for(settings.network, spec, len(data.card.classes))
    network = build_network(architecture)
    stride = check_crop(network, len(spec.channels), settings.samples.crop)
    start = start_segmentation(network, architecture, spec.channels, settings.network.start)
    receptive_field = measure_receptive_field(network, len(spec.channels), stride)
    return ScenePlan(
        settings=settings,
        identity=settings.to_table() | {"set": data.fingerprint()},
        receptive_field=receptive_field,
        network=network.to(group.device).to(memory_format=torch.channels_last),
        device=group.device,
        architecture=architecture,
        features=spec,
        start=start,
        task=Segmentation(data, spec, settings, group),
        data=data,
    )


def train_scenes(
    settings: TrainSettings,
    output: AnyPath,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: AnyPath | None = None,
    progress: StepProgress = silent,
) -> TrainReport | None:
    """Train a network on a training set and leave a model bundle; arguments, result and errors are those of `train`."""
    output = as_path(output)
    tensorboard = None if tensorboard is None else as_path(tensorboard)
    plan = partial(plan_scenes, settings)
    return train(settings, plan, output, resume=resume, overwrite=overwrite, tensorboard=tensorboard, progress=progress)
