"""The receptive field of a network, measured on the network itself."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from lulc.tiling import round_up

_LONGEST = 4096
_THINNEST = 32  # some encoders refuse thinner images
_NOTICEABLE = 1e-5
_BRIGHT = 1e9  # averages shrink it by 3 a layer; float32 holds it for over 90 layers


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Receptive field and stride of a network.

    Attributes:
        half_field: Largest distance at which an input pixel can influence an output pixel, pixels.
        stride: Total stride of the network, pixels.
        bounded: False when the output depends on the whole window (global pooling, squeeze-and-excite, instance or
            group norm, attention). No halo makes such windows agree.
    """

    half_field: int
    stride: int
    bounded: bool

    @property
    def halo(self) -> int:
        """Half field rounded up to the stride, pixels: with this margin the stitched map equals the untiled one."""
        return round_up(self.half_field, self.stride)


def measure_receptive_field(network: nn.Module, in_channels: int, stride: int) -> ReceptiveField:
    """Measure the receptive field of a network with impulses.

    All weights of a copy become positive averages, all biases 0, normalisations the identity. Then nothing cancels, and
    an impulse reaches exactly the outputs it is connected to. Impulses at each phase of the stride pass through long
    thin images, along rows and along columns. A last test checks on the network itself that no pixel beyond that
    distance influences its output.

    Args:
        network: Network in evaluation mode, on the CPU.
        in_channels: Number of its input channels.
        stride: Its total stride, pixels.
    """
    connected = _connectivity(network)
    length = 24 * stride
    while length <= _LONGEST:
        try:
            distances = [_widest(connected, in_channels, stride, length, along) for along in (2, 3)]
        except RuntimeError:  # it pools so far that it takes no thin image
            break
        if None not in distances:
            half_field = max(distance for distance in distances if distance is not None)
            bounded = not _feels_beyond(network, in_channels, stride, half_field)
            return ReceptiveField(half_field, stride, bounded)
        length *= 2
    return ReceptiveField(half_field=_LONGEST, stride=stride, bounded=False)


def _feels_beyond(network: nn.Module, channels: int, stride: int, half_field: int) -> bool:
    """True when pixels farther away than the half field influence the output, as with global pooling."""
    far = round_up(half_field + 1, stride)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, channels, max(stride, _THINNEST), far + 4 * stride, generator=generator)
    changed = image.clone()
    changed[..., -stride:] += 1000.0
    with torch.inference_mode():
        before, after = network(image), network(changed)
    untouched = slice(0, 3 * stride)  # at least `far` pixels from the change
    difference = (before - after)[..., untouched].abs().max()
    return bool(difference > _NOTICEABLE * before.abs().max())


def _connectivity(network: nn.Module) -> nn.Module:
    copy = deepcopy(network).float().eval()
    for layer in copy.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.constant_(layer.weight, 1.0 / layer.weight[0].numel())
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    return copy


def _widest(connected: nn.Module, channels: int, stride: int, length: int, along: int) -> int | None:
    """Largest distance at which an impulse is felt along one axis; None when it may lie beyond the image."""
    thickness = max(stride, _THINNEST)
    size = [stride, channels, thickness, thickness]
    size[along] = length
    image = torch.zeros(size)
    middle = length // 2 // stride * stride
    for phase in range(stride):
        image[phase].select(along - 1, middle + phase).fill_(_BRIGHT)
    with torch.inference_mode():
        answer = connected(image)
    felt = (answer != 0).any(dim=1).any(dim=4 - along)
    if bool(felt[:, 0].any() | felt[:, -1].any()):
        return None
    phases, positions = torch.nonzero(felt, as_tuple=True)
    return int((positions - phases - middle).abs().max())
