"""Convert probabilities to the stored values of the product."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.legend import NODATA_CODE

ACTIVATION_STEPS = 250
"""Steps of an activation byte: one step is 1/250, and the bytes of a valid pixel sum to 250."""

_SLAB_ROWS = 64


def product_bytes(probabilities_kyx: Tensor, valid_yx: Tensor) -> Tensor:
    """Class codes and activations as stored in a uint8 product.

    The class is the argmax before rounding. Activations are rounded by largest remainder, which keeps their order: the
    winner's byte is never below another's.

    Args:
        probabilities_kyx: Probabilities, float32 (K, height, width), summing to 1 over K.
        valid_yx: bool (height, width); False where the input has no data.

    Returns:
        uint8 (1 + K, height, width): code 1..K, then 0..250 for each class; every band is 255 where not valid.
    """
    classes, height, width = probabilities_kyx.shape
    out = torch.empty(1 + classes, height, width, dtype=torch.uint8, device=probabilities_kyx.device)
    # Slabs keep the working set of the K*K comparisons inside a CPU's cache; a GPU takes all rows at once.
    rows = _SLAB_ROWS if probabilities_kyx.device.type == "cpu" else height
    for row in range(0, height, rows):
        slab = probabilities_kyx[:, row : row + rows]
        out[0, row : row + rows] = slab.max(dim=0).indices + 1
        out[1:, row : row + rows] = largest_remainder(slab)
    return out.masked_fill_(~valid_yx, NODATA_CODE)


def product_bytes_of(probabilities_kyx: NDArray[np.float32], valid_yx: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`product_bytes` for numpy arrays: uint8 (1 + K, height, width)."""
    return product_bytes(torch.from_numpy(probabilities_kyx), torch.from_numpy(valid_yx)).numpy()


def product_floats(probabilities_kyx: Tensor, valid_yx: Tensor) -> Tensor:
    """Class codes and unrounded activations, as stored in a float32 product.

    Args:
        probabilities_kyx: Probabilities, float32 (K, height, width), summing to 1 over K.
        valid_yx: bool (height, width); False where the input has no data.

    Returns:
        float32 (1 + K, height, width): code 1..K, then 0..1 for each class; every band is 255 where not valid.
    """
    codes = probabilities_kyx.max(dim=0, keepdim=True).indices + 1
    return torch.cat([codes.float(), probabilities_kyx]).masked_fill_(~valid_yx, float(NODATA_CODE))


def sky_codes(sky_syx: Tensor) -> NDArray[np.uint8]:
    """What a pixel of the sky is most likely: uint8 (height, width), positions in `SKY`.

    Args:
        sky_syx: Probabilities of `SKY`, (3, height, width); of a network that tells no clouds (0, height, width), and
            all is clear.
    """
    if not len(sky_syx):
        return np.zeros(sky_syx.shape[1:], np.uint8)
    codes: NDArray[np.uint8] = sky_syx.max(dim=0).indices.to(torch.uint8).cpu().numpy()
    return codes


def largest_remainder(probabilities_kyx: Tensor) -> Tensor:
    """Round probabilities to steps of 1/250 that sum to exactly 250: uint8 (K, height, width).

    Each probability is rounded down. The missing steps go, one each, to the largest remainders (Hamilton's method); in
    a tie to the first class.

    Args:
        probabilities_kyx: float32 (K, height, width), summing to 1 over K.
    """
    scaled = probabilities_kyx * ACTIVATION_STEPS
    floor = scaled.floor()
    remainder = scaled - floor
    missing = (ACTIVATION_STEPS - floor.sum(dim=0)).to(torch.uint8)
    rank = torch.zeros_like(floor, dtype=torch.uint8)
    for later in range(1, len(remainder)):
        for earlier in range(later):
            ahead = remainder[earlier] >= remainder[later]
            rank[later] += ahead
            rank[earlier] += ~ahead
    return floor.to(torch.uint8) + (rank < missing)
