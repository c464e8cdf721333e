"""From reflectance to the input of a network, shared by training and classification."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lulc.bands import Radiometry
from lulc.features import FeatureSpec

REFLECTANCE = Radiometry(quantification=1.0)
"""Radiometry of values that are reflectance already."""


def network_channels(
    spec: FeatureSpec,
    planes: Mapping[str, Tensor],
    radiometry: Radiometry,
    valid_nyx: Tensor,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Compute the normalised input channels of a network.

    Args:
        spec: Channels and their normalisation.
        planes: Raw values of each band or index by name, (n, height, width), any real dtype.
        radiometry: Conversion of raw values to reflectance.
        valid_nyx: bool (n, height, width); False where there is no data.
        dtype: Floating dtype of the result.

    Returns:
        `dtype` (n, channels, height, width), channels-last memory; 0, the training mean, where not valid or not finite.
    """
    channels = spec.normalised(planes, radiometry, lambda plane: plane.to(torch.float32))
    shape = (valid_nyx.shape[0], len(channels), *valid_nyx.shape[1:])
    stacked = torch.empty(shape, dtype=dtype, device=valid_nyx.device, memory_format=torch.channels_last)
    for position, channel in enumerate(channels):
        channel.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0).mul_(valid_nyx)
        stacked[:, position] = channel
    return stacked
