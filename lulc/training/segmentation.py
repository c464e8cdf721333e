"""Training a segmentation network on a training set."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lulc.errors import ConfigError, did_you_mean, raised_as
from lulc.features import FeatureSpec
from lulc.io.labels.training_set import TrainingSet
from lulc.metrics.confusion import defined_mean
from lulc.model.build import Architecture, total_stride
from lulc.training.augment import Augment, Target
from lulc.training.distributed import ProcessGroup
from lulc.training.loop import Scores, StepLoss, mixed_seed
from lulc.training.losses import SummedLoss
from lulc.training.samples import Pieces, Samples
from lulc.training.settings import NetworkSettings, TrainSettings
from lulc.training.validation import chip_logits, planes_needed, validate


class Segmentation:
    """A task of the training loop: samples of a set in, loss and scores out.

    Args:
        data: Training set.
        spec: Channels of the network.
        settings: What to do.
        group: The processes of the run.
    """

    def __init__(self, data: TrainingSet, spec: FeatureSpec, settings: TrainSettings, group: ProcessGroup) -> None:
        self._data, self._spec, self._settings, self._group = data, spec, settings, group
        names = planes_needed(spec, data.card.planes)
        self._samples = Samples(data, names, settings.samples, settings.fit.seed)
        self._augment = Augment(settings.augment, spec, names, settings.samples.crop)
        self._loss = SummedLoss(settings.loss, data.class_pixels("train")).to(group.device)

    def draw(self, step: int) -> list[Pieces]:
        """This process's samples of a step."""
        return self._samples.draw(step, self._group.assigned(self._settings.fit.batch))

    def loss(self, network: Callable[[Tensor], Tensor], batch: Sequence[Pieces], step: int) -> StepLoss:
        """Loss of a batch."""
        image, target = self.batch(batch, step)
        return StepLoss(self._loss(network(image), target), bool(target.known.any()))

    def batch(self, drawn: Sequence[Pieces], step: int) -> tuple[Tensor, Target]:
        """Input and target of a step, augmented, on the device."""
        seed = mixed_seed(self._settings.fit.seed, step, self._group.rank)
        return self._augment(drawn, seed, self._group.device)

    def validate(self, network: nn.Module) -> Scores:
        """Cross-entropy, agreement and macro-F1 over the validation chips of all processes."""
        chips, group = self._data.split("val"), self._group
        mine = [chips[number] for number in group.assigned(len(chips))]
        logits = chip_logits(network, self._data, mine, self._spec, group.device)
        found = validate(logits, self._data.card.classes.names, group)
        f1 = defined_mean(found.matrix.f1)
        return Scores(found.loss, f1, {"val_f1": f1, "val_agreement": found.matrix.overall})


def chosen_features(settings: NetworkSettings, available: FeatureSpec) -> FeatureSpec:
    """The channels that the settings ask for, with the statistics of the training set.

    Raises:
        ConfigError: The set has no such band or index.
    """
    bands = available.bands if settings.bands is None else settings.bands
    indices = available.indices if settings.indices is None else settings.indices
    for key, names, known in (("bands", bands, available.bands), ("indices", indices, available.indices)):
        for name in names:
            if name not in known:
                raise ConfigError(f"network.{key}: the training set has no {name}", did_you_mean(name, known))
    places = [available.channels.index(name) for name in (*bands, *indices)]
    return FeatureSpec(
        sensor=available.sensor,
        bands=bands,
        indices=indices,
        mean=tuple(available.mean[place] for place in places),
        std=tuple(available.std[place] for place in places),
    )


def architecture_for(settings: NetworkSettings, spec: FeatureSpec, classes: int) -> Architecture:
    """What to build."""
    return Architecture(
        network=settings.name,
        encoder=settings.encoder,
        in_channels=len(spec.channels),
        classes=classes,
        encoder_depth=settings.encoder_depth,
        options=settings.options,
    )


def check_crop(network: nn.Module, channels: int, crop: int) -> int:
    """Stride of a network in evaluation mode, on the CPU.

    Raises:
        ConfigError: Samples of this size do not fit it.
    """
    stride = total_stride(network)
    if crop % stride:
        raise ConfigError(f"samples.crop = {crop} is not a multiple of {stride}, the network's stride", "change it")
    problem = f"the network does not take samples of {crop} px"
    with raised_as(ConfigError, problem, "raise samples.crop", RuntimeError, ValueError), torch.inference_mode():
        side = network(torch.zeros(1, channels, crop, crop)).shape[-1]
    if side != crop:
        raise ConfigError(
            f"the network answers {crop} px with {side} px", "change network.encoder_depth, or its option upsampling"
        )
    return stride
