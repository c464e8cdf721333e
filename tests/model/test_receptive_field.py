import pytest
import torch
from torch import nn

from lulc.errors import ModelError
from lulc.model.build import Architecture, build_network, total_stride
from lulc.model.receptive_field import measure_receptive_field


def unet(encoder, depth, channels):
    return build_network(
        Architecture(
            network="Unet",
            encoder=encoder,
            in_channels=3,
            classes=2,
            encoder_depth=depth,
            options={"decoder_channels": channels},
        )
    )


@pytest.mark.parametrize(("kernels", "half_field"), [([3], 1), ([3, 3], 2), ([5, 3], 3), ([7, 7, 7], 9)])
def test_plain_convolutions_reach_the_sum_of_their_half_kernels(kernels, half_field):
    layers = [nn.Conv2d(3, 3, kernel, padding=kernel // 2) for kernel in kernels]
    reach = measure_receptive_field(nn.Sequential(*layers), 3, 1)
    assert (reach.half_field, reach.bounded, reach.halo) == (half_field, True, half_field)


@pytest.mark.parametrize(
    ("encoder", "depth", "channels", "half_field"),
    [
        ("resnet18", 3, [32, 16, 8], 71),
        ("resnet18", 4, [32, 16, 8, 8], 151),
        ("resnet34", 3, [32, 16, 8], 111),
        ("resnet50", 3, [32, 16, 8], 67),
    ],
)
def test_known_fields_of_real_networks(encoder, depth, channels, half_field):
    network = unet(encoder, depth, channels)
    reach = measure_receptive_field(network, 3, total_stride(network))
    assert reach.half_field == half_field
    assert reach.halo % reach.stride == 0
    assert reach.bounded


@pytest.mark.parametrize("encoder", ["efficientnet-b0", "timm-efficientnet-b0"])
def test_squeeze_and_excite_is_noticed(encoder):
    network = unet(encoder, 3, [16, 16, 8])
    assert not measure_receptive_field(network, 3, total_stride(network)).bounded


def test_instance_norm_is_noticed():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.Conv2d(4, 2, 1))
    assert not measure_receptive_field(network, 3, 1).bounded


def test_a_network_that_takes_no_thin_image_is_not_measured():
    network = nn.Sequential(nn.AvgPool2d(500), nn.Conv2d(3, 2, 1))
    assert not measure_receptive_field(network, 3, 1).bounded


def test_a_network_that_states_no_stride_is_refused():
    with pytest.raises(ModelError, match="does not state its output stride"):
        total_stride(nn.Sequential())


def test_no_pixel_beyond_the_halo_moves_the_answer():
    """The definition itself, by the gradient of a real network."""
    network = unet("resnet18", 3, [32, 16, 8])
    reach = measure_receptive_field(network, 3, 8)
    image = torch.rand(1, 3, 320, 320, requires_grad=True)
    network(image)[0, 0, 160, 163].backward()
    rows, columns = torch.nonzero(image.grad[0].abs().sum(0), as_tuple=True)
    farthest = max((rows - 160).abs().max(), (columns - 163).abs().max())
    assert reach.half_field - 2 * reach.stride <= farthest <= reach.half_field
