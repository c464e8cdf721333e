"""From patch images to the input of a network: bands by name, one size, one value range, normalised."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lulc.bands import check_bands, sensor
from lulc.errors import InputError
from lulc.features import FeatureSpec
from lulc.model.channels import REFLECTANCE, network_channels
from lulc.patches.card import PatchCard
from lulc.patches.image import PatchImage
from lulc.training.atmosphere import GAS, clear_atmosphere

FINEST = 1e-4
"""Smallest value given to a network, as in training."""

LEAST_VALID = 0.5
"""Least valid fraction of a patch or cell that has a class."""

Planes = tuple[NDArray[np.generic], NDArray[np.bool_], NDArray[np.float32]]
"""Raw values (bands, side, side), valid mask bool (side, side), and quantification and offset, float32 (2,)."""


def planes_of(image: PatchImage, bands: Sequence[str], side: int) -> Planes:
    """Bands of an image, resized to one side, in the file's dtype.

    Args:
        image: The patch.
        bands: Names of the bands, in the order of the planes.
        side: Side of the planes, pixels.

    Raises:
        InputError: A band is missing.
    """
    remedy = "give patches with these bands, or name the bands in their order with --bands"
    check_bands(image.name, bands, image.names, remedy)
    values = image.values[[image.names.index(name) for name in bands]]
    scale = np.array([image.radiometry.quantification, image.radiometry.offset], np.float32)
    valid = image.valid
    if values.shape[1:] != (side, side):
        values, valid = _resized(values, valid, side)
    return values, valid, scale


def reflectance(planes: Sequence[Planes]) -> NDArray[np.float32]:
    """Convert planes of patches to reflectance, or to 0..1 of pictures.

    Returns:
        float32 (n, bands, side, side), NaN where not valid.
    """
    result = np.stack([values for values, _, _ in planes]).astype(np.float32)
    scales = np.stack([scale for _, _, scale in planes])
    result += scales[:, 1, None, None, None]
    result /= scales[:, 0, None, None, None]
    for patch, (_, valid, _) in zip(result, planes, strict=True):
        if not valid.all():
            patch[:, ~valid] = np.nan
    return result


def channels(spec: FeatureSpec, values_nchw: Tensor) -> Tensor:
    """Normalised input of a network.

    Args:
        spec: Channels of the network.
        values_nchw: Reflectance or 0..1 of pictures, float32 (n, bands, side, side), NaN where not valid.

    Returns:
        float32 (n, channels, side, side), 0 where not valid.
    """
    valid = values_nchw.isfinite().all(dim=1)
    planes = {name: values_nchw[:, index].clamp_min(FINEST) for index, name in enumerate(spec.bands)}
    return network_channels(spec, planes, REFLECTANCE, valid)


def as_trained(
    values: NDArray[np.float32], card: PatchCard, *, picture: bool, level: str, name: str
) -> NDArray[np.float32]:
    """Convert values to the kind that the model was trained on.

    Surface reflectance may become top-of-atmosphere reflectance, and reflectance may be stretched like the model's
    pictures.

    Args:
        values: 0..1 of a picture, else reflectance, of the model's bands: float32 (..., bands, height, width).
        card: Card of the model.
        picture: True for a picture, False for reflectance.
        level: Product level, such as `L2A`; empty when not known.
        name: Name of the patch in messages.

    Returns:
        float32 of the same shape.

    Raises:
        InputError: The model was trained on reflectance and the patch is a picture, or on pictures of unknown stretch
            and the patch is reflectance.
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
    """True for surface reflectance (L2A) when the model was trained on top-of-atmosphere reflectance (L1C) only."""
    return level == "L2A" and card.input_levels == ("L1C",) and set(card.features.bands) <= set(GAS)


def top_of_atmosphere(values: NDArray[np.float32], bands: Sequence[str]) -> NDArray[np.float32]:
    """Simulate top-of-atmosphere reflectance through a clear atmosphere: path + transmittance x surface reflectance.

    The atmosphere is that of a usual clear day: right on average, not in haze.

    Args:
        values: Surface reflectance, float32 (..., bands, height, width).
        bands: Names of the bands.

    Returns:
        Top-of-atmosphere reflectance, float32 of the same shape.
    """
    known = {band.name: band for band in sensor().bands}
    air = clear_atmosphere([known[name] for name in bands])
    path, transmittance = (part[0, :, None, None].numpy() for part in (air.path, air.transmittance))
    seen: NDArray[np.float32] = path + transmittance * values
    return seen


def level_note(level: str, card: PatchCard) -> tuple[str, ...]:
    """A sentence on the conversion of values of another product level; empty without one."""
    if not wants_top_of_atmosphere(level, card):
        return ()
    return ("surface reflectance (L2A) was shown to the model through a clear atmosphere, as L1C would look",)


def resized(values_nchw: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Resize values bilinearly with antialiasing.

    Pixels without data (NaN) are ignored. A result has no data where less than half of the pixels it covers have any.

    Args:
        values_nchw: float32 (n, bands, height, width), NaN where there is no data.
        side: New side, pixels.

    Returns:
        float32 (n, bands, side, side).
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
    """Raw values and valid mask at another size, in the same dtype."""
    plain = values.astype(np.float32)
    plain[:, ~valid] = np.nan
    small = resized(plain[None], side)[0]
    known: NDArray[np.bool_] = np.isfinite(small).all(axis=0)
    small[:, ~known] = 0
    if values.dtype.kind in "iu":
        small = np.rint(small)  # a mean of integers cannot leave their range
    return small.astype(values.dtype), known
