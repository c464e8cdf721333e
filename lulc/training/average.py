"""Exponential moving average of weights."""

from copy import deepcopy

import torch
from torch import Tensor, nn


class Average:
    """A copy of a network whose weights trail the trained ones, with a short memory at the start.

    Batch-norm statistics are averaged like weights.

    Args:
        network: As it starts.
        decay: Of each update; 0 follows the network exactly.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(requires_grad=False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, updates: int) -> None:
        """Move towards `network`; `updates` counts the updates so far, from 0."""
        decay = min(self._decay, (1 + updates) / (10 + updates)) if self._decay else 0.0
        mine, theirs = _floats(self.network), _floats(network)
        torch._foreach_lerp_(mine, theirs, 1 - decay)


def _floats(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
