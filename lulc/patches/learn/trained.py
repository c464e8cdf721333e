"""A patch classifier that is trained: kept to its split, measured, written as a bundle, reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lulc.errors import ConfigError
from lulc.legend import LandClass, Legend, load_legend
from lulc.metrics.confusion import defined_mean
from lulc.patches.card import write_patch_model
from lulc.patches.dataset import PatchSet
from lulc.patches.learn.distribution import learnt_distribution
from lulc.patches.learn.duplicates import Leakage
from lulc.patches.learn.samples import PatchReader
from lulc.patches.learn.settings import PatchSettings
from lulc.patches.learn.split import SPLIT_FILE, PatchSplit, read_split
from lulc.patches.learn.task import patch_logits
from lulc.patches.networks import PatchNetwork
from lulc.training.calibration import TemperatureFit
from lulc.training.distributed import ProcessGroup
from lulc.training.loop import Progress
from lulc.training.train import Plan, RunReport, class_lines
from lulc.training.validation import validate

_LEAST_FOR_TEMPERATURE = 100  # fitted to fewer validation patches it made probabilities worse
_SCORES = {"f1": "F1", "recall": "recall", "precision": "precision"}


@dataclass(frozen=True, slots=True)
class PatchTrainReport(RunReport):
    """Result of a run; `metrics` are scores of each split that was not trained on.

    Attributes:
        patches: Patches in each split.
        leakage: Patches that occur twice.
        patches_per_s: Patches trained on per second.
    """

    patches: dict[str, int]
    leakage: Leakage
    patches_per_s: float

    def to_text(self) -> str:
        """Some lines for people."""
        counts = ", ".join(f"{count} {name}" for name, count in self.patches.items() if count)
        speed = f"{self.patches_per_s:.0f} patches/s{self.how_it_ended}"
        lines = [
            f"{self.output}: patch model of {self.parameters:,d} weights, {self.start}",
            f"patches    {counts}; {self.leakage.to_text()}",
            f"trained    {self.steps} steps in {self.seconds:.0f} s ({speed})",
        ]
        for split, scores in self.metrics.items():
            lines.append(
                f"{split:10} accuracy {scores['accuracy']:.4f}, macro-F1 {scores['macro_f1']:.4f}, "
                f"loss {scores['loss']:.4f} nat ({scores['patches']} patches)"
            )
        if self.metrics["val"]["patches"] < _LEAST_FOR_TEMPERATURE:
            lines.append(f"confidences are not calibrated: that takes {_LEAST_FOR_TEMPERATURE} validation patches")
        shown = self.metrics[list(self.metrics)[-1]]["per_class"]
        return "\n".join([*lines, *class_lines(shown, _SCORES, "{patches:>6,d}")])


@dataclass(frozen=True)
class PatchPlan(Plan[PatchTrainReport]):
    """A patch classifier that is ready to be trained.

    Attributes:
        data: The patches.
        split: Which of them are learnt from.
        leakage: Patches that occur twice.
        pictures: True when the patches are stretched 8-bit pictures.
        reader: Reads patches.
    """

    settings: PatchSettings
    network: PatchNetwork
    data: PatchSet
    split: PatchSplit
    leakage: Leakage
    pictures: bool
    reader: PatchReader

    def keep(self, folder: Path, *, resume: bool) -> None:
        """Save the split; a run is continued on its own patches alone."""
        file = folder / SPLIT_FILE
        if resume and file.is_file() and read_split(file) != self.split:
            raise ConfigError(f"{folder} was trained on other patches", "use another OUT, or the patches as they were")
        self.split.write(file)

    def finish(self, folder: Path, progress: Progress) -> PatchTrainReport:
        """Fit the temperature on the validation split, score all splits but the training one, write the bundle."""
        words, name = self.settings.card, self.data.path.name
        if words.half:
            _round_to_half(self.network)
        temperature = TemperatureFit()
        metrics = {
            split: self._metrics(split, temperature if split == "val" else None)
            for split in ("val", "test")
            if self.split.of(self.data, split)
        }
        fitted = temperature.result() if metrics["val"]["patches"] >= _LEAST_FOR_TEMPERATURE else 1.0
        legend, patches, leakage = legend_of(self.data.classes, words.legend), self.split.counts(), self.leakage
        found_twice = {"same": leakage.same, "near": leakage.near, "shared_ground": leakage.shared_ground}
        facts = {"data": name, "patches": patches, "leakage": found_twice}
        write_patch_model(
            folder,
            self.network,
            half=words.half,
            summary=words.summary or f"{len(legend)} classes of patches, trained on {name}",
            legend=legend.to_table(),
            input_levels=words.levels,
            resolution_m=words.resolution_m,
            patch_side=self.reader.side,
            pictures=self.pictures,
            picture_white=words.picture_white if self.pictures else None,
            distribution=learnt_distribution(
                self.reader, *(self.split.of(self.data, part) for part in ("train", "val"))
            ),
            attribution=words.attribution,
            **self.card(progress, fitted, metrics, name, facts),
        )
        learnt_from = progress.step * self.settings.fit.batch
        return PatchTrainReport(
            **self.outcome(folder, progress, fitted, metrics),
            patches=patches,
            leakage=leakage,
            patches_per_s=round(learnt_from / max(progress.seconds, 1e-9), 1),
        )

    def _metrics(self, split: str, temperature: TemperatureFit | None) -> dict[str, Any]:
        patches = self.split.of(self.data, split)
        logits = patch_logits(self.network, self.reader, patches, self.features, self.device)
        found = validate(logits, self.data.classes, ProcessGroup(self.device), temperature)
        return {
            "patches": found.pixels,
            "accuracy": found.matrix.overall,
            "macro_f1": defined_mean(found.matrix.f1),
            "loss": found.loss,
            "per_class": found.per_class(_SCORES, "patches"),
        }


def _round_to_half(network: nn.Module) -> None:
    """Round the weights as they will be stored, so that what is measured is what is shipped."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.copy_(weight.half().float())


def legend_of(classes: Sequence[str], name: str) -> Legend:
    """Classes with codes and colours: of a named legend when it knows all of them, else spread over the hues.

    Raises:
        ConfigError: There is no such legend, or it lacks a class.
    """
    import colorsys

    if name:
        known = load_legend(name)
        if known.names == tuple(classes):
            return known
        colors = {entry.name: entry.color for entry in known}
    else:
        colors = {}
    made = []
    for number, each in enumerate(classes):
        red, green, blue = colorsys.hsv_to_rgb(number / len(classes), 0.55 + 0.3 * (number % 2), 0.85)
        spread = "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
        made.append(LandClass(number + 1, each, colors.get(each, spread)))
    return Legend("patches", "Classes of the patches", tuple(made))
