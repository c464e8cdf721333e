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
    out: Tensor | None = None,
) -> Tensor:
    """Compute the normalised input channels of a network.

    Args:
        spec: Channels and their normalisation.
        planes: Raw values of each band or index by name, (n, height, width), any real dtype.
        radiometry: Conversion of raw values to reflectance.
        valid_nyx: bool (n, height, width); False where there is no data.
        out: Where to put them: (n, channels, height, width), any floating dtype and memory layout.

    Returns:
        `out`, or float32 (n, channels, height, width), channels-last memory; 0, the training mean, where not valid or not
        finite.
    """
    channels = torch.stack(spec.normalised(planes, radiometry, lambda plane: plane.to(torch.float32)), dim=1)
    channels.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0).mul_(valid_nyx[:, None])
    if out is None:
        return channels.contiguous(memory_format=torch.channels_last)
    return out.copy_(channels.to(out.dtype))  # both at once, precision and layout, take three times as long
