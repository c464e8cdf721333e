"""`lulc patches train`: class folders and a configuration in, a patch model out."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from lulc.errors import ConfigError, InputError, did_you_mean
from lulc.features import FeatureSpec
from lulc.io.files.paths import AnyPath, as_path
from lulc.patches.dataset import Patch, PatchSet, check_outside, open_patch_set
from lulc.patches.image import PatchImage
from lulc.patches.learn.duplicates import Leakage, near_pairs, patch_signatures, same_pixels
from lulc.patches.learn.freezing import Freezing
from lulc.patches.learn.places import on_shared_ground, same_block
from lulc.patches.learn.samples import PatchReader
from lulc.patches.learn.settings import PatchSettings
from lulc.patches.learn.split import PatchSplit, split_patches
from lulc.patches.learn.start import normalised_like, start_patches
from lulc.patches.learn.task import PatchTask
from lulc.patches.learn.trained import PatchPlan, PatchTrainReport, legend_of
from lulc.patches.networks import build_patch_network
from lulc.run import StepProgress, silent
from lulc.training.distributed import ProcessGroup
from lulc.training.train import train

_FOR_STATISTICS = 2000
_IMAGENET = {"B04": (0.485, 0.229), "B03": (0.456, 0.224), "B02": (0.406, 0.225)}


def train_patches(
    settings: PatchSettings,
    output: AnyPath,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: AnyPath | None = None,
    progress: StepProgress = silent,
) -> PatchTrainReport | None:
    """Train a patch classifier and leave a model bundle; arguments, result and errors are those of `lulc.training.train`."""
    output = as_path(output)
    tensorboard = None if tensorboard is None else as_path(tensorboard)
    check_outside(output, settings.data)
    plan = partial(plan_patches, settings)
    return train(settings, plan, output, resume=resume, overwrite=overwrite, tensorboard=tensorboard, progress=progress)


def plan_patches(settings: PatchSettings, group: ProcessGroup) -> PatchPlan:
    """Open the patches, split them, build the network; nothing is written.

    Raises:
        LulcError: The patches, the settings or the start weights are refused.
    """
    if group.size > 1 and settings.network.freeze != "none":
        raise ConfigError("network.freeze does not work under torchrun", 'use network.freeze = "none"')
    data = open_patch_set(settings.data, settings.bands)
    legend_of(data.classes, settings.card.legend)  # or say now what is wrong with it
    split, leakage = _split(data, settings)
    train, val = (split.of(data, name) for name in ("train", "val"))
    first = data.read(train[0])
    pictures, bands, side = first.is_picture, chosen_bands(settings, first), max(first.values.shape[1:])
    reader = PatchReader(data, bands, side, settings.samples.cache_mb, pictures=pictures)
    for name, patches in (("train", train), ("val", val)):
        _check_data(reader, patches, name)
    spec = _spec(settings, reader, train, bands, pictures=pictures)
    spec = normalised_like(spec, settings.network.start, pictures=pictures)
    torch.manual_seed(settings.fit.seed)
    architecture = settings.network.architecture(len(bands), len(data.classes), side)
    network = build_patch_network(architecture)
    start = start_patches(network, architecture, bands, data.classes, settings.network.start)
    counted = settings.model_copy(update={"fit": settings.fit.for_patches(len(train))})
    freezing = Freezing(network, settings.network.freeze, round(settings.network.unfreeze * counted.fit.steps))
    return PatchPlan(
        settings=counted,
        identity=settings.to_table(),
        network=network.to(group.device).to(memory_format=torch.channels_last),
        architecture=architecture,
        features=spec,
        start=start,
        task=PatchTask(reader, spec, train, val, counted, group, data.classes, freezing),
        data=data,
        split=split,
        leakage=leakage,
        pictures=pictures,
        reader=reader,
        device=group.device,
    )


def _split(data: PatchSet, settings: PatchSettings) -> tuple[PatchSplit, Leakage]:
    """The split of the patches, and what of them occurs twice."""
    signatures = patch_signatures(data, settings.samples.workers)
    same, block_m = same_pixels(data, signatures), settings.split.block_m
    split = split_patches(data, settings.split, same, same_block(data, signatures, block_m) if block_m else ())
    near, shared = near_pairs(data, split, signatures), on_shared_ground(data, split, signatures)
    return split, Leakage.found(data, split, same, near, shared)


def _check_data(reader: PatchReader, patches: Sequence[Patch], split: str) -> None:
    """Refuse a split of blank patches, which a network can learn nothing from.

    Raises:
        InputError: None of the patches has a pixel with data.
    """
    if not any(np.isfinite(reader.read([patch]).values).all(axis=1).any() for patch in patches):
        raise InputError(f"no patch of the split {split!r} has a pixel with data", "give patches that are not blank")


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
