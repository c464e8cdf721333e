"""A U-Net of stride 4 with a branch that sees one pixel: sharp maps, and a small receptive field."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

STRIDE = 4
"""Total stride, pixels: the encoder halves the image twice."""

_DEFAULT_WIDTHS = (16, 32, 96)


class SpectralUnet(nn.Module):
    """A small U-Net beside a per-pixel network; their logits are added.

    The U-Net works at full, half and quarter resolution. A context of few pixels is enough at 10 m, and a small stride
    keeps thin things. Down-sampling filters are symmetric, so no corner of a pixel is preferred. The spectral branch
    is made of 1 x 1 convolutions: it names what one pixel's reflectance alone can tell.

    Args:
        in_channels: Number of input channels.
        classes: Number of output channels K.
        widths: Channels at full, half and quarter resolution.
        blocks: Residual blocks at quarter resolution.
        spectral: Channels of the spectral branch; 0 leaves it out.
    """

    output_stride = STRIDE

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: Sequence[int] = _DEFAULT_WIDTHS,
        blocks: int = 2,
        spectral: int = 32,
    ) -> None:
        super().__init__()
        full, half, quarter = widths
        self.stem = convolved(in_channels, full, 3)
        self.to_half = nn.Sequential(convolved(full, half, 4), convolved(half, half, 3))
        self.to_quarter = nn.Sequential(convolved(half, quarter, 4), *(ResidualBlock(quarter) for _ in range(blocks)))
        self.from_quarter = nn.Conv2d(quarter, half, 1)
        self.at_half = convolved(half, half, 3)
        self.from_half = nn.Conv2d(half, full, 1)
        self.at_full = convolved(full, full, 3)
        self.head = nn.Conv2d(full, classes, 1)
        self.spectral = (
            nn.Sequential(
                convolved(in_channels, spectral, 1), convolved(spectral, spectral, 1), nn.Conv2d(spectral, classes, 1)
            )
            if spectral
            else None
        )

    def forward(self, image: Tensor) -> Tensor:
        """Logits (n, K, height, width) of an image (n, channels, height, width) with sides of multiples of 4."""
        full = self.stem(image)
        half = self.to_half(full)
        quarter = self.to_quarter(half)
        half = self.at_half(half + doubled(self.from_quarter(quarter)))
        full = self.at_full(full + doubled(self.from_half(half)))
        logits: Tensor = self.head(full)
        return logits if self.spectral is None else logits + self.spectral(image)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions whose result is added to their input.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolved(width, width, 3)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, image: Tensor) -> Tensor:
        """Same shape as the input."""
        return functional.relu(image + self.second(self.first(image)))


def convolved(given: int, wanted: int, side: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; a side of 4 halves the image with filters centred between pixels."""
    stride = 2 if side == 4 else 1  # noqa: PLR2004 - the only even side
    padding = (side - 1) // 2
    return nn.Sequential(
        nn.Conv2d(given, wanted, side, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(wanted),
        nn.ReLU(inplace=True),
    )


def doubled(image: Tensor) -> Tensor:
    """An image of twice the size, bilinear."""
    return functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
