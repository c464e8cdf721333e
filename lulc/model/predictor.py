"""Predictor: raw pixels in, class probabilities out, on one device."""

import ctypes
import logging
import sys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.bands import Radiometry
from lulc.errors import LimitError
from lulc.model.bundle import Bundle
from lulc.model.channels import network_channels
from lulc.model.device import Placement, usable_cores
from lulc.model.fold import fold_batch_norm

_log = logging.getLogger(__name__)

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


class Predictor:
    """A bundle on a device.

    Indices and normalisation run on the device, from the raw digital numbers. The network runs in `dtype`; logits,
    temperature and softmax are float32.

    Args:
        bundle: Card and network; the network is taken over and changed (folded, converted).
        radiometry: How the scene's digital numbers become reflectance.
        names: Names of the raw planes that will be given, in order; `FeatureSpec.required` of the scene.
        placement: Device and precision.
        batch: Windows per forward pass; halved when the device runs out of memory.
        threads: CPU threads of the network; None for the cores that this process may use.
    """

    def __init__(
        self,
        bundle: Bundle,
        radiometry: Radiometry,
        names: Sequence[str],
        placement: Placement,
        batch: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.card = bundle.card
        self.device, self.dtype = placement.device, placement.dtype
        self.batch = batch or (4 if self.device.type == "cuda" else 1)
        self._radiometry = radiometry
        self._names = tuple(names)
        threads = threads or usable_cores()
        self.workers = workers_on(placement, threads)
        if self.device.type == "cpu":
            torch.set_num_threads(max(1, threads // self.workers))
            keep_freed_memory()
        network = bundle.network
        fold_batch_norm(network, len(self.card.features.channels))
        self._network = network.to(self.device, self.dtype).to(memory_format=torch.channels_last)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return len(self.card.classes)

    def predict(self, raw_nchw: NDArray[np.generic], valid_nyx: NDArray[np.bool_]) -> Tensor:
        """Probabilities of windows of one size.

        Args:
            raw_nchw: Raw digital numbers (n, len(names), height, width), any real dtype; sides are multiples of the
                network's stride.
            valid_nyx: bool (n, height, width). Invalid pixels reach the network as the training mean.

        Returns:
            float32 (n, K, height, width) on the device, summing to 1 over K.

        Raises:
            LimitError: Out of memory even for a single window.
        """
        parts: list[Tensor] = []
        start = 0
        while start < len(raw_nchw):
            stop = start + self.batch
            try:
                parts.append(self._forward(raw_nchw[start:stop], valid_nyx[start:stop]))
                start = stop
            except torch.OutOfMemoryError as error:
                self._halve_batch(error)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _forward(self, raw_nchw: NDArray[np.generic], valid_nyx: NDArray[np.bool_]) -> Tensor:
        with torch.inference_mode():
            valid = torch.from_numpy(valid_nyx).to(self.device, non_blocking=True)
            features = self.features(torch.from_numpy(raw_nchw).to(self.device, non_blocking=True), valid)
            logits = self._network(features)
            # One conversion to float32 in plain layout: softmax over a strided axis is several times slower.
            logits = logits.to(torch.float32, memory_format=torch.contiguous_format)
            return torch.softmax(logits.div_(self.card.temperature), dim=1)

    def features(self, raw_nchw: Tensor, valid_nyx: Tensor) -> Tensor:
        """Normalised channels of the network: `dtype`, channels last, 0 where not valid."""
        planes = {name: raw_nchw[:, position] for position, name in enumerate(self._names)}
        return network_channels(self.card.features, planes, self._radiometry, valid_nyx, dtype=self.dtype)

    def _halve_batch(self, error: torch.OutOfMemoryError) -> None:
        if self.batch == 1:
            raise LimitError("the device has not enough memory for one window", "use a smaller --window") from error
        self.batch //= 2
        torch.cuda.empty_cache()
        _log.warning("out of device memory: going on with %d windows at a time", self.batch)


def workers_on(placement: Placement, threads: int | None = None) -> int:
    """Windows inferred at the same time, with so many CPU threads (None: the cores that this process may use).

    Two in bfloat16 on a CPU: the network is then so fast that a core would otherwise idle while the other reads or writes
    (measured: 6.7 s against 4.1 s). In float32 one window keeps all cores busy, and two only take more memory.
    """
    fast = placement.device.type == "cpu" and placement.dtype != torch.float32
    return min(2, threads or usable_cores()) if fast else 1


def keep_freed_memory() -> None:
    """Let glibc keep what it frees: each window then reuses the pages of the one before.

    Otherwise every layer's output is mapped and unmapped anew, and page faults cost as much as the network
    (measured: 0.92 against 0.49 CPU seconds per megapixel in float32).
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
