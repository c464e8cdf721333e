"""Classifier: patch images in, class probabilities out, on one device."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.errors import InputError, LulcError, ModelError
from lulc.model.device import choose_device, choose_precision
from lulc.model.predictor import keep_freed_memory
from lulc.options import Precision
from lulc.patches.card import PatchModel
from lulc.patches.image import PatchImage
from lulc.patches.pixels import LEAST_VALID, as_trained, channels, planes_of, reflectance
from lulc.training.samples import read_ahead

Item = TypeVar("Item")

AT_ONCE = 64
"""Patches per forward pass."""


class Classifier:
    """A patch model on a device.

    Args:
        model: Card and network; the network is taken over.
        device: `auto`, `cpu`, `cuda`, ...
        precision: `auto` is bf16 on a GPU and fp32 on a CPU, where bf16 makes depthwise convolutions slower.
        turns: Average the answers to the eight turns and mirror images of each patch; eight times the work.

    Attributes:
        card: What the model says of itself.
        network: On the device, in evaluation mode.
        device: Where it runs.
    """

    def __init__(
        self, model: PatchModel, device: str = "auto", precision: Precision = "auto", *, turns: bool = False
    ) -> None:
        self.card, self.device, self._turns = model.card, choose_device(device), turns
        on_cpu = self.device.type == "cpu"
        self._dtype = choose_precision("fp32" if precision == "auto" and on_cpu else precision, self.device)
        keep_freed_memory()
        self.network = model.network.to(self.device).to(memory_format=torch.channels_last).eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the answers."""
        return self.card.classes.names

    def inputs(self, images: Sequence[PatchImage]) -> Tensor:
        """Normalised channels of patches: float32 (n, C, side, side), on the device; bands are found by name.

        Raises:
            InputError: A band is missing, or the image is of another kind than the model was trained on.
        """
        return self.channels(np.concatenate([self._values(image) for image in images]))

    def _values(self, image: PatchImage) -> NDArray[np.float32]:
        if image.valid.mean() < LEAST_VALID:
            share = f"{image.valid.mean():.0%}"
            raise InputError(f"{image.name} has data in {share} of its pixels", f"a patch needs {LEAST_VALID:.0%}")
        planes = planes_of(image, self.card.features.bands, self.card.patch_side)
        values = reflectance([planes])
        return as_trained(values, self.card, picture=image.is_picture, level=image.level, name=image.name)

    def channels(self, values_nchw: NDArray[np.float32]) -> Tensor:
        """Normalised channels of values in the range that the model was trained on, NaN where not valid."""
        return channels(self.card.features, torch.from_numpy(values_nchw).to(self.device))

    def logits(self, inputs: Tensor) -> Tensor:
        """Answers of the network before temperature: float32 (n, K)."""
        mixed = self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, self._dtype) if mixed else nullcontext():
            answer: Tensor = self.network(inputs)
        return answer.float()

    def probabilities(self, inputs: Tensor) -> NDArray[np.float32]:
        """Calibrated probabilities: float32 (n, K), each row summing to 1."""
        shares = torch.softmax(self.logits(inputs) / self.card.temperature, dim=1)
        if self._turns:
            for turned in turns_of(inputs):
                shares = shares + torch.softmax(self.logits(turned) / self.card.temperature, dim=1)
            shares = shares / 8
        answer: NDArray[np.float32] = shares.cpu().numpy()
        if not np.isfinite(answer).all():
            raise ModelError(f"{self.card.name} answers with values that are no numbers", "its weights are damaged")
        return answer

    def classify(
        self,
        items: Sequence[Item],
        read: Callable[[Item], PatchImage],
        *,
        refused: Callable[[Item, LulcError], None] | None = None,
        workers: int = 2,
        batch: int = AT_ONCE,
    ) -> Iterator[tuple[Item, PatchImage, NDArray[np.float32]]]:
        """Each item with its image and its probabilities (K,); files are read and decoded ahead in threads.

        Args:
            items: What to classify.
            read: Reads the image of an item.
            refused: Told of items that cannot be classified, which are then left out; None raises instead.
            workers: Threads that read ahead.
            batch: Patches per forward pass.

        Raises:
            LulcError: What `read` and `inputs` raise.
        """
        groups = [items[start : start + batch] for start in range(0, len(items), batch)]

        def load(number: int) -> list[_Loaded[Item]]:
            return [self._loaded(item, read, keep_errors=refused is not None) for item in groups[number]]

        for loaded in read_ahead(load, range(len(groups)), workers):
            good = [(one, one.image, one.values) for one in loaded if one.image is not None and one.values is not None]
            for one in loaded:
                if one.error is not None and refused is not None:
                    refused(one.item, one.error)
            if good:
                rows = self.probabilities(self.channels(np.concatenate([values for _, _, values in good])))
                yield from ((one.item, image, row) for (one, image, _), row in zip(good, rows, strict=True))

    def _loaded(self, item: Item, read: Callable[[Item], PatchImage], *, keep_errors: bool) -> "_Loaded[Item]":
        try:
            image = read(item)
            return _Loaded(item, image, self._values(image))
        except LulcError as error:
            if not keep_errors:
                raise
            return _Loaded(item, error=error)


@dataclass(frozen=True, slots=True)
class _Loaded(Generic[Item]):
    """An item that was read, or why it could not be."""

    item: Item
    image: PatchImage | None = None
    values: NDArray[np.float32] | None = None
    error: LulcError | None = None


def turns_of(inputs: Tensor) -> Iterator[Tensor]:
    """The seven other turns and mirror images of patches (n, C, side, side), channels last."""
    for mirrored in (False, True):
        for quarters in range(0 if mirrored else 1, 4):
            turned = torch.rot90(inputs, quarters, (2, 3))
            yield (turned.flip(3) if mirrored else turned).contiguous(memory_format=torch.channels_last)
