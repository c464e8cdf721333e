"""Weights to start from: ImageNet, or another patch model, for any number of bands."""

import timm
from torch import Tensor, nn

from lulc.errors import ModelError
from lulc.features import FeatureSpec
from lulc.model.bundle import BundleCard, read_card_as
from lulc.patches.card import PatchCard, load_patch_model
from lulc.patches.networks import OWN, PatchArchitecture, PatchNetwork, library_name
from lulc.training.start import start_from


def start_patches(
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

    def load(model: str) -> tuple[BundleCard, dict[str, Tensor], dict[str, object]]:
        given = load_patch_model(model)
        state: dict[str, Tensor] = given.network.state_dict()
        if given.card.classes.names != classes:
            state = {name: value for name, value in state.items() if not name.startswith("head.")}
        built = given.card.architecture
        return given.card, state, {"name": built.name, "side": built.side, "hidden": built.hidden}

    def build() -> nn.Module:
        made: nn.Module = timm.create_model(library, pretrained=True, num_classes=0)
        return made

    name = architecture.name
    if name == OWN and start == "imagenet":
        raise ModelError(f"there are no ImageNet weights of {OWN}", 'use start = "scratch"')
    library = name if name == OWN else library_name(name)
    return start_from(
        network, start, bands, part="backbone", library_name=library, build=build, load=load, new_bands="zero"
    )


def normalised_like(spec: FeatureSpec, start: str, *, pictures: bool) -> FeatureSpec:
    """Channels normalised as the model to start from knows them, so that its weights mean what they meant.

    Args:
        spec: Channels, normalised by the statistics of the patches.
        start: As for `start_patches`.
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
