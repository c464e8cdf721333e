"""Model bundles of patch classifiers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from lulc.errors import ConfigError, ModelError
from lulc.model.bundle import BundleCard, fill_weights, network_for, read_card_as, write_bundle_as
from lulc.patches.distribution import TrainingDistribution, patch_statistics, statistics_count
from lulc.patches.networks import PatchArchitecture, PatchNetwork, build_patch_network
from lulc.resources import SHIPPED_PATCH_MODEL


class PatchCard(BundleCard):
    """Card of a model that classifies patches; the schema of `card.json`.

    Attributes:
        architecture: Network and its arguments.
        patch_side: Side of the patches it was trained on, pixels.
        picture_white: Reflectance shown as 255 in the pictures it was trained on; None when unknown, or when it was
            trained on reflectance.
        pictures: True when it was trained on stretched 8-bit pictures.
        distribution: Statistics of its training patches; None in bundles from before there were any.
    """

    kind: Literal["patches"] = "patches"
    architecture: PatchArchitecture
    patch_side: int = Field(ge=1, le=2048)
    pictures: bool = False
    picture_white: float | None = Field(default=None, gt=0)
    distribution: TrainingDistribution | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.check_network(self.architecture.in_channels, self.architecture.classes)
        if self.features.indices:
            raise ValueError("patch models see bands only")
        bands = len(self.features.bands)
        if self.distribution is not None and len(self.distribution.mean) != statistics_count(bands):
            found = f"the distribution has {len(self.distribution.mean)} means"
            raise ValueError(f"{found}, {bands} bands have {statistics_count(bands)} statistics")
        return self

    def ood_scores(self, values: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Out-of-distribution scores of patches: float64 (n,), above 1 unlike the training patches; None when not known.

        Args:
            values: In the range that the model was trained on, before normalisation: float32 (n, bands, side, side), NaN
                where not valid.
        """
        return None if self.distribution is None else self.distribution.scores(patch_statistics(values))


@dataclass(frozen=True, slots=True)
class PatchModel:
    """A card and its network, in evaluation mode on the CPU in float32."""

    card: PatchCard
    network: PatchNetwork


def load_patch_model(model: str | Path = SHIPPED_PATCH_MODEL) -> PatchModel:
    """Load the card and network of a bundle.

    Raises:
        ModelError: There is no bundle, it is damaged or of another kind, or its weights do not fit its network.
    """
    card = read_card_as(PatchCard, model)
    try:
        network = network_for(model, card, lambda: build_patch_network(card.architecture))
    except ConfigError as error:
        raise ModelError(f"{card.name}: {error.problem}", "its card is damaged") from error
    fill_weights(network, model, card)
    return PatchModel(card, network)


def write_patch_model(folder: Path, network: PatchNetwork, *, half: bool = False, **card: Any) -> PatchCard:  # noqa: ANN401
    """Write a network and its card as a new bundle folder.

    Args:
        folder: Created with its parents; files of these names in it are replaced.
        network: What to store.
        half: Store convolutions and dense layers in float16 (half the size); norms and biases stay in float32.
        card: Fields of `PatchCard` other than the weights' size and hash.
    """
    state = {name: _stored(tensor, half=half) for name, tensor in network.state_dict().items()}
    return write_bundle_as(PatchCard, folder, state, **card)


def _stored(tensor: Tensor, *, half: bool) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.float16 if half and tensor.ndim > 1 else torch.float32)
