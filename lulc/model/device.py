"""Device and floating-point precision of the network."""

from dataclasses import dataclass
from pathlib import Path

import torch

from lulc.errors import UsageError, raised_as
from lulc.in_order import usable_cores as usable_cores  # noqa: PLC0414 - for those who choose device and threads
from lulc.options import Precision

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BF16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
_BF16_COMPUTE_CAPABILITY = (8, 0)


@dataclass(frozen=True, slots=True)
class Placement:
    """Device and dtype of the network."""

    device: torch.device
    dtype: torch.dtype

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return next(name for name, known in _DTYPES.items() if known == self.dtype)


def choose_placement(device: str = "auto", precision: Precision = "auto") -> Placement:
    """Device and precision by name.

    Raises:
        UsageError: There is no such device, or it does not support the precision.
    """
    chosen = choose_device(device)
    return Placement(chosen, choose_precision(precision, chosen))


def placement_elsewhere(device: str, precision: Precision) -> Placement:
    """Device and precision on another machine. `auto` and the supported precision are taken from this one.

    Raises:
        UsageError: There is no such kind of device, or the precision is `auto` on a GPU and this machine has none.
    """
    if device == "auto":
        return choose_placement(device, precision)
    with raised_as(UsageError, f"there is no kind of device {device!r}", "use --device cpu or cuda", RuntimeError):
        chosen = torch.device(device)
    if precision == "auto" and chosen.type != "cpu" and not torch.cuda.is_available():
        raise UsageError(f"{device} is not here and cannot be asked for its precision", "use --precision bf16 or fp32")
    return Placement(chosen, choose_precision(precision, chosen))


def choose_device(name: str = "auto") -> torch.device:
    """Device by name; `auto` takes a GPU when there is one.

    Raises:
        UsageError: This machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with raised_as(UsageError, f"device {name!r} cannot be used", "use --device cpu", RuntimeError, AssertionError):
        device = torch.device(name)
        torch.empty(1, device=device)
    return device


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """Dtype of the network; `auto` is bfloat16 where the hardware supports it, else float32.

    Raises:
        UsageError: fp16 is requested on a CPU.
    """
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise UsageError("fp16 needs a GPU", "use --precision bf16 or fp32")
    return _DTYPES[name]


def has_bfloat16(device: torch.device) -> bool:
    """True when the device multiplies bfloat16 in hardware (GPU: compute capability 8; CPU: AMX, AVX512-BF16, Arm)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _BF16_COMPUTE_CAPABILITY
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return bool(_BF16_FLAGS & set(flags.split()))
