"""Device and floating-point precision of the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lulc.errors import UsageError, raised_as
from lulc.options import Precision

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BF16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
_BF16_COMPUTE_CAPABILITY = (8, 0)


_ALL = "all"
_KINDS = ("cpu", "cuda", "mps")
"""Of torch's kinds, those that compute: `meta`, for one, holds no numbers."""

MOST_WINDOWS = 4
"""Most windows of one forward pass on a GPU, where none are asked for."""

_USED_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Placement:
    """Devices and dtype of the network.

    Attributes:
        device: The first device.
        dtype: Precision of the network on each.
        others: Further devices of the same model, which share the work.
    """

    device: torch.device
    dtype: torch.dtype
    others: tuple[torch.device, ...] = ()

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return next(name for name, known in _DTYPES.items() if known == self.dtype)

    @property
    def name(self) -> str:
        """Its devices as `--device` takes them, such as `cuda:0,1`."""
        return ",".join([str(self.device), *(str(other.index) for other in self.others)])

    def each(self) -> list["Placement"]:
        """One placement for each device."""
        return [Placement(device, self.dtype) for device in (self.device, *self.others)]


def choose_placement(device: str = "auto", precision: Precision = "auto") -> Placement:
    """Devices and precision by name.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:1`, several GPUs as in `cuda:0,1`, or `all` GPUs.
        precision: By name.

    Raises:
        UsageError: There is no such device, it does not support the precision, or GPUs are of different models.
    """
    first, *others = choose_devices(device)
    return Placement(first, choose_precision(precision, first), tuple(others))


def placement_elsewhere(device: str, precision: Precision) -> Placement:
    """Device and precision on another machine. `auto` and the supported precision are taken from this one.

    Raises:
        UsageError: There is no such kind of device, it names several, or the precision is `auto` on a GPU and this machine
            has none.
    """
    if device == "auto":
        return choose_placement(device, precision)
    if device == _ALL or "," in device:
        raise UsageError(f"a job takes one device, not {device}", "use --device cuda, and a job for each GPU")
    chosen = _device(device)
    if precision == "auto" and chosen.type != "cpu" and not torch.cuda.is_available():
        raise UsageError(f"{device} is not here and cannot be asked for its precision", "use --precision bf16 or fp32")
    return Placement(chosen, choose_precision(precision, chosen))


def choose_device(name: str = "auto") -> torch.device:
    """One device by name; `auto` takes a GPU when there is one.

    Raises:
        UsageError: This machine has no such device, or several are named.
    """
    first, *others = choose_devices(name)
    if others:
        raise UsageError(f"this takes one device, not {name}", "name one, such as --device cuda:0")
    return first


def choose_devices(name: str = "auto") -> list[torch.device]:
    """Devices by name, as `choose_placement`; `auto` takes a GPU when there is one.

    Raises:
        UsageError: This machine has no such device, one is named twice, or they are of different models.
    """
    if name == "auto":
        return [torch.device("cuda" if torch.cuda.is_available() else "cpu")]
    if name == _ALL:
        devices = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
        if not devices:
            raise UsageError("this machine has no GPU that torch can use", "use --device cpu")
    else:
        first, *more = name.split(",")
        kind = first.partition(":")[0]
        devices = [_device(one) for one in (first, *(f"{kind}:{one}" if one.isdigit() else one for one in more))]
    if len({*devices}) < len(devices):
        raise UsageError(f"a device is named twice: {name}", "name each once")
    for device in devices:
        with raised_as(UsageError, f"device {device} cannot be used", "use --device cpu", RuntimeError, AssertionError):
            torch.empty(1, device=device)
    _check_alike(devices)
    return devices


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:  # it lists all kinds that torch was ever built for
        device = None
    if device is None or device.type not in _KINDS:
        raise UsageError(f"there is no device {name!r}", "use --device cpu, cuda, cuda:1, cuda:0,1 or all")
    return device


def _check_alike(devices: Sequence[torch.device]) -> None:
    """Refuse devices that would give other bytes than the first."""
    if len(devices) > 1 and devices[0].type != "cuda":
        raise UsageError("only GPUs can share the work", "use --threads for more of the CPU")
    models = {torch.cuda.get_device_name(device) for device in devices[1:] and devices}
    if len(models) > 1:
        raise UsageError(f"these GPUs would give different maps: {', '.join(sorted(models))}", "name GPUs of one model")


def affordable_batch(device: torch.device, window_bytes: int, lanes: int) -> int:
    """Windows per forward pass: one on a CPU, on a GPU as many as fit into its free memory, at most 4.

    Args:
        device: Where the network runs.
        window_bytes: Memory that one window takes there, bytes.
        lanes: Passes at the same time.
    """
    if device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(MOST_WINDOWS, int(_USED_SHARE * free) // (lanes * window_bytes)))


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


def keep_float32() -> None:
    """Let a GPU's convolutions compute in float32, in all of this process: cuDNN's default rounds their inputs to 10 bits (TF32)."""
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # made when it is asked for


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
