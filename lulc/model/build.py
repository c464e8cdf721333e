"""Networks by name: from segmentation-models-pytorch, and our own."""

import inspect
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lulc.config import Table
from lulc.errors import ModelError, did_you_mean, raised_as
from lulc.model.spectral_unet import SpectralUnet

OWN = "SpectralUnet"
"""Our own network, `lulc.model.spectral_unet`."""

OWN_ENCODER, OWN_DEPTH = "tu-tf_efficientnet_lite0", 2
"""Encoder that our own network has, with a stride of 4 in all."""

NETWORKS = ("Unet", "UnetPlusPlus", "Linknet", "FPN", "MAnet", "DeepLabV3", "DeepLabV3Plus", "PAN", "PSPNet", OWN)
"""Networks that a bundle may name: classes of segmentation-models-pytorch, and our own."""


Width = Annotated[int, Field(ge=-1, le=4096)]
"""A whole number of an architecture, such as a number of channels."""

_MOST_STAGES, _MOST_UPSAMPLING = 16, 32


class Architecture(Table):
    """Architecture of a network: its class and arguments.

    Attributes:
        network: Name of the class.
        encoder: Encoder name, such as `tu-resnet18`; `tu-tf_efficientnet_lite0` for our own network.
        in_channels: Number of input channels.
        classes: Number of output channels, one per class.
        encoder_depth: Number of down-samplings by 2.
        options: Further keyword arguments of the class, such as `decoder_channels`.
    """

    network: Literal[NETWORKS]  # type: ignore[valid-type]  # a tuple of literals is allowed at run time
    encoder: str = Field(pattern=r"^[A-Za-z0-9_.\-]{1,100}$")
    in_channels: int = Field(gt=0, le=1000)
    classes: int = Field(gt=1, le=250)
    encoder_depth: int = Field(default=5, ge=1, le=6)
    options: dict[str, bool | Width | float | str | list[Width] | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        if any(isinstance(value, list) and len(value) > _MOST_STAGES for value in self.options.values()):
            raise ValueError(f"a list of options has more than {_MOST_STAGES} numbers")
        factor = self.options.get("upsampling")
        if isinstance(factor, int) and factor > _MOST_UPSAMPLING:
            raise ValueError(f"upsampling is at most {_MOST_UPSAMPLING}")
        return self

    @property
    def is_own(self) -> bool:
        """True for our own network, which no other library builds."""
        return bool(self.network == OWN)

    @property
    def sees_clouds(self) -> bool:
        """True for a network with a cloud head."""
        return self.is_own and bool(self.options.get("clouds"))


PROBE = 128
"""Side of a test image that every network accepts, pixels."""


def build_network(architecture: Architecture) -> nn.Module:
    """Build a network in evaluation mode with fresh weights, without layers that do not influence its output.

    Raises:
        ModelError: The encoder or an option is not known.
    """
    problem = f"cannot build {architecture.network} with {architecture.encoder}"
    with raised_as(ModelError, problem, "", KeyError, TypeError, ValueError, RuntimeError):
        return (_build_own if architecture.is_own else _build_from_library)(architecture).eval()


def _build_own(architecture: Architecture) -> nn.Module:
    _check_options(architecture, SpectralUnet, {"self", "in_channels", "classes"})
    if (architecture.encoder, architecture.encoder_depth) != (OWN_ENCODER, OWN_DEPTH):
        raise ModelError(f"{OWN} has the encoder {OWN_ENCODER} with depth {OWN_DEPTH}", "set encoder and encoder_depth")
    options: dict[str, Any] = dict(architecture.options)
    return SpectralUnet(architecture.in_channels, architecture.classes, **options)


def _build_from_library(architecture: Architecture) -> nn.Module:
    import segmentation_models_pytorch as smp

    _check_encoder(architecture.encoder)
    _check_options(architecture, getattr(smp, architecture.network), _NOT_OPTIONS)
    options: dict[str, Any] = dict(architecture.options)
    network: nn.Module = getattr(smp, architecture.network)(
        encoder_name=architecture.encoder,
        encoder_weights=None,
        encoder_depth=architecture.encoder_depth,
        in_channels=architecture.in_channels,
        classes=architecture.classes,
        **options,
    )
    network.eval()
    drop_idle_layers(network, architecture.in_channels)
    return network


def _check_encoder(encoder: str) -> None:
    """Refuse an encoder that the library does not know.

    Raises:
        ModelError: The message offers the nearest name.
    """
    import segmentation_models_pytorch as smp

    encoders = smp.encoders.get_encoder_names()
    if not encoder.startswith("tu-") and encoder not in encoders:
        near = get_close_matches(encoder, encoders, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ModelError(f"no encoder {encoder!r}", f"{hint}tu-NAME takes one from timm")


def _check_options(architecture: Architecture, network: type[nn.Module], others: set[str]) -> None:
    """Refuse an option that a network does not know; some would be silently ignored.

    Args:
        architecture: With the options.
        network: Class of the network.
        others: Its arguments that are no options.

    Raises:
        ModelError: The message offers the nearest name.
    """
    known = set(inspect.signature(network.__init__).parameters) - others
    for name in architecture.options:
        if name not in known:
            raise ModelError(f"{architecture.network} has no option {name!r}", did_you_mean(name, known))


_NOT_OPTIONS = {
    "self",
    "kwargs",
    "encoder_name",
    "encoder_weights",
    "encoder_depth",
    "in_channels",
    "classes",
    "activation",
    "aux_params",
}
"""Arguments that an architecture states elsewhere, or must not set: activations are a softmax of the logits."""


class _Nothing(nn.Module):
    """Replacement of an idle layer; it returns its first argument."""

    def forward(self, image: Tensor, *_ignored: object) -> Tensor:
        return image


def drop_idle_layers(network: nn.Module, in_channels: int) -> None:
    """Replace layers that do not influence the output by empty ones, in place.

    A shallow encoder of segmentation-models-pytorch may still hold, and even run, its deeper stages. Their weights cost
    disk, memory and time and do nothing. They are the layers that no gradient reaches.

    Args:
        network: Network that accepts images of `PROBE` x `PROBE` pixels.
        in_channels: Number of its input channels.
    """
    with torch.enable_grad():
        network(torch.zeros(1, in_channels, PROBE, PROBE)).sum().backward()
    for layer in network.modules():
        for name, child in layer.named_children():
            weights = list(child.parameters())
            if weights and all(weight.grad is None for weight in weights):
                setattr(layer, name, _Nothing())
    network.zero_grad(set_to_none=True)


def total_stride(network: nn.Module) -> int:
    """Total stride of a network, pixels: windows may be shifted by it without changing the network's output.

    Raises:
        ModelError: The network does not state its stride.
    """
    stride = getattr(getattr(network, "encoder", network), "output_stride", None)
    if not isinstance(stride, int):
        raise ModelError("the network does not state its output stride", "use a network that lulc built")
    return stride
