"""Memory of one forward pass, measured by running it on a small window."""

import weakref
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from lulc.grid import Shape
from lulc.model.fold import fold_batch_norm

_PROBED = 256
"""Largest side of the window that is run, pixels; a multiple of any network's stride."""

_HELD = {torch.float32: 2.7}
_HELD_BY_HALVES = 2.2
"""Bytes held for each byte in use, from peaks of whole runs with the shipped model: 2.5 to 3.0, in bfloat16 1.5 to 2.2."""


class _LiveBytes(TorchFunctionMode):
    """Counts the bytes of all tensors alive at once.

    It sees what functions of torch give back, not what they hold within. A dispatch mode would see that too; the peaks of
    our networks are then 2 % lower at most, and it loads torch's compiler, which takes a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        del types
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001 - the only identity that a storage without data has
        if key in self._known:
            return
        self._known.add(key)
        size = storage.nbytes()
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(tensor, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def forward_bytes(network: nn.Module, channels: int, window: Shape, dtype: torch.dtype) -> int:
    """Peak memory of the tensors of one forward pass, bytes.

    A small window is run, and its memory taken times the area: what a fully convolutional network holds grows with it.

    Args:
        network: Network on the CPU, in float32; it stays as it is.
        channels: Number of input channels.
        window: Rows and columns of the input, multiples of the network's stride.
        dtype: Dtype of the pass.
    """
    sides = [min(side, _PROBED) for side in (window.height, window.width)]
    image = torch.zeros(1, channels, *sides)
    folded = deepcopy(network)  # as it will run: a batch norm of its own would hold two tensors at once
    fold_batch_norm(folded, channels)
    with torch.inference_mode(), _LiveBytes() as live:
        folded(image)
    peak: int = live.peak + image.nbytes
    return round(peak * window.size / (sides[0] * sides[1]) * dtype.itemsize / image.itemsize)


def held_bytes(network: nn.Module, channels: int, window: Shape, dtype: torch.dtype) -> int:
    """Memory that a process holds for forward passes, bytes: of `forward_bytes`, and what glibc cannot use again at once.

    A freed block is too small for the next aligned request of its own size, so its heap grows beyond what is in use.
    """
    return round(_HELD.get(dtype, _HELD_BY_HALVES) * forward_bytes(network, channels, window, dtype))
