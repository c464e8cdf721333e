"""What the training loop asks of patch classification: batches, loss, validation scores."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lulc.features import FeatureSpec
from lulc.metrics.confusion import defined_mean
from lulc.patches.dataset import Patch
from lulc.patches.learn.freezing import Freezing
from lulc.patches.learn.samples import Batch, PatchReader, PatchSamples
from lulc.patches.learn.settings import PatchSettings
from lulc.patches.pixels import channels
from lulc.training.augment import Augment, Target
from lulc.training.distributed import ProcessGroup
from lulc.training.loop import Scores, StepLoss, mixed_seed
from lulc.training.losses import SummedLoss
from lulc.training.validation import validate

_AT_ONCE = 256


class PatchTask:
    """A task of the training loop: labelled patches in, loss and scores out.

    Args:
        reader: Reads patches.
        spec: Channels of the network.
        train: Patches to learn from.
        val: Patches to validate on.
        settings: What to do; `fit.steps` already counts the steps.
        group: The processes of the run.
        classes: Names of the classes.
        freezing: Which weights learn when.
    """

    def __init__(
        self,
        reader: PatchReader,
        spec: FeatureSpec,
        train: Sequence[Patch],
        val: Sequence[Patch],
        settings: PatchSettings,
        group: ProcessGroup,
        classes: tuple[str, ...],
        freezing: Freezing,
    ) -> None:
        self._reader, self._spec, self._val, self._settings, self._group = reader, spec, tuple(val), settings, group
        self._classes, self._freezing = classes, freezing
        fit = settings.fit
        self._samples = PatchSamples(train, fit.batch, settings.samples.balance, fit.seed)
        counts = np.bincount([patch.code - 1 for patch in train], minlength=len(classes))
        self._loss = SummedLoss(settings.loss, counts).to(group.device)
        self._augment = Augment(settings.augment, spec, spec.bands, reader.side)

    def draw(self, step: int) -> Batch:
        """This process's patches of a step."""
        return self._reader.read(self._samples.draw(step, self._group.assigned(self._settings.fit.batch)))

    def loss(self, network: Callable[[Tensor], Tensor], batch: Batch, step: int) -> StepLoss:
        """Loss of a batch."""
        image, target = self.batch(batch, step)
        self._freezing.at(step)
        return StepLoss(self._loss(network(image)[..., None, None], target), bool(target.known.any()))

    def batch(self, drawn: Batch, step: int) -> tuple[Tensor, Target]:
        """Input and target of a step, augmented, on the device; the target is one pixel a patch."""
        seed, settings = mixed_seed(self._settings.fit.seed, step, self._group.rank), self._settings.augment
        image, _ = self._augment([drawn.pieces()], seed, self._group.device)
        codes = torch.from_numpy(drawn.codes).to(self._group.device)
        random = torch.Generator().manual_seed(seed + 1)
        if settings.zoom:
            image = zoomed(image, settings.zoom, random)
        target = Target(codes[:, None, None])
        if settings.cutmix and float(torch.rand(1, generator=random)) < settings.cutmix:
            labels = functional.one_hot(codes, len(self._classes)).float()
            image, labels = cut_mixed(image, labels, random)
            target = Target(labels.argmax(dim=1)[:, None, None], labels[..., None, None])
        return image, target

    def validate(self, network: nn.Module) -> Scores:
        """Cross-entropy, accuracy and macro-F1 over the validation patches of all processes."""
        group = self._group
        mine = [self._val[number] for number in group.assigned(len(self._val))]
        found = validate(patch_logits(network, self._reader, mine, self._spec, group.device), self._classes, group)
        accuracy = found.matrix.overall
        return Scores(found.loss, accuracy, {"val_accuracy": accuracy, "val_f1": defined_mean(found.matrix.f1)})


def patch_logits(
    network: nn.Module, reader: PatchReader, patches: Sequence[Patch], spec: FeatureSpec, device: torch.device
) -> Iterator[tuple[Tensor, Target]]:
    """Logits (n, K, 1, 1) and labels of patches, some at a time; the network is in evaluation mode."""
    for start in range(0, len(patches), _AT_ONCE):
        batch = reader.read(patches[start : start + _AT_ONCE])
        with torch.inference_mode():
            logits = network(channels(spec, torch.from_numpy(batch.values).to(device)))
        codes = torch.from_numpy(batch.codes).to(device)
        yield logits.float()[..., None, None], Target(codes[:, None, None])


def zoomed(image: Tensor, most: float, random: torch.Generator) -> Tensor:
    """Patches (n, c, side, side) cropped at random by up to the fraction `most` of their side, at their old size."""
    count = len(image)
    scale = 1 - most * torch.rand(count, generator=random)
    shift = (1 - scale)[:, None] * (2 * torch.rand(count, 2, generator=random) - 1)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :, 2] = shift
    grid = functional.affine_grid(matrix.to(image.device), list(image.shape), align_corners=False)
    crop = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
    return crop.contiguous(memory_format=torch.channels_last)


def cut_mixed(image: Tensor, labels: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019): a rectangle of every patch comes from another one, and so does that fraction of the label.

    Args:
        image: (n, c, side, side).
        labels: Labels (n, K), summing to 1.
        random: Source of the rectangle and the partners.
    """
    count, _, height, width = image.shape
    part = float(torch.rand(1, generator=random)) ** 0.5
    rows, columns = round(part * height), round(part * width)
    row = int(torch.randint(height - rows + 1, (1,), generator=random))
    column = int(torch.randint(width - columns + 1, (1,), generator=random))
    partner = torch.randperm(count, generator=random).to(image.device)
    inside = (..., slice(row, row + rows), slice(column, column + columns))
    mixed = image.clone(memory_format=torch.channels_last)
    mixed[inside] = image[partner][inside]
    taken = rows * columns / (height * width)
    return mixed, (1 - taken) * labels + taken * labels[partner]
