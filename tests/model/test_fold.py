import pytest
import torch
from torch import nn

from lulc.model.build import Architecture, build_network
from lulc.model.fold import fold_batch_norm


def shake_norms(network):
    """Give batch norms the statistics of a trained network."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (layer.bias, layer.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
    return network


@pytest.mark.parametrize("encoder", ["tu-resnet18", "resnet34", "tu-efficientnet_lite0"])
def test_folding_changes_no_answer_and_leaves_no_batch_norm(encoder):
    architecture = Architecture(
        network="Unet",
        encoder=encoder,
        in_channels=9,
        classes=9,
        encoder_depth=3,
        options={"decoder_channels": [32, 16, 8]},
    )
    network = shake_norms(build_network(architecture))
    image = torch.randn(1, 9, 64, 64)
    with torch.inference_mode():
        before = network(image)
        assert fold_batch_norm(network, 9) > 0
        after = network(image)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


class TwoReaders(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(2, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.other = nn.Conv2d(2, 2, 1)

    def forward(self, image):
        shared = self.convolution(image)
        return self.norm(shared) + self.other(shared)


def test_a_convolution_that_feeds_two_layers_is_left_alone():
    network = shake_norms(TwoReaders().eval())
    image = torch.randn(1, 2, 16, 16)
    with torch.inference_mode():
        before = network(image)
        assert fold_batch_norm(network, 2) == 0
        assert torch.equal(before, network(image))


class Scaled(nn.Module):
    """A layer without children that is called with a number beside the tensor."""

    def forward(self, image, factor):
        return image * factor


class ByNumber(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.norm, self.scaled = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), Scaled()

    def forward(self, image):
        return self.scaled(self.norm(self.convolution(image)), 2.0)


def test_layers_may_take_numbers():
    network = shake_norms(ByNumber().eval())
    image = torch.randn(1, 2, 16, 16)
    with torch.inference_mode():
        before = network(image)
        assert fold_batch_norm(network, 2) == 1
        torch.testing.assert_close(network(image), before)
