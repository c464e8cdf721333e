"""Exponential moving average of weights."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_Tensors = tuple[Tensor, ...] | list[Tensor]


class EMA(AveragedModel):
    """A copy of a network, `module`, whose weights trail the trained ones, with a short memory at the start.

    Update n of `update_parameters`, counted from 1, keeps min(decay, n / (9 + n)) of the average. Batch-norm statistics
    are averaged like weights.

    Args:
        network: As it starts.
        decay: Of each update; 0 follows the network exactly.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        def average(mine: _Tensors, theirs: _Tensors, count: Tensor | int) -> None:
            if mine[0].is_floating_point():
                updates = int(self.n_averaged)  # on the CPU, unlike `count`: asking it keeps no GPU waiting
                kept = min(decay, updates / (9 + updates))
                get_ema_multi_avg_fn(kept)(mine, theirs, count)  # type: ignore[no-untyped-call]

        super().__init__(network, multi_avg_fn=average, use_buffers=True)
        self.eval().requires_grad_(requires_grad=False)
        self.n_averaged.fill_(1)  # at 0 the first update would copy the network

    def resume(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Take up the average after so many updates."""
        self.module.load_state_dict(weights)
        self.n_averaged.fill_(1 + updates)
