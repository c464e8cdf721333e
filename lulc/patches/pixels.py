"""From patch images to what a network sees: bands by name, one size, one range, normalised."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lulc.errors import InputError
from lulc.features import FeatureSpec
from lulc.model.channels import REFLECTANCE, network_channels
from lulc.patches.card import PatchCard
from lulc.patches.image import PatchImage
from lulc.training.augment import ATMOSPHERE

FINEST = 1e-4
"""Least value shown to a network, as in training."""

LEAST_VALID = 0.5
"""A patch or cell with less of its pixels valid has no class."""

Planes = tuple[NDArray[np.generic], NDArray[np.bool_], NDArray[np.float32]]
"""Raw values (bands, side, side), valid mask (side, side), and quantification and offset (2,)."""


def planes_of(image: PatchImage, bands: Sequence[str], side: int) -> Planes:
    """Some bands of an image at one size, in the type that the file holds.

    Raises:
        InputError: A band is missing.
    """
    missing = [name for name in bands if name not in image.names]
    if missing:
        raise InputError(
            f"{image.name} lacks {', '.join(missing)}: it has {', '.join(image.names)}",
            "give patches with these bands, or name the bands in their order with --bands",
        )
    values = image.values[[image.names.index(name) for name in bands]]
    scale = np.array([image.radiometry.quantification, image.radiometry.offset], np.float32)
    valid = image.valid
    if values.shape[1:] != (side, side):
        values, valid = _resized(values, valid, side)
    return values, valid, scale


def reflectance(planes: Sequence[Planes]) -> NDArray[np.float32]:
    """Reflectance of patches, or 0..1 of pictures: float32 (n, bands, side, side), NaN where not valid."""
    result = np.stack([values for values, _, _ in planes]).astype(np.float32)
    scales = np.stack([scale for _, _, scale in planes])
    result += scales[:, 1, None, None, None]
    result /= scales[:, 0, None, None, None]
    for patch, (_, valid, _) in zip(result, planes, strict=True):
        if not valid.all():
            patch[:, ~valid] = np.nan
    return result


def channels(spec: FeatureSpec, values_nchw: Tensor) -> Tensor:
    """Normalised input of a network from reflectance, NaN where not valid; both float32 (n, bands, side, side)."""
    valid = values_nchw.isfinite().all(dim=1)
    planes = {name: values_nchw[:, position].clamp_min(FINEST) for position, name in enumerate(spec.bands)}
    return network_channels(spec, planes, REFLECTANCE, valid)


def as_trained(
    values: NDArray[np.float32], card: PatchCard, *, picture: bool, level: str, name: str
) -> NDArray[np.float32]:
    """Values as the model knows them: surface reflectance seen through the air, reflectance stretched like its pictures.

    Args:
        values: 0..1 of a picture, else reflectance, of the model's bands: (..., bands, height, width).
        card: The model.
        picture: Which of the two the values are.
        level: Product level, such as `L2A`; empty when not known.
        name: What to call them.

    Raises:
        InputError: The model knows pictures and the values are reflectance of unknown stretch, or the other way round.
    """
    if picture and not card.pictures:
        raise InputError(
            f"{name} is a stretched picture, {card.name} was trained on reflectance", "give the bands themselves"
        )
    if not picture and wants_top_of_atmosphere(level, card):
        values = top_of_atmosphere(values, card.features.bands)
    if picture or not card.pictures:
        return values
    if card.picture_white is None:
        raise InputError(
            f"{name} holds reflectance, {card.name} was trained on pictures of unknown stretch", "give 8-bit pictures"
        )
    shown: NDArray[np.float32] = np.clip(values / np.float32(card.picture_white), 0, 1)
    return shown


def wants_top_of_atmosphere(level: str, card: PatchCard) -> bool:
    """True for surface reflectance (L2A) that is shown to a model that knows top-of-atmosphere reflectance (L1C) alone."""
    return level == "L2A" and card.input_levels == ("L1C",) and set(card.features.bands) <= set(ATMOSPHERE)


def top_of_atmosphere(values: NDArray[np.float32], bands: Sequence[str]) -> NDArray[np.float32]:
    """Surface reflectance (..., bands, height, width) through a clear atmosphere: path + transmittance x value.

    A constant atmosphere for want of a better one (`lulc.training.augment.ATMOSPHERE`): right on average, not in haze.
    """
    path, transmittance = np.array([ATMOSPHERE[name] for name in bands], np.float32).T[:, :, None, None]
    seen: NDArray[np.float32] = path + transmittance * values
    return seen


def level_note(level: str, card: PatchCard) -> tuple[str, ...]:
    """What was done to values of another level, in a sentence; empty when nothing."""
    if not wants_top_of_atmosphere(level, card):
        return ()
    return ("surface reflectance (L2A) was shown to the model through a clear atmosphere, as L1C would look",)


def resized(values_nchw: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Values (n, bands, height, width) at another size, bilinear with smoothing: float32 (n, bands, side, side).

    Pixels without data (NaN) take no part; a pixel has none where less than half of what it covers has any.
    """
    values = torch.from_numpy(values_nchw)
    known = values.isfinite().float()
    sums, weights = (
        functional.interpolate(each, (side, side), mode="bilinear", antialias=True)
        for each in (values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) * known, known)
    )
    mean: NDArray[np.float32] = torch.where(weights >= LEAST_VALID, sums / weights, torch.nan).numpy()
    return mean


def _resized(
    values: NDArray[np.generic], valid: NDArray[np.bool_], side: int
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Raw values and mask at another size, in the type that they have."""
    plain = values.astype(np.float32)
    plain[:, ~valid] = np.nan
    small = resized(plain[None], side)[0]
    known: NDArray[np.bool_] = np.isfinite(small).all(axis=0)
    small[:, ~known] = 0
    if values.dtype.kind in "iu":
        small = np.rint(small)  # a mean of integers cannot leave their range
    return small.astype(values.dtype), known
