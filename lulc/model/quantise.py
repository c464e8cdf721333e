"""Convert probabilities on a device to the stored values of the product."""

from collections.abc import Callable

import torch
from torch import Tensor

from lulc.io.product import rounding
from lulc.io.product.rounding import ACTIVATION_STEPS
from lulc.options import Stored


def stored_bands(probabilities_kyx: Tensor, activations: Stored) -> Tensor:
    """Class codes and activations of pixels that have data, on the device of the probabilities.

    Args:
        probabilities_kyx: Probabilities, float32 (K, height, width), summing to 1 over K.
        activations: `uint8`, `float32` or `none` (the class alone).

    Returns:
        uint8 or float32 (1 + K or 1, height, width): code 1..K, then for each class 0..250, or 0..1 unrounded.
    """
    with torch.inference_mode():
        return _STORED[activations](probabilities_kyx)


def sky_codes(sky_syx: Tensor) -> Tensor:
    """What a pixel of the sky is most likely: uint8 (height, width), positions in `SKY`, on the device of the argument.

    Args:
        sky_syx: Probabilities of `SKY`, (3, height, width); of a network that tells no clouds (0, height, width), and
            all is clear.
    """
    if not len(sky_syx):
        return torch.zeros(sky_syx.shape[1:], dtype=torch.uint8, device=sky_syx.device)
    return _codes(sky_syx)


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


def device_bytes(probabilities_kyx: Tensor) -> Tensor:
    """`lulc.io.product.rounding.rounded` on any device: uint8 (1 + K, height, width)."""
    return torch.cat([_codes(probabilities_kyx)[None] + 1, largest_remainder(probabilities_kyx)])


def _bytes(probabilities_kyx: Tensor) -> Tensor:
    if probabilities_kyx.device.type == "cpu":
        return torch.from_numpy(rounding.rounded(probabilities_kyx.numpy()))
    return device_bytes(probabilities_kyx)


def _floats(probabilities_kyx: Tensor) -> Tensor:
    return torch.cat([_codes(probabilities_kyx)[None].float() + 1, probabilities_kyx])


def _classes(probabilities_kyx: Tensor) -> Tensor:
    return _codes(probabilities_kyx)[None] + 1


def _codes(planes_kyx: Tensor) -> Tensor:
    """Number of the largest plane, the first of equal ones: uint8 (height, width)."""
    if planes_kyx.device.type == "cpu":
        return torch.from_numpy(rounding.most_probable(planes_kyx.numpy()))
    return planes_kyx.max(dim=0).indices.to(torch.uint8)


_STORED: dict[str, Callable[[Tensor], Tensor]] = {"uint8": _bytes, "float32": _floats, "none": _classes}
