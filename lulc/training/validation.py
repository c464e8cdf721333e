"""Running a network over the chips of a split, as classify would see them."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import isnan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lulc.errors import InputError
from lulc.features import FeatureSpec
from lulc.io.labels.training_set import Chip, TrainingSet
from lulc.legend import NODATA_CODE
from lulc.metrics.confusion import ConfusionMatrix, count_pairs
from lulc.model.build import PROBE, total_stride
from lulc.model.bundle import Bundle
from lulc.model.channels import REFLECTANCE, network_channels
from lulc.model.device import choose_device
from lulc.tiling import round_up
from lulc.training.augment import Target, target_of
from lulc.training.calibration import TemperatureFit
from lulc.training.distributed import ProcessGroup
from lulc.training.losses import cross_entropy

_MARGIN = 32
_MOST_PIXELS = 1 << 20


def planes_needed(spec: FeatureSpec, planes: Sequence[str]) -> tuple[str, ...]:
    """Planes of a set to read: bands, from which indices are computed; an index is read where its bands are missing."""
    computed = spec.required(())
    return computed if set(computed) <= set(planes) else spec.required(planes)


def chip_logits(
    network: nn.Module, data: TrainingSet, chips: Sequence[Chip], spec: FeatureSpec, device: torch.device
) -> Iterator[tuple[Tensor, Target]]:
    """Logits float32 (n, K, height, width) and labels of chips, for each of `batches_of_one_size`.

    Chips are mirrored at their edges, as lulc does at the edge of a scene. The network is in evaluation mode.
    """
    stride = total_stride(network)
    names = planes_needed(spec, data.card.planes)
    positions = [data.card.planes.index(name) for name in names]
    for group in batches_of_one_size(chips):
        image = torch.from_numpy(np.stack([data.image(chip)[positions] for chip in group])).to(device)
        label = torch.from_numpy(np.stack([data.label(chip) for chip in group])).to(device)
        valid = image.isfinite().all(dim=1)
        planes = {name: image[:, position] for position, name in enumerate(names)}
        channels = network_channels(spec, planes, REFLECTANCE, valid)
        yield _logits(network, channels, stride), target_of(label, valid)


def batches_of_one_size(chips: Sequence[Chip]) -> Iterator[tuple[Chip, ...]]:
    """Consecutive chips of one size, at most about a megapixel together."""
    batch: list[Chip] = []
    for chip in chips:
        size = chip.height, chip.width
        if batch and (size != (batch[0].height, batch[0].width) or (len(batch) + 1) * size[0] * size[1] > _MOST_PIXELS):
            yield tuple(batch)
            batch = []
        batch.append(chip)
    if batch:
        yield tuple(batch)


@torch.inference_mode()
def _logits(network: nn.Module, channels: Tensor, stride: int) -> Tensor:
    height, width = channels.shape[2:]
    margin = min(_MARGIN, height - 1, width - 1)
    down, across = (round_up(max(side + 2 * margin, PROBE), stride) - side - 2 * margin for side in (height, width))
    padded = functional.pad(channels, (margin, margin, margin, margin), mode="reflect")
    padded = functional.pad(padded, (0, across, 0, down), mode="replicate")
    logits: Tensor = network(padded.contiguous(memory_format=torch.channels_last))
    return logits[..., margin : margin + height, margin : margin + width].float()


@dataclass(frozen=True, slots=True)
class Validation:
    """How well logits agree with labels.

    Attributes:
        matrix: Rows prediction, columns label; ignored pixels are not counted.
        loss: Mean cross-entropy of a labelled pixel, nat; NaN when there is none.
        pixels: Labelled pixels; patches are maps of one pixel.
    """

    matrix: ConfusionMatrix
    loss: float
    pixels: int

    def per_class(self, scores: Iterable[str], count: str) -> dict[str, dict[str, float | int | None]]:
        """F1, producer's and user's agreement of each class, None where undefined, and its labelled pixels.

        Args:
            scores: What to call the three scores.
            count: What to call the pixels.
        """
        matrix = self.matrix
        columns = zip(matrix.f1, matrix.producers, matrix.users, strict=True)
        found = [dict(zip(scores, map(_defined, values), strict=True)) for values in columns]
        rows = zip(matrix.names, found, matrix.reference_totals, strict=True)
        return {name: {**row, count: int(pixels)} for name, row, pixels in rows}


def validate(
    batches: Iterable[tuple[Tensor, Target]],
    classes: tuple[str, ...],
    group: ProcessGroup,
    temperature: TemperatureFit | None = None,
) -> Validation:
    """Compare logits with labels, over the batches of all processes of the group.

    Args:
        batches: Of this process: logits (n, K, height, width) and labels.
        classes: Names of the classes.
        group: The processes that validate together.
        temperature: Fed with the logits of this process.
    """
    counts, total = torch.zeros(len(classes), len(classes), dtype=torch.int64), torch.zeros(2, dtype=torch.float64)
    even = torch.ones(len(classes), device=group.device)
    for logits, target in batches:
        found, labels = logits.argmax(dim=1)[target.known] + 1, target.codes[target.known] + 1
        counts += torch.from_numpy(count_pairs(found.cpu().numpy(), labels.cpu().numpy(), len(classes)))
        pixels = int(target.known.sum())
        if pixels:
            loss = float(cross_entropy(logits, target, even))
            total += torch.tensor([loss * pixels, pixels], dtype=torch.float64)
        if temperature is not None:
            temperature.feed(logits, target)
    counts, total = (group.sum(part.to(group.device)).cpu() for part in (counts, total))
    return Validation(ConfusionMatrix(counts.numpy(), classes), float(total[0] / total[1]), int(total[1]))


def _defined(value: float) -> float | None:
    return None if isnan(value) else round(float(value), 4)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities of some chips of one size, beside their labels.

    Attributes:
        chips: The chips.
        probabilities: float32 (n, K, height, width), calibrated by the temperature of the model's card.
        uncalibrated: The same without it.
        codes: Labels in the set's legend: uint8 (n, height, width), 255 where not labelled.
    """

    chips: tuple[Chip, ...]
    probabilities: NDArray[np.float32]
    uncalibrated: NDArray[np.float32]
    codes: NDArray[np.uint8]


def predictions(bundle: Bundle, data: TrainingSet, split: str, device: str = "auto") -> Iterator[Prediction]:
    """What a model says of the chips of a split.

    Raises:
        InputError: The set has no such split, or lacks a band of the model.
    """
    spec, place = bundle.card.features, choose_device(device)
    missing = [name for name in planes_needed(spec, data.card.planes) if name not in data.card.planes]
    if missing:
        raise InputError(f"{data.path} lacks {', '.join(missing)}", f"{bundle.card.name} needs them")
    network, chips = deepcopy(bundle.network).to(place).to(memory_format=torch.channels_last), data.split(split)
    logits = chip_logits(network, data, chips, spec, place)
    for group, (found, target) in zip(batches_of_one_size(chips), logits, strict=True):
        codes = torch.where(target.known, target.codes + 1, NODATA_CODE)
        yield Prediction(
            group,
            torch.softmax(found / bundle.card.temperature, dim=1).cpu().numpy(),
            torch.softmax(found, dim=1).cpu().numpy(),
            codes.to(torch.uint8).cpu().numpy(),
        )
