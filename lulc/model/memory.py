"""How much memory one forward pass takes, found by running it without data."""

import weakref
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lulc.grid import Shape


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors alive at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
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
    """Largest number of bytes that the tensors of one forward pass take at once.

    Args:
        network: Any device; it is copied without its data.
        channels: Channels of the input.
        window: Size of the input, a multiple of the network's stride.
        dtype: Precision of the pass.
    """
    hollow = deepcopy(network).to(device="meta", dtype=dtype)
    image = torch.empty(1, channels, window.height, window.width, device="meta", dtype=dtype)
    with torch.inference_mode(), _LiveBytes() as live:
        hollow(image)
    peak: int = live.peak + image.nbytes
    return peak
