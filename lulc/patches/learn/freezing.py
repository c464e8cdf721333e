"""Which weights learn when: all, the head alone, or the backbone from its end on."""

from typing import Literal

from torch import nn

from lulc.patches.networks import PatchNetwork


class Freezing:
    """Holds parts of a network still while others learn.

    Frozen parts keep their weights and their batch-norm statistics. (Weights without a gradient are passed over by
    optimisers, so nothing else needs to know.)

    Args:
        network: In training mode at every step.
        kind: `none`, `backbone`: the head alone learns, or `gradual`: one stage more at a time, the last first.
        steps: Steps over which `gradual` frees the whole backbone.
    """

    def __init__(self, network: PatchNetwork, kind: Literal["none", "backbone", "gradual"], steps: int) -> None:
        self._stages, self._kind, self._steps = network.stages(), kind, max(1, steps)

    def at(self, step: int) -> None:
        """Freeze and free what a step needs."""
        if self._kind == "none":
            return
        held = self._held(step)
        for number, stage in enumerate(self._stages):
            _set_frozen(stage, frozen=number < held)

    def _held(self, step: int) -> int:
        """Stages that are frozen at a step, counted from the input."""
        if self._kind == "backbone":
            return len(self._stages)
        return max(0, len(self._stages) - len(self._stages) * step // self._steps)


def _set_frozen(stage: nn.Module, *, frozen: bool) -> None:
    stage.requires_grad_(requires_grad=not frozen)
    if frozen:
        stage.eval()
