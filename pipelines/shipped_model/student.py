"""A trained network over the patches of the recipe, as `lulc classify` would show them to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from data import BANDS
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from lulc.features import FeatureSpec
from lulc.model.build import total_stride
from lulc.model.bundle import load_bundle
from lulc.model.channels import REFLECTANCE, network_channels
from lulc.model.receptive_field import measure_receptive_field

MARGIN = 32
"""Patches are mirrored by this much before the network sees them, as lulc does at the edge of a scene."""


class Student:
    """A trained network and its channels.

    Args:
        name: In tables.
        network: In evaluation mode.
        features: What it sees.
        temperature: Divides its logits.

    Attributes:
        stride: Total stride, pixels.
        half_field: Half receptive field, pixels.
    """

    def __init__(self, name: str, network: nn.Module, features: FeatureSpec, temperature: float = 1.0) -> None:
        self.name, self.network, self.features, self.temperature = name, network.eval(), features, temperature
        self.stride = total_stride(network)
        self.half_field = measure_receptive_field(network, len(features.channels), self.stride).half_field

    @classmethod
    def of(cls, bundle: Path | str) -> Student:
        """The network of a model bundle."""
        loaded = load_bundle(bundle)
        card = loaded.card
        return cls(f"{card.name} {card.version}", loaded.network, card.features, card.temperature)

    def logits(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (9, height, width) of reflectance (9, height, width) of any size, NaN where no data."""
        return shown_to(self.network, self.features, self.stride, reflectance)

    def classes(self, reflectance: NDArray[np.float32]) -> NDArray[np.int64]:
        """Most probable class (height, width)."""
        return self.logits(reflectance).argmax(axis=0)


@torch.inference_mode()
def shown_to(
    network: nn.Module, features: FeatureSpec, stride: int, reflectance: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Output (planes, height, width) of a network for reflectance (9, height, width) of any size, NaN where no data."""
    height, width = reflectance.shape[-2:]
    margin = min(MARGIN, height - 1, width - 1)
    down, across = (-(side + 2 * margin) % stride for side in (height, width))
    image = torch.from_numpy(np.ascontiguousarray(reflectance))[None]
    valid = image.isfinite().all(dim=1)
    planes = {name: image[:, number] for number, name in enumerate(BANDS)}
    channels = network_channels(features, planes, REFLECTANCE, valid)
    padded = functional.pad(channels, (margin, margin, margin, margin), mode="reflect")
    padded = functional.pad(padded, (0, across, 0, down), mode="replicate")
    answer = network(padded)[0, :, margin : margin + height, margin : margin + width]
    return answer.float().numpy()


def reflectance_of(image: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Reflectance of an image of a patch, NaN where no data."""
    reflectance = image.astype(np.float32) / 10000
    reflectance[:, (image == 0).all(axis=0)] = np.nan
    return reflectance
