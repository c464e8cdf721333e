"""The tables of a configuration file of `lulc train`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lulc.config import Table
from lulc.model.build import NETWORKS

LossName = Literal["cross_entropy", "focal", "dice", "lovasz", "tversky"]
"""Losses that can be summed."""

Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0)]


def _each_once(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names and len(set(names)) < len(names):
        raise ValueError("each name once")
    return names


Names = Annotated[tuple[str, ...] | None, AfterValidator(_each_once)]
"""Different names; None means all."""


class NetworkSettings(Table):
    """The network.

    Attributes:
        name: Class of segmentation-models-pytorch.
        encoder: Encoder, such as `resnet50` or `tu-tf_efficientnet_lite0`.
        encoder_depth: Number of down-samplings by 2.
        start: `scratch`, `imagenet`, or a model bundle (name or path) to start from.
        options: Further arguments of the class, such as `decoder_channels`.
        bands: Bands it sees, of those in the set; none given means all.
        indices: Indices it sees, of those in the set; none given means all.
    """

    name: Literal[NETWORKS] = "Unet"  # type: ignore[valid-type]  # a tuple of literals is allowed at run time
    encoder: str = "resnet18"
    encoder_depth: int = Field(default=5, ge=1, le=6)
    start: str = "scratch"
    options: dict[str, bool | int | float | str | list[int] | None] = Field(default_factory=dict)
    bands: Names = Field(default=None, min_length=1)
    indices: Names = None


class LossSettings(Table):
    """What is minimised: a weighted sum of losses.

    Attributes:
        terms: Weight of each loss by name.
        class_weights: `effective` weighs cross-entropy and focal by the effective number of samples.
        beta: Of the effective number, (1 - beta^n) / (1 - beta), n counted in `unit` pixels.
        unit: Pixels that count as one sample: neighbours tell little that is new.
        label_smoothing: Share of every label that is spread over all classes.
        blur: Standard deviation of the Gaussian by which cross-entropy blurs the network's probabilities, pixels: for
            labels that are coarser than the image. The network itself may then be sharp.
        gamma: Focusing of the focal loss.
        alpha: Weight of false positives in the Tversky loss; 1 - alpha weighs false negatives.
    """

    terms: dict[LossName, Annotated[float, Field(gt=0)]] = Field(default={"cross_entropy": 1.0}, min_length=1)
    class_weights: Literal["none", "effective"] = "none"
    beta: float = Field(default=0.999, ge=0, lt=1)
    unit: float = Field(default=256.0, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    blur: float = Field(default=0.0, ge=0, le=16)
    gamma: float = Field(default=2.0, ge=0)
    alpha: float = Field(default=0.5, ge=0, le=1)


class AugmentSettings(Table):
    """How training samples are varied. All values 0 (and `rotate = "none"`) leave them as they are.

    Attributes:
        flip: Mirror half of them.
        rotate: `none`, `quarter` (multiples of 90 degrees, exact) or `sixteen` (multiples of 22.5 degrees).
        gain: Half width of a factor common to all bands.
        band_gain: Standard deviation of a factor of each band.
        band_offset: Standard deviation of reflectance added to each band.
        haze: Largest reflectance of haze at 490 nm, in 3 of 10 samples.
        noise: Standard deviation of white noise, reflectance.
        atmosphere: Chance of showing a chip of a known level (L1C, L2A) through another atmosphere, or none.
        sun_zenith: Of the lowest sun in these atmospheres, degrees; 20 is the highest.
        aerosol: Largest aerosol optical depth in these atmospheres, at 550 nm.
        band_dropout: Chance that one band is replaced by its mean.
        holes: Chance of cloud-shaped holes without data.
    """

    flip: bool = True
    rotate: Literal["none", "quarter", "sixteen"] = "quarter"
    gain: Size = 0.1
    band_gain: Size = 0.03
    band_offset: Size = 0.003
    haze: Size = 0.02
    noise: Size = 0.002
    atmosphere: Share = 0.0
    sun_zenith: float = Field(default=60.0, ge=20, le=80)
    aerosol: float = Field(default=0.3, ge=0.03, le=2)
    band_dropout: Share = 0.0
    holes: Share = 0.2


class DrawSettings(Table):
    """How training samples are drawn.

    Attributes:
        balance: 0 draws chips or patches as they come, 1 draws rare classes so often that classes are even.
        cache_mb: Main memory for decoded chips or patches.
        workers: Threads that read ahead.
    """

    balance: Share = 0.0
    cache_mb: int = Field(default=2000, ge=0)
    workers: int = Field(default=2, ge=1, le=64)


class SampleSettings(DrawSettings):
    """How crops of chips are drawn.

    Attributes:
        crop: Side of a sample, pixels; smaller chips are put side by side.
    """

    crop: int = Field(default=256, ge=32, le=4096)


class FitSettings(Table):
    """How weights are fitted.

    Attributes:
        steps: Optimiser steps.
        batch: Samples per step, over all processes.
        optimiser: Name of the optimiser.
        learning_rate: At its highest.
        weight_decay: Of weights; norms and biases have none.
        momentum: Of `sgd`.
        warm_up: Share of the steps in which the learning rate rises; it then falls along a cosine.
        clip: Largest norm of the gradient; 0 does not clip.
        ema: Decay of the moving average of weights; 0 keeps none.
        validate_every: Steps between validations.
        checkpoint_every: Steps between checkpoints.
        patience: Validations without a better loss after which training stops; 0 never stops early.
        keep: Which weights become the model: of the best loss, the best macro-F1, or the last.
        precision: Of the forward pass; `auto` is bf16 where the hardware has it.
        device: `auto`, `cpu`, `cuda`, ...
        seed: Of weights, samples and augmentation.
    """

    steps: int = Field(default=2000, ge=1)
    batch: int = Field(default=16, ge=1)
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0, le=1e3)
    weight_decay: float = Field(default=0.01, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    warm_up: Share = 0.05
    clip: float = Field(default=1.0, ge=0)
    ema: float = Field(default=0.995, ge=0, lt=1)
    validate_every: int = Field(default=200, ge=1)
    checkpoint_every: int = Field(default=200, ge=1)
    patience: int = Field(default=0, ge=0)
    keep: Literal["loss", "f1", "last"] = "loss"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: str = "auto"
    seed: int = Field(default=0, ge=0, le=2**31 - 1)


class CardSettings(Table):
    """What the model's card says that training cannot know."""

    version: str = "1"
    summary: str = ""
    good_at: tuple[str, ...] = ()
    bad_at: tuple[str, ...] = ()
    licence: str = ""


class RunSettings(Table):
    """What every configuration file of a training holds.

    Attributes:
        name: Of the model.
        data: What to train on.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")
    data: Path
    loss: LossSettings = LossSettings()
    augment: AugmentSettings = AugmentSettings()
    samples: DrawSettings = DrawSettings()
    fit: FitSettings = FitSettings()
    card: CardSettings = CardSettings()

    def to_table(self) -> dict[str, Any]:
        """Plain form, as saved beside the result."""
        return self.model_dump(mode="json")


class TrainSettings(RunSettings):
    """A configuration file of `lulc train`."""

    network: NetworkSettings = NetworkSettings()
    samples: SampleSettings = SampleSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        stride = 2**self.network.encoder_depth
        if self.samples.crop % stride:
            raise ValueError(f"samples.crop must be a multiple of {stride}, the stride of the encoder")
        return self
