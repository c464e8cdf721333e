"""The process group of a run: rank, size, device, and sums over all its processes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lulc.errors import Interrupted, UsageError, raised_as
from lulc.model.device import choose_device
from lulc.run import Run


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """The processes of a run, as torchrun starts them.

    Attributes:
        device: Device of this process.
        rank: Number of this process; 0 writes.
        size: Number of processes.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True in the one process that writes."""
        return self.rank == 0

    def assigned(self, count: int) -> range:
        """Which of `count` items this process takes."""
        return range(self.rank, count, self.size)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:  # noqa: FBT001 - one flag is the point
        """True in every process when it is true in one."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device))) if self.size > 1 else flag

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over all processes."""
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)


@contextmanager
def process_group(device: str) -> Iterator[ProcessGroup]:
    """The group this process belongs to: itself alone, or what torchrun's environment says.

    Raises:
        UsageError: No such device.
    """
    size, rank, local = _places()
    if size == 1:
        yield ProcessGroup(choose_device(device))
        return
    if not dist.is_available():
        raise UsageError("this build of torch cannot run several processes", "start lulc without torchrun")
    on_gpu = torch.cuda.is_available() and device in {"auto", "cuda"}
    place = torch.device("cuda", local) if on_gpu else choose_device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(place, rank, size)
    finally:
        dist.destroy_process_group()


def _places() -> tuple[int, int, int]:
    """Number of processes, number of this one, and its number on this machine, from torchrun's environment.

    Raises:
        UsageError: The environment does not make sense.
    """
    texts = {name: os.environ.get(name, default) for name, default in _ALONE.items()}
    with raised_as(UsageError, f"the environment says {texts}", "unset these, or start with torchrun", ValueError):
        size, rank, local = (int(text) for text in texts.values())
        if not 0 <= rank < size or (size > 1 and "MASTER_ADDR" not in os.environ):
            raise ValueError("it is not torchrun's")
    return size, rank, local


_ALONE = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}


def stop_together(group: ProcessGroup, run: Run) -> Callable[[], None]:
    """Stops all processes at the same step when one of them has got a signal: none waits for the others for ever."""

    def check() -> None:
        if group.any(run.signal is not None):
            by = run.signal.name if run.signal is not None else "a signal to another process"
            raise Interrupted(f"stopped by {by}", "run the same command again with --resume to continue")

    return check
