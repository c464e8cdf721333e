"""Memory of one forward pass, measured by running it on tensors without data."""

import weakref
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lulc.grid import Shape


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors alive at once."""

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
    """Peak memory of the tensors of one forward pass, bytes.

    Args:
        network: Network on any device; it is copied without its data.
        channels: Number of input channels.
        window: Rows and columns of the input, multiples of the network's stride.
        dtype: Dtype of the pass.
    """
    hollow = deepcopy(network).to(device="meta", dtype=dtype)
    image = torch.empty(1, channels, window.height, window.width, device="meta", dtype=dtype)
    with torch.inference_mode(), _LiveBytes() as live:
        hollow(image)
    peak: int = live.peak + image.nbytes
    return peak
