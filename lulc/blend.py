"""Blend the probabilities of neighbouring tiles into finished pixels.

With a halo of at least half the receptive field, neighbouring tiles agree and the cut at the core's border is exact.
With a smaller halo a narrow cosine cross-fade softens the step. Over `fade` pixels beyond its core a tile's weight
falls from 1 to 0, while its neighbour's rises from 0 to 1. The weights of all tiles sum to 1 at every pixel, so the
probabilities do too.
"""

import torch
from torch import Tensor

from lulc.tiling import Tile, TilePlan


def fade_weights(start: int, core: int, kept: int, fade: int) -> Tensor:
    """Blending weights of one tile along one axis: float32 (kept,), 0..1.

    Args:
        start: First row or column of the core, pixels. At 0 the scene begins and nothing fades in.
        core: Length of the core, pixels.
        kept: Length of core and fading margin, pixels.
        fade: Width of the cross-fade, pixels.
    """
    weights = torch.ones(kept)
    ramp = 0.5 - 0.5 * torch.cos(torch.pi * (torch.arange(fade) + 0.5) / fade) if fade else torch.empty(0)
    if start > 0:
        weights[:fade] = ramp[:kept]
    weights[core:] *= (1 - ramp)[: kept - core]
    return weights


class Blender:
    """Takes tiles in the order of the plan and returns finished cores.

    Only the fading margins are kept in memory: one row of `fade` pixels across the scene and one column of `fade`
    pixels.

    Args:
        plan: The plan whose tiles will be fed.
        planes: Number of planes P, such as one for each class.
    """

    def __init__(self, plan: TilePlan, planes: int) -> None:
        self._plan = plan
        self._below = torch.zeros(planes, plan.fade, plan.shape.width)
        self._right = torch.zeros(planes, 0, 0)

    def feed(self, tile: Tile, probabilities_pyx: Tensor) -> Tensor:
        """Add the next tile and finish its core.

        Args:
            tile: Next tile of the plan.
            probabilities_pyx: Probabilities of `tile.kept`, float32 (P, height, width), 0..1.

        Returns:
            Finished probabilities of `tile.core`, float32 (P, height, width), on the device of the input.
        """
        if not self._plan.fade:
            return probabilities_pyx
        self._below = self._below.to(probabilities_pyx.device)
        core, fade = tile.core, self._plan.fade
        height, width = probabilities_pyx.shape[1:]
        down = fade_weights(core.row, core.height, height, fade).to(probabilities_pyx.device)
        across = fade_weights(core.col, core.width, width, fade).to(probabilities_pyx.device)
        weighted = probabilities_pyx * down[:, None] * across
        if core.col > 0:
            weighted[:, :, : self._right.shape[2]] += self._right
        self._right = weighted[:, :, core.width :].clone()
        body = weighted[:, :, : core.width]
        columns = slice(core.col, core.col_end)
        if core.row > 0:
            rows = min(fade, height)
            body[:, :rows] += self._below[:, :rows, columns]
        margin = body[:, core.height :]
        self._below[:, : margin.shape[1], columns] = margin
        return body[:, : core.height]
