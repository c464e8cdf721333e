"""Classifier: patch images in, class probabilities out, on one device."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.errors import InputError, LulcError, ModelError
from lulc.model.device import Placement, choose_device, choose_precision
from lulc.model.on_device import ModelOnDevice
from lulc.options import Precision
from lulc.patches.card import PatchCard, PatchModel
from lulc.patches.image import PatchImage
from lulc.patches.networks import PatchNetwork
from lulc.patches.pixels import LEAST_VALID, as_trained, channels, planes_of, reflectance
from lulc.threads import in_order

Item = TypeVar("Item")

AT_ONCE = 64
"""Patches per forward pass."""


class Prediction(NamedTuple, Generic[Item]):
    """What a model says of one patch.

    Attributes:
        item: What was asked about.
        image: Its image.
        probabilities: Calibrated probabilities: float32 (K,), summing to 1.
        ood_score: Out-of-distribution score, above 1 unlike the training patches; None when the model does not know.
    """

    item: Item
    image: PatchImage
    probabilities: NDArray[np.float32]
    ood_score: float | None


def _raised(_item: Any, error: LulcError) -> None:  # noqa: ANN401
    raise error


class Classifier(ModelOnDevice[PatchCard, PatchNetwork]):
    """A patch model on a device.

    Batch norm is not folded: the layers keep their names for explanations, and probabilities their last bits.

    Args:
        model: Card and network; stays as it is.
        device: `auto`, `cpu`, `cuda`, ...
        precision: `auto` is bf16 on a GPU and fp32 on a CPU, where bf16 makes depthwise convolutions slower.
        turns: Test-time augmentation: average over the eight turns and mirror images of each patch; eight times the
            work.
    """

    input_names = ("patch", "patches")

    def __init__(
        self, model: PatchModel, device: str = "auto", precision: Precision = "auto", *, turns: bool = False
    ) -> None:
        chosen = choose_device(device)
        dtype = choose_precision("fp32" if precision == "auto" and chosen.type == "cpu" else precision, chosen)
        super().__init__(model.card, model.network, Placement(chosen, dtype), AT_ONCE, autocast=True)
        self._tta = turns

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.card.classes.names

    def inputs(self, images: Sequence[PatchImage]) -> Tensor:
        """Normalised channels of patches: float32 (n, C, side, side), on the device; bands are found by name.

        Raises:
            InputError: A band is missing, or the image is of another kind than the model was trained on.
        """
        return self.channels(np.concatenate([self._values(image) for image in images]))

    def ood_score(self, image: PatchImage) -> float | None:
        """Out-of-distribution score of a patch, above 1 unlike the training patches; None when the model does not know.

        Raises:
            InputError: As for `inputs`.
        """
        return _first(self.card.ood_scores(self._values(image)))

    def _values(self, image: PatchImage) -> NDArray[np.float32]:
        if image.valid.mean() < LEAST_VALID:
            fraction = f"{image.valid.mean():.0%}"
            raise InputError(f"{image.name} has data in {fraction} of its pixels", f"a patch needs {LEAST_VALID:.0%}")
        planes = planes_of(image, self.card.features.bands, self.card.patch_side)
        values = reflectance([planes])
        return as_trained(values, self.card, picture=image.is_picture, level=image.level, name=image.name)

    def channels(self, values_nchw: NDArray[np.float32]) -> Tensor:
        """Normalised channels of values in the range that the model was trained on, NaN where not valid."""
        return channels(self.card.features, torch.from_numpy(values_nchw).to(self.device))

    def probabilities(self, inputs: Tensor) -> NDArray[np.float32]:
        """Calibrated probabilities: float32 (n, K), each row summing to 1.

        Raises:
            ModelError: The network gives values that are no numbers.
            LimitError: Out of memory even for a single patch.
        """
        total = self.softmax(len(inputs), inputs.__getitem__)
        if self._tta:
            for view in tta_views(inputs):
                total = total + self.softmax(len(view), view.__getitem__)
            total = total / 8
        probabilities: NDArray[np.float32] = total.cpu().numpy()
        if not np.isfinite(probabilities).all():
            raise ModelError(f"{self.card.name} answers with values that are no numbers", "its weights are damaged")
        return probabilities

    def classify(
        self,
        items: Sequence[Item],
        read: Callable[[Item], PatchImage],
        *,
        refused: Callable[[Item, LulcError], None] = _raised,
        batch: int = AT_ONCE,
    ) -> Iterator[Prediction[Item]]:
        """Predictions of items, in order; files are read and decoded ahead in threads.

        Args:
            items: What to classify.
            read: Reads the image of an item.
            refused: Called with each item that cannot be classified, which is then left out; by default the error is raised.
            batch: Patches per forward pass.

        Raises:
            LulcError: What `read` and `inputs` raise.
        """

        def load(item: Item) -> _Loaded | LulcError:
            try:
                image = read(item)
                values = self._values(image)
                return _Loaded(image, values, _first(self.card.ood_scores(values)))
            except LulcError as error:
                return error

        groups = [items[start : start + batch] for start in range(0, len(items), batch)]
        loaded = in_order(lambda group: list(map(load, group)), groups)
        for group, found in zip(groups, loaded, strict=True):
            good = []
            for item, one in zip(group, found, strict=True):
                if isinstance(one, LulcError):
                    refused(item, one)
                else:
                    good.append((item, one))
            if good:
                rows = self.probabilities(self.channels(np.concatenate([one.values for _, one in good])))
                for (item, one), row in zip(good, rows, strict=True):
                    yield Prediction(item, one.image, row, one.ood_score)


class _Loaded(NamedTuple):
    """An image, its values before normalisation, float32 (1, bands, side, side), and its OOD score."""

    image: PatchImage
    values: NDArray[np.float32]
    ood_score: float | None


def _first(scores: NDArray[np.float64] | None) -> float | None:
    return None if scores is None else float(scores[0])


def tta_views(inputs: Tensor) -> Iterator[Tensor]:
    """The seven other turns and mirror images of patches (n, C, side, side), channels last."""
    for mirrored in (False, True):
        for quarters in range(0 if mirrored else 1, 4):
            view = torch.rot90(inputs, quarters, (2, 3))
            yield (view.flip(3) if mirrored else view).contiguous(memory_format=torch.channels_last)
