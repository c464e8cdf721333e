"""Fold batch norm into the preceding convolution: equal outputs from half the layers."""

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
    producers, consumers = _trace(network, in_channels)
    names = {module: name for name, module in network.named_modules()}
    folded = 0
    for tensor_id, convolution in producers.items():
        readers = consumers.get(tensor_id, [])
        norm = readers[0] if len(readers) == 1 else None
        if isinstance(norm, nn.BatchNorm2d) and norm.num_features == convolution.out_channels:
            _replace(network, names[convolution], fuse_conv_bn_eval(convolution, norm))
            _replace(network, names[norm], _activation_of(norm))
            folded += 1
    return folded


def _activation_of(norm: nn.Module) -> nn.Module:
    """Operations of a batch norm layer besides normalising: timm's `BatchNormAct2d` drops and activates."""
    parts = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
    return nn.Sequential(*parts) if parts else nn.Identity()


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def _trace(network: nn.Module, in_channels: int) -> tuple[dict[int, nn.Conv2d], dict[int, list[nn.Module]]]:
    """Leaf layers that produce and that consume each tensor, by the tensor's identity."""
    producers: dict[int, nn.Conv2d] = {}
    consumers: dict[int, list[nn.Module]] = {}
    alive: list[Tensor] = []  # an identity stays unique only while its tensor lives

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        for tensor in inputs:
            if isinstance(tensor, Tensor):
                consumers.setdefault(id(tensor), []).append(module)
        if isinstance(module, nn.Conv2d):
            producers[id(output)] = module
        alive.extend([output, *(tensor for tensor in inputs if isinstance(tensor, Tensor))])

    layers = (nn.Conv2d, nn.BatchNorm2d)
    watched = [module for module in network.modules() if isinstance(module, layers) or not [*module.children()]]
    handles = [module.register_forward_hook(record) for module in watched]
    with torch.inference_mode():
        network(torch.zeros(1, in_channels, PROBE, PROBE))
    for handle in handles:
        handle.remove()
    return producers, consumers
