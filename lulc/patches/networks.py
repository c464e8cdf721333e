"""Networks that classify patches, by name."""

import logging
from typing import Any, Self

import timm
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from lulc.config import Table
from lulc.errors import ConfigError, did_you_mean

SHORT_NAMES = {
    "lite0": "tf_efficientnet_lite0",
    "lite1": "tf_efficientnet_lite1",
    "lite2": "tf_efficientnet_lite2",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "wide_resnet50_2": "wide_resnet50_2",
}
"""Names in timm by short names of configurations."""

OWN = "cnn6"
"""Name of the small network of common tutorials: three convolutions and two dense layers."""

_ANY = "tu-"
_CNN6_WIDTHS = (32, 64, 128)
_CNN6_DENSE = 128
_STAGES = 3


class PatchArchitecture(Table):
    """Architecture of a patch network.

    Attributes:
        name: `cnn6`, a short name (`lite0`, `resnet50`, `wide_resnet50_2`, ...) or `tu-NAME` for any network of timm.
        in_channels: Number of input channels.
        classes: Number of classes.
        side: Patches are resized to this side, pixels, before the first layer.
        hidden: Width of the dense layer of the head, Linear-ReLU-Dropout-Linear-LogSoftmax; 0 is one linear layer.
        dropout: Dropout probability in the head.
    """

    name: str
    in_channels: int = Field(ge=1, le=512)
    classes: int = Field(ge=2, le=254)
    side: int = Field(ge=16, le=2048)
    hidden: int = Field(default=0, ge=0, le=65536)
    dropout: float = Field(default=0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name != OWN:
            library_name(self.name)
        return self


def library_name(name: str) -> str:
    """Name of a network in timm.

    Raises:
        ConfigError: There is no such network; the message offers the nearest name.
    """
    full = SHORT_NAMES.get(name, name.removeprefix(_ANY))
    if (name.startswith(_ANY) or name in SHORT_NAMES) and timm.is_model(full):
        return full
    known = [*SHORT_NAMES, OWN] if not name.startswith(_ANY) else [f"{_ANY}{each}" for each in timm.list_models()]
    raise ConfigError(f"there is no network {name}", did_you_mean(name, known))


class PatchNetwork(nn.Module):
    """A backbone with spatial maps, and a head that turns them into one output per class.

    Args:
        architecture: Architecture to build.

    Attributes:
        backbone: Layers up to the pooled features.
        head: From features to one value per class.
        last_maps: Identity layer after the last maps (n, c, height, width), where hooks can read them.
    """

    def __init__(self, architecture: PatchArchitecture) -> None:
        super().__init__()
        self._side = architecture.side
        self.backbone: Any = _backbone(architecture)
        self.last_maps = nn.Identity()
        with torch.inference_mode():
            probe = torch.zeros(1, architecture.in_channels, architecture.side, architecture.side)
            features = self.eval().features(probe).shape[1]
        self.head = _head(architecture, features)
        self.train()

    def forward(self, image: Tensor) -> Tensor:
        """Class scores of images.

        Args:
            image: float32 (n, channels, height, width).

        Returns:
            Logits (n, classes), or log-probabilities when the head ends in log-softmax.
        """
        logits: Tensor = self.head(self.features(image))
        return logits

    def features(self, image: Tensor) -> Tensor:
        """Pooled features (n, features) of images (n, channels, height, width)."""
        if image.shape[-2:] != (self._side, self._side):
            image = functional.interpolate(image, (self._side, self._side), mode="bilinear", antialias=True)
        maps = self.last_maps(self.backbone.forward_features(image))
        pooled: Tensor = self.backbone.forward_head(maps)
        return pooled

    def map_layers(self) -> tuple[str, ...]:
        """Names of the layers whose maps together explain a prediction: the last of each of the three coarsest sizes.

        One layer alone explains little. For the shipped model, 192 test patches, Grad-CAM, insertion less deletion
        (after Petsiuk et al. 2018): the three together 0.167, the best single one 0.061, the last maps 0.023, chance
        0.006; standard errors 0.008 to 0.015. `benchmarks/explanations.py` measures it.
        """
        known = {name for name, _ in self.named_modules()}
        names = [f"backbone.{stage.get('module')}" for stage in getattr(self.backbone, "feature_info", ())]
        return tuple(name for name in names[-_STAGES:] if name in known) or ("last_maps",)

    def stages(self) -> list[nn.Module]:
        """Parts of the backbone with weights, in the order of the forward pass."""
        parts: list[nn.Module] = []
        for child in self.backbone.children():
            nested = isinstance(child, nn.Sequential) and all(isinstance(part, nn.Sequential) for part in child)
            parts += list(child) if nested else [child]
        return [part for part in parts if any(True for _ in part.parameters())]


def build_patch_network(architecture: PatchArchitecture) -> PatchNetwork:
    """Build a network with random weights, in training mode.

    Raises:
        ConfigError: The network is unknown, or does not accept patches of that size.
    """
    try:
        return PatchNetwork(architecture)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise ConfigError(
            f"{architecture.name} cannot be built for {architecture.side} px: {reason}", "change network.side or .name"
        ) from error


def _backbone(architecture: PatchArchitecture) -> nn.Module:
    if architecture.name == OWN:
        return _Cnn6(architecture.in_channels, architecture.side)
    logging.getLogger("timm").setLevel(logging.ERROR)
    backbone: nn.Module = timm.create_model(
        library_name(architecture.name), pretrained=False, in_chans=architecture.in_channels, num_classes=0
    )
    return backbone


def _head(architecture: PatchArchitecture, features: int) -> nn.Module:
    dropout = nn.Dropout(architecture.dropout)
    if not architecture.hidden:
        return nn.Sequential(dropout, nn.Linear(features, architecture.classes))
    return nn.Sequential(
        nn.Linear(features, architecture.hidden),
        nn.ReLU(inplace=True),
        dropout,
        nn.Linear(architecture.hidden, architecture.classes),
        nn.LogSoftmax(dim=1),
    )


class _Cnn6(nn.Module):
    """Three convolutions, each followed by max pooling, and a dense layer."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for width in _CNN6_WIDTHS:
            self.blocks.append(nn.Conv2d(channels, width, 3, padding=1))
            channels = width
        self.dense = nn.Linear(channels * (side >> len(_CNN6_WIDTHS)) ** 2, _CNN6_DENSE)

    def forward_features(self, image: Tensor) -> Tensor:
        """Maps, float32 (n, 128, height, width) with sides of an eighth of the image's."""
        for convolution in self.blocks:
            image = functional.max_pool2d(functional.relu(convolution(image)), 2)
        return image

    def forward_head(self, maps: Tensor) -> Tensor:
        """Features (n, 128)."""
        return functional.relu(self.dense(maps.flatten(1)))
