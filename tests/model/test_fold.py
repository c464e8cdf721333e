from copy import deepcopy

import pytest
import torch
from torch import nn

from lulc.model.build import Architecture, build_network
from lulc.model.fold import ActivatedConv2d, fold_batch_norm, join_activations, joins_activations


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("network", "encoder", "depth", "least"),
    [
        ("Unet", "tu-resnet18", 5, 10),
        ("FPN", "resnet34", 5, 1),  # its blocks call one ReLU twice
        ("SpectralUnet", "tu-tf_efficientnet_lite0", 2, 15),
    ],
)
def test_joining_activations_changes_no_answer(network, encoder, depth, least, dtype):
    if not joins_activations(dtype):
        pytest.skip("the library of this CPU joins no activations in bfloat16")
    architecture = Architecture(network=network, encoder=encoder, in_channels=9, classes=9, encoder_depth=depth)
    layers = shake_norms(build_network(architecture))
    fold_batch_norm(layers, 9)
    image = torch.randn(1, 9, 128, 160).to(dtype).contiguous(memory_format=torch.channels_last)
    expected_of, joined = (deepcopy(layers) for _ in range(2))
    count = join_activations(joined, 9)
    assert count == sum(isinstance(layer, ActivatedConv2d) for layer in joined.modules()) >= least
    with torch.inference_mode():
        expected, answer = (
            each.to(dtype).to(memory_format=torch.channels_last)(image) for each in (expected_of, joined)
        )
    exact = network == "SpectralUnet" or dtype == torch.bfloat16
    torch.testing.assert_close(answer, expected, rtol=0, atol=0 if exact else 1e-4 * float(expected.abs().max()))


class ReadBetween(nn.Module):
    """What a convolution gives is read before its activation by something that is no layer."""

    def __init__(self, activation):
        super().__init__()
        self.convolution, self.activation = nn.Conv2d(2, 2, 3, padding=1), activation

    def forward(self, image):
        found = self.convolution(image)
        kept = found + 1
        return self.activation(found) + kept


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(inplace=True)])
def test_what_is_read_before_its_activation_stays_as_it_is(activation):
    network = ReadBetween(activation).eval()
    image = torch.randn(1, 2, 16, 16)
    with torch.inference_mode():
        before = network(image)
        assert join_activations(network, 2) == 0
        assert torch.equal(network(image), before)
    assert not isinstance(network.convolution, ActivatedConv2d)


@pytest.mark.parametrize("changes", [{"padding_mode": "reflect"}, {"padding": "same"}])
def test_other_paddings_are_left_alone(changes):
    network = nn.Sequential(nn.Conv2d(2, 2, 3, **{"padding": 1} | changes), nn.ReLU()).eval()
    assert join_activations(network, 2) == 0


def test_an_activation_that_two_read_is_joined():
    network = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3)).eval()
    image = torch.randn(1, 2, 16, 16)
    with torch.inference_mode():
        before = network(image)
        assert join_activations(network, 2) == 1
        torch.testing.assert_close(network(image), before)


def test_a_damaged_network_is_left_alone():
    """oneDNN would clamp its NaN to 0."""
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU6()).eval()
    with torch.inference_mode():
        network[0].weight[0, 0] = torch.nan
        assert join_activations(network, 2) == 0
        assert network(torch.rand(1, 2, 8, 8)).isnan().any()
