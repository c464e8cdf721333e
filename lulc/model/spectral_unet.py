"""A U-Net of stride 4 with a branch that sees one pixel: a small receptive field, and room for sharp labels."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lulc.io.product.bands import SKY
from lulc.tiling import row_slabs

_STEM, _FIRST, _HALF, _QUARTER = 32, 16, 24, 40
"""Channels of the stages of EfficientNet-Lite0 that the encoder keeps."""

_EXPANSION = 6

REACH = 6
"""Pixels that the decoder and the cloud head look around a pixel at most; the rest of the receptive field is the encoder's."""


class SpectralUnet(nn.Module):
    """A small U-Net beside a per-pixel network; their logits are added.

    The U-Net works at full, half and quarter resolution. A context of few pixels is enough at 10 m, and a small stride
    can keep thin things, where the labels show them. The spectral branch is made of 1 x 1 convolutions: it names what one pixel's reflectance alone
    can tell.

    Args:
        in_channels: Number of input channels.
        classes: Number of output channels K.
        full: Channels at full resolution.
        half: Channels of the decoder at half resolution.
        spectral: Channels of the spectral branch; 0 leaves it out.
        clouds: Channels of the cloud head; 0 leaves it out. It is trained by itself, on a finished network.
    """

    def __init__(
        self, in_channels: int, classes: int, full: int = 16, half: int = 32, spectral: int = 32, clouds: int = 0
    ) -> None:
        super().__init__()
        self.encoder = LiteEncoder(in_channels)
        self.decoder = LiteDecoder(in_channels, full, half)
        self.head = nn.Conv2d(full, classes, 1)
        self.spectral = (
            nn.Sequential(
                convolved(in_channels, spectral, 1), convolved(spectral, spectral, 1), nn.Conv2d(spectral, classes, 1)
            )
            if spectral
            else None
        )
        self.clouds = CloudHead(in_channels, clouds) if clouds else None

    def forward(self, image: Tensor, margin: int = 0) -> Tensor:
        """Logits of an image, or of its inner part.

        Args:
            image: (n, channels, height, width) with sides of multiples of 4.
            margin: Pixels at each side that the encoder alone sees, a multiple of 4.

        Returns:
            (n, K, height - 2 margin, width - 2 margin). With a margin, what is nearer to its edge than `REACH` may differ from
            what the whole image gives.
        """
        return self._logits(*_inner(margin, image, *self.encoder(image)))

    def with_clouds(self, image: Tensor, margin: int = 0) -> Tensor:
        """Logits of the classes, then of `SKY`: (n, K + 3, ...); the first K are those of `forward`."""
        if self.clouds is None:
            raise ValueError("this network has no cloud head")
        image, half, quarter = _inner(margin, image, *self.encoder(image))
        return torch.cat([self._logits(image, half, quarter), self.clouds(image, quarter)], dim=1)

    def _logits(self, image: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        logits: Tensor = self.head(self.decoder(image, half, quarter))
        if self.spectral is None:
            return logits
        if torch.is_grad_enabled() or image.is_cuda:
            whole: Tensor = logits + self.spectral(image)
            return whole
        for rows in row_slabs(*image.shape[2:]):  # its wide layers would be the largest of the network
            logits[:, :, rows] += self.spectral(image[:, :, rows])
        return logits


class WithClouds(nn.Module):
    """A network with a cloud head whose forward pass is `with_clouds`.

    Args:
        network: It stays as it is.
    """

    def __init__(self, network: SpectralUnet) -> None:
        super().__init__()
        self.network = network

    @property
    def output_stride(self) -> int:
        """Total stride, pixels."""
        return self.network.encoder.output_stride

    def forward(self, image: Tensor, margin: int = 0) -> Tensor:
        """Logits of the classes, then of `SKY`: (n, K + 3, ...), as `SpectralUnet.with_clouds`."""
        return self.network.with_clouds(image, margin)


class CloudHead(nn.Module):
    """Tells clouds and their shadows from what the encoder has found, at quarter resolution.

    It looks no further than the encoder, so it needs no wider halo.

    Args:
        in_channels: Channels of the image.
        width: Channels within.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolved(in_channels + _QUARTER, width, 1), convolved(width, width, 1), nn.Conv2d(width, len(SKY), 1)
        )

    def forward(self, image: Tensor, quarter: Tensor) -> Tensor:
        """Logits of `SKY` (n, 3, height, width) from an image and its features at quarter resolution."""
        seen = torch.cat([functional.avg_pool2d(image, 4), quarter], dim=1)
        found: Tensor = self.layers(seen)
        return functional.interpolate(found, scale_factor=4, mode="bilinear", align_corners=False)


class LiteEncoder(nn.Module):
    """The first stages of EfficientNet-Lite0 (Tan and Le 2019; Liu 2020), the last one without its stride.

    Filters that halve the image are 4 x 4, centred between pixels, so that no corner of a pixel is preferred.

    Args:
        in_channels: Number of input channels.
    """

    output_stride = 4

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.stem = convolved(in_channels, _STEM, 4)
        self.first = nn.Sequential(*separable(_STEM, _FIRST, 3))
        self.second = nn.Sequential(InvertedResidual(_FIRST, _HALF, 4), InvertedResidual(_HALF, _HALF, 3))
        self.third = nn.Sequential(InvertedResidual(_HALF, _QUARTER, 5), InvertedResidual(_QUARTER, _QUARTER, 5))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features at half (n, 16, ...) and at quarter resolution (n, 40, ...)."""
        half = self.first(self.stem(image))
        return half, self.third(self.second(half))


class LiteDecoder(nn.Module):
    """From the encoder's features back to full resolution, with what the image itself shows there.

    Args:
        in_channels: Channels of the image.
        full: Channels at full resolution.
        half: Channels at half resolution.
    """

    def __init__(self, in_channels: int, full: int, half: int) -> None:
        super().__init__()
        self.stem = convolved(in_channels, full, 3)
        self.from_quarter = nn.Conv2d(_QUARTER, half, 1)
        self.skip_half = nn.Conv2d(_FIRST, half, 1)
        self.at_half = convolved(half, half, 3)
        self.from_half = nn.Conv2d(half, full, 1)
        self.at_full = convolved(full, full, 3)

    def forward(self, image: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        """Features at full resolution (n, full, height, width) of an image and its features at half and quarter."""
        # No tensor at full resolution has a name here: each would live until the end, and they decide the peak of memory.
        found: Tensor = self.at_full(added(doubled(self.from_half(self._at_half(half, quarter))), self.stem(image)))
        return found

    def _at_half(self, half: Tensor, quarter: Tensor) -> Tensor:
        found: Tensor = self.at_half(functional.relu(added(self.skip_half(half), doubled(self.from_quarter(quarter)))))
        return found


class InvertedResidual(nn.Module):
    """Widen by 1 x 1, filter each channel, narrow by 1 x 1; added to the input where shapes are equal.

    Args:
        given: Channels of the input.
        wanted: Channels of the output.
        side: Of the filters; 4 halves the image.
    """

    def __init__(self, given: int, wanted: int, side: int) -> None:
        super().__init__()
        wide = given * _EXPANSION
        self.layers = nn.Sequential(*convolved(given, wide, 1), *separable(wide, wanted, side))
        self._added = given == wanted

    def forward(self, image: Tensor) -> Tensor:
        """Features of the input's size, or half of it."""
        found: Tensor = self.layers(image)
        return added(found, image) if self._added else found


class DepthwiseConv2d(nn.Conv2d):
    """One filter for each channel. On a CPU it is trained in float32: its gradient takes two to six times as long in bfloat16.

    Args:
        width: Channels.
        side: Of the filters; 4 halves the image.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__(width, width, side, stride_of(side), padding=(side - 1) // 2, groups=width, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Filtered image."""
        if not self.training or image.device.type != "cpu":
            return super().forward(image)
        with torch.autocast("cpu", enabled=False):
            return super().forward(image.float())


def _inner(margin: int, image: Tensor, half: Tensor, quarter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """An image and its features at half and quarter resolution without a margin, in pixels of the image."""
    if not margin:
        return image, half, quarter
    sides = [(whole, margin // step) for whole, step in ((image, 1), (half, 2), (quarter, 4))]
    image, half, quarter = (whole[:, :, side:-side, side:-side] for whole, side in sides)
    return image, half, quarter


def convolved(given: int, wanted: int, side: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; a side of 4 halves the image with filters centred between pixels."""
    return nn.Sequential(
        nn.Conv2d(given, wanted, side, stride=stride_of(side), padding=(side - 1) // 2, bias=False),
        nn.BatchNorm2d(wanted),
        nn.ReLU6(inplace=True),
    )


def stride_of(side: int) -> int:
    """Stride of a filter: one of an even side is centred between pixels and halves the image."""
    return 1 if side % 2 else 2


def separable(given: int, wanted: int, side: int) -> tuple[nn.Module, ...]:
    """A filter for each channel, then a linear mixture of channels."""
    return (
        DepthwiseConv2d(given, side),
        nn.BatchNorm2d(given),
        nn.ReLU6(inplace=True),
        nn.Conv2d(given, wanted, 1, bias=False),
        nn.BatchNorm2d(wanted),
    )


def added(first: Tensor, second: Tensor) -> Tensor:
    """Their sum, in the memory of the first where no gradient is asked for."""
    return first + second if torch.is_grad_enabled() else first.add_(second)


def doubled(image: Tensor) -> Tensor:
    """An image of twice the size, bilinear."""
    return functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
