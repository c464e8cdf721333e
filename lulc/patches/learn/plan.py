"""What a training of patches starts from: patches, split, network, normalisation; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lulc.errors import ConfigError, InputError, did_you_mean
from lulc.features import FeatureSpec
from lulc.model.predictor import keep_freed_memory
from lulc.patches.dataset import Patch, PatchSet, open_patch_set
from lulc.patches.image import PatchImage
from lulc.patches.learn.duplicates import look_at, near_pairs, same_pixels
from lulc.patches.learn.freezing import Freezing
from lulc.patches.learn.leakage import Leakage
from lulc.patches.learn.legend import legend_of
from lulc.patches.learn.places import on_shared_ground, same_block
from lulc.patches.learn.samples import PatchReader
from lulc.patches.learn.settings import PatchSettings
from lulc.patches.learn.split import PatchSplit, deal
from lulc.patches.learn.start import normalised_like, start_from
from lulc.patches.learn.task import PatchTask
from lulc.patches.networks import PatchArchitecture, PatchNetwork, build_patch_network
from lulc.training.distributed import World

_FOR_STATISTICS = 2000
_IMAGENET = {"B04": (0.485, 0.229), "B03": (0.456, 0.224), "B02": (0.406, 0.225)}


@dataclass(frozen=True)
class PatchPlan:
    """A network that is ready to be trained, and what it is trained on.

    Attributes:
        data: The patches.
        split: How they are dealt.
        leakage: What was found twice.
        pictures: True when the patches are stretched 8-bit pictures.
        side: Side of the patches, pixels.
        spec: Channels of the network.
        architecture: What the network was built from.
        network: On the world's device.
        start: What its weights started from.
        settings: As given, with the steps counted.
        reader: Reads patches.
    """

    data: PatchSet
    split: PatchSplit
    leakage: Leakage
    pictures: bool
    side: int
    spec: FeatureSpec
    architecture: PatchArchitecture
    network: PatchNetwork
    start: str
    settings: PatchSettings
    reader: PatchReader

    def task(self, world: World) -> PatchTask:
        """What the training loop asks."""
        settings = self.settings
        freezing = Freezing(
            self.network, settings.network.freeze, round(settings.network.unfreeze * settings.fit.steps)
        )
        train, val = (self.split.of(self.data, name) for name in ("train", "val"))
        return PatchTask(self.reader, self.spec, train, val, settings, world, self.data.classes, freezing)


def plan_patches(settings: PatchSettings, world: World) -> PatchPlan:
    """Open the patches, deal them, build the network; nothing is written.

    Raises:
        LulcError: As for `train_patches`.
    """
    keep_freed_memory()
    if world.size > 1 and settings.network.freeze != "none":
        raise ConfigError("network.freeze does not work under torchrun", 'use network.freeze = "none"')
    data = open_patch_set(settings.data, settings.bands)
    legend_of(data.classes, settings.card.legend)  # or say now what is wrong with it
    looks = look_at(data, settings.samples.workers)
    same = same_pixels(data, looks)
    block_m = settings.split.block_m
    split = deal(data, settings.split, same, same_block(data, looks, block_m) if block_m else ())
    leakage = Leakage.found(data, split, same, near_pairs(data, split, looks), on_shared_ground(data, split, looks))
    train = split.of(data, "train")
    first = data.read(train[0])
    bands, side = chosen_bands(settings, first), max(first.values.shape[1:])
    reader = PatchReader(data, bands, side, settings.samples.cache_mb, pictures=first.is_picture)
    spec = _spec(settings, reader, train, bands, pictures=first.is_picture)
    spec = normalised_like(spec, settings.network.start, pictures=first.is_picture)
    torch.manual_seed(settings.fit.seed)
    architecture = settings.network.architecture(len(bands), len(data.classes), side)
    network = build_patch_network(architecture)
    start = start_from(network, architecture, bands, data.classes, settings.network.start)
    counted = settings.model_copy(update={"fit": settings.fit.for_patches(len(train))})
    return PatchPlan(
        data=data,
        split=split,
        leakage=leakage,
        pictures=first.is_picture,
        side=side,
        spec=spec,
        architecture=architecture,
        network=network.to(world.device).to(memory_format=torch.channels_last),
        start=start,
        settings=counted,
        reader=reader,
    )


def chosen_bands(settings: PatchSettings, first: PatchImage) -> tuple[str, ...]:
    """Bands that the network sees: those asked for, else all of the first patch.

    Raises:
        InputError: The patches have no such band.
    """
    bands = settings.use or first.names
    for name in bands:
        if name not in first.names:
            raise InputError(f"use: {first.name} has no {name}", did_you_mean(name, first.names))
    return bands


def _spec(
    settings: PatchSettings, reader: PatchReader, train: Sequence[Patch], bands: tuple[str, ...], *, pictures: bool
) -> FeatureSpec:
    """Normalisation of the channels."""
    kind = settings.network.normalise
    if kind == "imagenet":
        if not (pictures and set(bands) <= set(_IMAGENET)):
            raise ConfigError('network.normalise = "imagenet" is for pictures', 'use "statistics"')
        known = [_IMAGENET[name] for name in bands]
        return FeatureSpec(bands=bands, mean=tuple(mean for mean, _ in known), std=tuple(std for _, std in known))
    if kind == "rescale":
        return FeatureSpec(bands=bands, mean=(0.0,) * len(bands), std=(1.0,) * len(bands))
    drawn = np.random.default_rng(0).permutation(len(train))[:_FOR_STATISTICS]
    values = reader.read([train[number] for number in sorted(drawn)]).values
    planes = values.swapaxes(0, 1)
    mean = np.array([np.nanmean(plane, dtype=np.float64) for plane in planes])
    std = np.array([np.nanstd(plane, dtype=np.float64) for plane in planes])
    if not (np.isfinite(mean).all() and (std > 0).all()):
        dead = ", ".join(name for name, spread in zip(bands, std, strict=True) if not spread > 0)
        raise InputError(f"{dead} has one value in all patches", "leave it out with use = [...]")
    return FeatureSpec(
        bands=bands,
        mean=tuple(round(float(value), 6) for value in mean),
        std=tuple(round(float(value), 6) for value in std),
    )
