"""Join layers of a trained network: batch norm into the convolution before it, activations into its last step."""

from collections import Counter
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lulc.model.build import PROBE


def fold_batch_norm(network: nn.Module, in_channels: int) -> int:
    """Fold every batch norm that directly follows one convolution, in place.

    One forward pass shows which convolution feeds which batch norm, so any network can be folded. A convolution whose
    output is used elsewhere too is left unchanged.

    Args:
        network: Network in evaluation mode, float32.
        in_channels: Number of its input channels.

    Returns:
        Number of layers folded.
    """
    names = {module: name for name, module in network.named_modules()}
    folded = 0
    for convolution, readers in _read_by(network, in_channels)[0]:
        norm = readers[0] if len(readers) == 1 else None
        if isinstance(norm, nn.BatchNorm2d) and norm.num_features == convolution.out_channels:
            _replace(network, names[convolution], fuse_conv_bn_eval(convolution, norm))
            _replace(network, names[norm], _activation_of(norm))
            folded += 1
    return folded


class ActivatedConv2d(nn.Conv2d):
    """A convolution whose output is clamped to a range as it is written, on a CPU: one pass over memory instead of two.

    Takes over the weights of a convolution, and answers as it and the activation behind it do, but for rounding.

    Args:
        convolution: Zero-padded.
        most: Upper bound of the range that begins at 0.
    """

    def __init__(self, convolution: nn.Conv2d, most: float) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(convolution.__dict__)
        self._range = [0.0, most]

    def forward(self, image: Tensor) -> Tensor:
        """Activated output."""
        answer: Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001 - what torch.compile makes of the two layers
            image,
            self.weight,
            self.bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            "hardtanh",
            self._range,
            "",
        )
        return answer


def joins_activations(dtype: torch.dtype) -> bool:
    """True where this CPU can compute a convolution and its activation at once: in bfloat16 not every one can."""
    # One of the operations that torch.compile asks before it makes one layer of two.
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(supported()))


def join_activations(network: nn.Module, in_channels: int) -> int:
    """Join every ReLU and ReLU6 with the convolution that it directly follows, in place, where oneDNN is there to do it.

    Args:
        network: Network in evaluation mode, float32, on a CPU, that stays there.
        in_channels: Number of its input channels.

    Returns:
        Number of layers joined.
    """
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return 0
    probe = torch.rand(1, in_channels, PROBE, PROBE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(probe)
    if not expected.isfinite().all():  # oneDNN clamps NaN to 0, and a damaged network would pass for a sound one
        return 0
    names = {module: name for name, module in network.named_modules()}
    replaced: list[nn.Module] = []
    read_by, calls = _read_by(network, in_channels)
    for convolution, readers in read_by:
        activation = _activation_behind(readers)
        if activation is None or calls[activation] > 1:  # one layer that stands in several places
            continue
        if convolution.padding_mode == "zeros" and isinstance(convolution.padding, tuple):
            _replace(network, names[convolution], ActivatedConv2d(convolution, _MOST[type(activation)]))
            _replace(network, names[activation], nn.Identity())
            replaced += [convolution, activation]
    if not _answers(network, probe, expected):  # what is no layer reads before the activation, or oneDNN is not there
        for module in replaced:
            _replace(network, names[module], module)
        return 0
    return len(replaced) // 2


def _answers(network: nn.Module, probe: Tensor, expected: Tensor) -> bool:
    """True when a network gives what is expected, but for rounding."""
    try:
        with torch.inference_mode():
            return torch.allclose(network(probe), expected, atol=1e-4 * float(expected.abs().max()))
    except RuntimeError:
        return False


def _activation_behind(readers: list[nn.Module | None]) -> nn.Module | None:
    """The activation that alone reads a tensor, or that overwrites it before others read it."""
    readers = [reader for reader in readers if not isinstance(reader, nn.Identity)]
    first = readers[0] if readers else None
    if type(first) not in _MOST or not (len(readers) == 1 or getattr(first, "inplace", False)):
        return None
    return first


_MOST = {nn.ReLU: inf, nn.ReLU6: 6.0}
"""Upper bounds of activations that clamp."""


def _activation_of(norm: nn.Module) -> nn.Module:
    """Operations of a batch norm layer besides normalising: timm's `BatchNormAct2d` drops and activates."""
    parts = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
    return nn.Sequential(*parts) if parts else nn.Identity()


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def _read_by(
    network: nn.Module, in_channels: int
) -> tuple[list[tuple[nn.Conv2d, list[nn.Module | None]]], Counter[nn.Module]]:
    """Every convolution, and the layers that read its output, in their order; None for one that reads it after a change in place.

    Also how often each layer is called.
    """
    outputs: dict[int, tuple[nn.Conv2d, int]] = {}
    readers: dict[int, list[nn.Module | None]] = {}
    calls: Counter[nn.Module] = Counter()
    alive: list[Tensor] = []  # an identity stays unique only while its tensor lives

    def read(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls[module] += 1
        for tensor in inputs:
            if isinstance(tensor, Tensor) and id(tensor) in outputs:
                changed = tensor._version != outputs[id(tensor)][1]  # noqa: SLF001 - how autograd itself sees such changes
                readers[id(tensor)].append(None if changed else module)

    def wrote(module: nn.Module, _: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            outputs[id(output)], readers[id(output)] = (module, output._version), []  # noqa: SLF001
            alive.append(output)

    layers = (nn.Conv2d, nn.BatchNorm2d)
    watched = [module for module in network.modules() if isinstance(module, layers) or not [*module.children()]]
    handles = [module.register_forward_pre_hook(read) for module in watched]
    handles += [module.register_forward_hook(wrote) for module in watched]
    with torch.inference_mode(mode=False), torch.no_grad():  # tensors of inference mode do not count their changes
        network(torch.zeros(1, in_channels, PROBE, PROBE))
    for handle in handles:
        handle.remove()
    return [(convolution, readers[tensor]) for tensor, (convolution, _) in outputs.items()], calls
