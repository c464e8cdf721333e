"""A lane to a device: windows of pixels go up, finished bands come down.

Each lane belongs to one thread. The lanes of a GPU have a stream each, so that one copies while another computes; their
copies go through pinned memory, without which they would not overlap.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.io.scene.source import Raster
from lulc.model.predictor import Predictor
from lulc.tiling import row_slabs


class Lane:
    """The way of the CPU: nothing is copied, and what the network gives is worked on in slabs that stay in the cache.

    Args:
        predictor: The network on its device; several lanes may share it.

    Attributes:
        predictor: As given.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Everything done in the block is done in this lane."""
        yield

    def up(self, windows: Sequence[Raster]) -> tuple[Tensor, Tensor]:
        """Windows of one size on the device.

        Args:
            windows: Raw planes (bands, height, width) and valid mask of each.

        Returns:
            Raw planes (n, bands, height, width) of the same dtype, and bool (n, height, width).
        """
        data, valid = zip(*windows, strict=True)
        return torch.from_numpy(_joined(data)), torch.from_numpy(_joined(valid))

    def down(self, *tensors: Tensor) -> list[NDArray[Any]]:
        """Tensors as arrays on the host; they are the caller's until the next call."""
        return [tensor.numpy() for tensor in tensors]

    def slabs(self, height: int, width: int) -> Iterator[slice]:
        """The rows that are finished at once."""
        return row_slabs(height, width)


class DeviceLane(Lane):
    """The way of a GPU. On a CPU it does the same without streams and pinned memory, so that tests can take it.

    Args:
        predictor: The network on its device; several lanes may share it.
        own_stream: False leaves everything in the device's default stream, for results that others work on there.
    """

    def __init__(self, predictor: Predictor, *, own_stream: bool = True) -> None:
        super().__init__(predictor)
        self._cuda = predictor.device.type == "cuda"
        self._stream = torch.cuda.Stream(predictor.device) if self._cuda and own_stream else None  # type: ignore[no-untyped-call]
        self._raised = torch.cuda.Event() if self._cuda else None  # type: ignore[no-untyped-call]
        self._buffers: dict[str, Tensor] = {}

    @contextmanager
    def entered(self) -> Iterator[None]:
        """As `Lane`: its stream is the current one."""
        with torch.cuda.stream(self._stream):  # no stream: nothing changes
            yield

    def up(self, windows: Sequence[Raster]) -> tuple[Tensor, Tensor]:
        """As `Lane`; the copies may still be on their way."""
        if self._raised is not None:
            self._raised.synchronize()  # the buffers may still be on their way
        data, valid = (
            self._sent(name, parts) for name, parts in zip(("data", "valid"), zip(*windows, strict=True), strict=True)
        )
        if self._raised is not None:
            self._raised.record(torch.cuda.current_stream(self.predictor.device))
        return data, valid

    def down(self, *tensors: Tensor) -> list[NDArray[Any]]:
        """As `Lane`; waits for everything in its stream, once."""
        with torch.inference_mode():
            buffers = [self._buffer(f"down {number}", one.shape, one.dtype) for number, one in enumerate(tensors)]
            for buffer, tensor in zip(buffers, tensors, strict=True):
                buffer.copy_(tensor, non_blocking=self._cuda)
        if self._cuda:
            torch.cuda.current_stream(self.predictor.device).synchronize()
        return [buffer.numpy() for buffer in buffers]

    def slabs(self, height: int, width: int) -> Iterator[slice]:
        """As `Lane`: all at once."""
        del width
        return iter([slice(0, height)])

    def _sent(self, name: str, parts: Sequence[NDArray[Any]]) -> Tensor:
        buffer = self._buffer(name, (len(parts), *parts[0].shape), torch.from_numpy(parts[0]).dtype)
        np.stack(parts, out=buffer.numpy())
        return buffer.to(self.predictor.device, non_blocking=self._cuda)

    def _buffer(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of the host under a name, of this shape; it is used again and grows when it must."""
        size = int(np.prod(shape)) * dtype.itemsize
        held = self._buffers.get(name)
        if held is None or len(held) < size:
            held = self._buffers[name] = torch.empty(size, dtype=torch.uint8, pin_memory=self._cuda)
        return held[:size].view(dtype).view(tuple(shape))


def lanes_to(predictors: Sequence[Predictor], *, overlap: bool) -> list[Lane]:
    """The lanes of some devices, in turns over the devices.

    Args:
        predictors: The network, once on each device.
        overlap: False where results of several windows are joined on the first device: a GPU then has one lane.
    """
    first = predictors[0]
    if first.device.type == "cpu":
        return [Lane(first) for _ in range(first.workers)]
    if not overlap:
        return [DeviceLane(first, own_stream=False)]
    return [DeviceLane(predictor) for _ in range(first.workers) for predictor in predictors]


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays along a new first axis; a single one is not copied."""
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]
