"""The tables of a configuration file of `lulc patches train`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lulc.config import Table, read_config
from lulc.patches.networks import PatchArchitecture
from lulc.resources import config_path, configs_dir
from lulc.training.settings import (
    AugmentSettings,
    CardSettings,
    DrawSettings,
    FitSettings,
    LossSettings,
    Names,
    RunSettings,
    Share,
)

LEAST = 16
"""Least side that networks see, pixels."""


class PatchNetworkSettings(Table):
    """The network.

    Attributes:
        name: `cnn6`, `lite0`, `lite1`, `lite2`, `resnet18`, `resnet50`, `wide_resnet50_2`, or `tu-NAME` of timm.
        start: `scratch`, `imagenet`, or a patch model (name or path) to start from.
        side: Patches are resized to this side inside the network, pixels; 0 leaves them as they are.
        hidden: Width of the dense layer of the head; 0 is one plain layer.
        dropout: Share of features left out in the head while training.
        freeze: `none`; `backbone` trains the head alone; `gradual` frees the backbone from its end on.
        unfreeze: Share of the steps after which `gradual` has freed everything.
        normalise: `statistics` of the training split, those of `imagenet` (pictures only), or `rescale`: 0..1 alone.
    """

    name: str = "lite0"
    start: str = "scratch"
    side: int = Field(default=0, ge=0, le=2048)
    hidden: int = Field(default=0, ge=0, le=65536)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    freeze: Literal["none", "backbone", "gradual"] = "none"
    unfreeze: Share = 0.5
    normalise: Literal["statistics", "imagenet", "rescale"] = "statistics"

    @model_validator(mode="after")
    def _check(self) -> Self:
        PatchArchitecture(name=self.name, in_channels=1, classes=2, side=LEAST)  # or say which name is near
        if 0 < self.side < LEAST:
            raise ValueError(f"side must be 0 or at least {LEAST}")
        return self

    def architecture(self, channels: int, classes: int, side: int) -> PatchArchitecture:
        """What to build for patches of a side."""
        return PatchArchitecture(
            name=self.name,
            in_channels=channels,
            classes=classes,
            side=self.side or max(side, LEAST),
            hidden=self.hidden,
            dropout=self.dropout,
        )


class PatchLossSettings(LossSettings):
    """What is minimised; as for `lulc train`, with one patch as the unit of the effective number."""

    unit: float = Field(default=1.0, gt=0)


class PatchAugmentSettings(AugmentSettings):
    """How patches are varied: as for `lulc train`, and more.

    Attributes:
        zoom: Largest part of a side by which a patch is cropped before it is brought back to its size.
        cutmix: Chance that a batch gets a rectangle of other patches, and their labels by its area.
        holes: None by default: a patch without clouds has no holes.
    """

    zoom: float = Field(default=0.0, ge=0, lt=1)
    cutmix: Share = 0.0
    holes: Share = 0.0


class PatchSampleSettings(DrawSettings):
    """How patches are drawn: with `balance` 0 every patch once an epoch."""

    cache_mb: int = Field(default=4000, ge=0)


class PatchFitSettings(FitSettings):
    """How weights are fitted: as for `lulc train`, and more.

    Attributes:
        epochs: Times that every patch is seen, with a validation and a checkpoint after each; 0 goes by `steps`,
            `validate_every` and `checkpoint_every` instead.
        keep: Which weights become the model: those of the best validation accuracy, the least loss, or the last.
    """

    epochs: int = Field(default=20, ge=0)
    batch: int = Field(default=64, ge=1)
    keep: Literal["accuracy", "loss", "last"] = "accuracy"  # type: ignore[assignment]  # other words for the same

    def for_patches(self, count: int) -> "PatchFitSettings":
        """The same with the steps that `epochs` means for that many training patches."""
        batch = min(self.batch, count)
        if not self.epochs:
            return self.model_copy(update={"batch": batch})
        each = max(1, count // batch)
        steps = {"batch": batch} | {"steps": self.epochs * each, "validate_every": each, "checkpoint_every": each}
        return self.model_copy(update=steps)


class SplitSettings(Table):
    """How patches are assigned to splits: class by class, or by blocks of ground.

    Attributes:
        train: Share to learn from.
        val: Share by which the weights and the temperature are chosen.
        test: Share that is only measured.
        seed: Of the assignment.
        block_m: Georeferenced patches of one block of this side, metres, stay together; 0 assigns each by itself, which
            flatters where patches lie side by side.
        file: A `split.csv` that says it instead.
    """

    train: Share = 0.6
    val: Share = 0.2
    test: Share = 0.2
    seed: int = Field(default=0, ge=0)
    block_m: float = Field(default=0.0, ge=0)
    file: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6 or not (self.train and self.val):  # noqa: PLR2004
            raise ValueError("train, val and test must sum to 1, with something to train and to validate on")
        if self.file is not None and self.block_m:
            raise ValueError("file and block_m exclude each other")
        return self


class PatchCardSettings(CardSettings):
    """What the model's card says that training cannot know: as for `lulc train`, and more.

    Attributes:
        legend: A legend with the class folders' names, for its codes' colours; none given makes one.
        levels: Product levels of the patches, such as `L1C`.
        resolution_m: Pixel size, metres.
        picture_white: Reflectance that the pictures show as 255, so that scenes can be classified too.
        attribution: Sentences that products made with the model must carry.
        half: Store large weights in float16.
    """

    legend: str = ""
    levels: tuple[str, ...] = ()
    resolution_m: float | None = Field(default=None, gt=0)
    picture_white: float | None = Field(default=None, gt=0)
    attribution: tuple[str, ...] = ()
    half: bool = False


class PatchSettings(RunSettings):
    """A configuration file of `lulc patches train`.

    Attributes:
        data: Folder or zip of class folders.
        bands: Names of the bands in the files when they do not say, or `eurosat-ms`.
        use: Bands that the network sees; none given means all.
    """

    bands: tuple[str, ...] | None = None
    use: Names = Field(default=None, min_length=1)
    split: SplitSettings = SplitSettings()
    network: PatchNetworkSettings = PatchNetworkSettings()
    loss: PatchLossSettings = PatchLossSettings()
    augment: PatchAugmentSettings = PatchAugmentSettings()
    samples: PatchSampleSettings = PatchSampleSettings()
    fit: PatchFitSettings = PatchFitSettings()
    card: PatchCardSettings = PatchCardSettings()

    def for_other_data(self, name: str) -> "PatchSettings":
        """The same recipe for another data set: under another name, and without what the card says of the first one."""
        plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:60] or "patches"
        card = PatchCardSettings(legend=self.card.legend, half=self.card.half)
        return self.model_copy(update={"name": plain, "card": card})


def recipe(config: str | Path, data: Path | None, changes: Mapping[str, Any], name: str) -> PatchSettings:
    """Settings from a TOML file or a shipped one.

    Args:
        config: Path, or the name of a shipped configuration.
        data: Class folders in place of the configuration's.
        changes: Keys to replace, as for `read_config`.
        name: Of the model, when a shipped recipe is used on other data than it was made for.

    Raises:
        ConfigError: As for `read_config`.
    """
    path = config_path("patches", config)
    made_for = read_config(PatchSettings, path).data.name
    settings = read_config(PatchSettings, path, data=data, **changes)
    shipped = path.parent == configs_dir() / "patches"
    own = {key.partition("__")[0] for key in changes} & {"name", "card"}
    return settings.for_other_data(name) if shipped and settings.data.name != made_for and not own else settings
