"""A model on a device, as scenes and patches run it: precision, memory layout, back-off when memory is short, softmax."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from lulc.errors import LimitError
from lulc.model.bundle import BundleCard
from lulc.model.device import Placement, keep_float32
from lulc.model.fold import fold_batch_norm, join_activations, joins_activations

_log = logging.getLogger(__name__)

AnyCard_co = TypeVar("AnyCard_co", bound=BundleCard, covariant=True)
Network_co = TypeVar("Network_co", bound=nn.Module, covariant=True)


class ModelOnDevice(Generic[AnyCard_co, Network_co]):
    """A copy of a model's network on a device.

    Args:
        card: What the model says of itself.
        network: In evaluation mode; stays as it is.
        placement: Device and precision.
        batch: Inputs per forward pass; halved when the device runs out of memory.
        autocast: Leave weights and inputs in float32, and let torch choose where the precision is used; else the
            network is folded and converted as a whole.

    Attributes:
        card: What the model says of itself.
        network: The copy.
        device: Where it is.
        dtype: Its precision.
        batch: Inputs per forward pass.
    """

    input_names: ClassVar = ("input", "inputs")
    """What one and several inputs are called in messages."""

    remedy: ClassVar = "use --device cpu"
    """What helps when one input is too large."""

    def __init__(
        self, card: AnyCard_co, network: Network_co, placement: Placement, batch: int, *, autocast: bool = False
    ) -> None:
        self.card, self.device, self.dtype, self.batch = card, placement.device, placement.dtype, batch
        self._autocast = autocast and self.dtype != torch.float32
        if self.device.type == "cuda" and self.dtype == torch.float32:
            keep_float32()
        self.network: Network_co = deepcopy(network)
        if not autocast:
            fold_batch_norm(self.network, len(card.features.channels))
            if self.device.type == "cpu" and joins_activations(self.dtype):
                join_activations(self.network, len(card.features.channels))
            self.network.to(self.dtype)
        self.network.to(self.device).to(memory_format=torch.channels_last)

    def logits(self, inputs: Tensor, margin: int = 0) -> Tensor:
        """Output of the network (n, K, ...) in its precision and memory layout, without a margin if it can leave one out."""
        with torch.inference_mode(), torch.autocast(self.device.type, self.dtype) if self._autocast else nullcontext():
            logits: Tensor = self.network(inputs, margin) if margin else self.network(inputs)
            return logits

    def calibrated(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities of logits (n, K, ...): float32, plain layout, summing to 1 over K."""
        # One conversion to float32 in plain layout: softmax over a strided axis is several times slower.
        copied = torch.empty(logits.shape, device=logits.device).copy_(logits)
        return torch.softmax(copied.div_(self.card.temperature), dim=1)

    def softmax(self, count: int, inputs: Callable[[slice], Tensor]) -> Tensor:
        """Calibrated probabilities of `count` inputs: float32 (count, K, ...) on the device, summing to 1 over K.

        Args:
            count: How many there are.
            inputs: Some of them, as the network takes them.

        Raises:
            LimitError: Out of memory even for one input.
        """
        return self.in_batches(count, lambda part: self.calibrated(self.logits(inputs(part))))

    def in_batches(self, count: int, answer: Callable[[slice], Tensor]) -> Tensor:
        """What `answer` says of `count` inputs, so many at a time as the device has memory for: (count, ...).

        Args:
            count: How many there are.
            answer: Of some of them.

        Raises:
            LimitError: Out of memory even for one input.
        """
        parts: list[Tensor] = []
        start = 0
        while start < count:
            stop = start + self.batch
            try:
                with torch.inference_mode():
                    parts.append(answer(slice(start, stop)))
                start = stop
            except torch.OutOfMemoryError as error:
                self._halve_batch(error)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _halve_batch(self, error: torch.OutOfMemoryError) -> None:
        if self.batch == 1:
            raise LimitError(f"the device has not enough memory for one {self.input_names[0]}", self.remedy) from error
        self.batch //= 2
        torch.cuda.empty_cache()
        _log.warning("out of device memory: going on with %d %s at a time", self.batch, self.input_names[1])
