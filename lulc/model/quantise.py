"""Convert probabilities on a device to the stored values of the product."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.io.product import rounding
from lulc.io.product.rounding import ACTIVATION_STEPS
from lulc.legend import NODATA_CODE


def product_bytes(probabilities_kyx: Tensor, valid_yx: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Class codes and activations as stored in a uint8 product: `lulc.io.product.rounding.product_bytes` on any device.

    Args:
        probabilities_kyx: Probabilities, float32 (K, height, width), summing to 1 over K.
        valid_yx: bool (height, width); False where the input has no data.

    Returns:
        uint8 (1 + K, height, width): code 1..K, then 0..250 for each class; every band is 255 where not valid.
    """
    if probabilities_kyx.device.type == "cpu":
        return rounding.product_bytes(probabilities_kyx.numpy(), valid_yx)
    codes = (probabilities_kyx.max(dim=0, keepdim=True).indices + 1).to(torch.uint8)
    stored = _masked(torch.cat([codes, largest_remainder(probabilities_kyx)]), valid_yx)
    return stored.cpu().numpy()


def product_floats(probabilities_kyx: Tensor, valid_yx: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Class codes and unrounded activations, as stored in a float32 product.

    Args:
        probabilities_kyx: Probabilities, float32 (K, height, width), summing to 1 over K.
        valid_yx: bool (height, width); False where the input has no data.

    Returns:
        float32 (1 + K, height, width): code 1..K, then 0..1 for each class; every band is 255 where not valid.
    """
    codes = probabilities_kyx.max(dim=0, keepdim=True).indices + 1
    return _masked(torch.cat([codes.float(), probabilities_kyx]), valid_yx).cpu().numpy()


def sky_codes(sky_syx: Tensor) -> NDArray[np.uint8]:
    """What a pixel of the sky is most likely: uint8 (height, width), positions in `SKY`.

    Args:
        sky_syx: Probabilities of `SKY`, (3, height, width); of a network that tells no clouds (0, height, width), and
            all is clear.
    """
    if not len(sky_syx):
        return np.zeros(sky_syx.shape[1:], np.uint8)
    return rounding.most_probable(sky_syx.cpu().numpy())


def largest_remainder(probabilities_kyx: Tensor) -> Tensor:
    """`lulc.io.product.rounding.largest_remainder` on any device: uint8 (K, height, width)."""
    scaled = probabilities_kyx * ACTIVATION_STEPS
    floor = scaled.floor()
    remainder = scaled - floor
    missing = (ACTIVATION_STEPS - floor.sum(dim=0)).to(torch.uint8)
    rank = torch.zeros_like(floor, dtype=torch.uint8)
    for apart in range(1, len(remainder)):
        ahead = remainder[:-apart] >= remainder[apart:]
        rank[apart:] += ahead
        rank[:-apart] += ~ahead
    return floor.to(torch.uint8) + (rank < missing)


def _masked(stored_byx: Tensor, valid_yx: NDArray[np.bool_]) -> Tensor:
    invalid = torch.from_numpy(~valid_yx).to(stored_byx.device)
    return stored_byx.masked_fill_(invalid, NODATA_CODE)
