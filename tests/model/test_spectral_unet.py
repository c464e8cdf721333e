"""Our own network: sharp, of small stride and field, built without other libraries, folded like any."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lulc.errors import ModelError
from lulc.model.build import Architecture, build_network, total_stride
from lulc.model.bundle import load_bundle
from lulc.model.fold import fold_batch_norm
from lulc.model.receptive_field import measure_receptive_field
from lulc.model.spectral_unet import REACH, SpectralUnet, WithClouds
from lulc.training.start import centred, start_segmentation, weights_of

pytestmark = pytest.mark.torch


CHANNELS = ["B02", "B03", "B04", "B08"]
LITE0 = "tu-tf_efficientnet_lite0"


def architecture(**changes):
    facts = {"network": "SpectralUnet", "encoder": LITE0, "encoder_depth": 2, "in_channels": 4, "classes": 3}
    return Architecture(**facts | changes)


def small(**options):
    torch.manual_seed(0)
    return SpectralUnet(4, 3, **{"full": 4, "half": 6} | options).eval()


@given(down=st.integers(1, 12), across=st.integers(1, 12), spectral=st.sampled_from([0, 5]))
@settings(max_examples=20, deadline=None)
def test_every_image_of_whole_strides_is_answered_in_full(down, across, spectral):
    with torch.inference_mode():
        answer = small(spectral=spectral)(torch.zeros(2, 4, 4 * down, 4 * across))
    assert answer.shape == (2, 3, 4 * down, 4 * across)


def test_field_and_stride_are_small():
    found = measure_receptive_field(small(), 4, 4)
    assert (found.half_field, found.stride, found.bounded) == (34, 4, True)


def test_with_clouds_it_is_a_network_like_any():
    network = WithClouds(small(clouds=5)).eval()
    found = measure_receptive_field(network, 4, total_stride(network))
    assert (found.half_field, found.stride, found.bounded) == (34, 4, True)
    image = torch.rand(1, 4, 64, 64)
    with torch.inference_mode():
        expected = network(image)
        torch.testing.assert_close(expected[:, :3], network.network(image), rtol=0, atol=0)
        fold_batch_norm(network, 4)
        assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())
        torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=1e-4)


def test_it_moves_with_the_image_by_its_stride():
    network, image = small(), torch.rand(1, 4, 128, 128)
    with torch.inference_mode():
        here, there = network(image), network(image[..., 4:, 8:].contiguous())
    torch.testing.assert_close(here[..., 50:78, 50:78], there[..., 46:74, 42:70], atol=1e-5, rtol=1e-4)


def test_no_corner_is_preferred():
    """Turned filters on a turned image give the turned answer: down-sampling is centred between pixels."""
    network, image = small(), torch.rand(1, 4, 32, 32)
    with torch.inference_mode():
        expected = torch.rot90(network(image), 1, (2, 3))
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.copy_(torch.rot90(layer.weight, 1, (2, 3)))
        torch.testing.assert_close(network(torch.rot90(image, 1, (2, 3))), expected, atol=1e-5, rtol=1e-4)


def test_the_spectral_branch_sees_one_pixel():
    network, image = small(), torch.rand(1, 4, 16, 16)
    changed = image.clone()
    changed[..., 5, 7] += 1
    with torch.inference_mode():
        differs = (network.spectral(image) != network.spectral(changed)).any(dim=1)[0]
    assert differs.nonzero().tolist() == [[5, 7]]


def test_folding_changes_no_answer_and_leaves_no_batch_norm():
    network, image = small(), torch.rand(1, 4, 64, 64)
    network.train()(torch.rand(4, 4, 32, 32))  # statistics that are not those of the start
    with torch.inference_mode():
        expected = network.eval()(image)
        fold_batch_norm(network, 4)
        torch.testing.assert_close(network(image), expected, atol=1e-4, rtol=1e-4)
    assert not [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]


def test_it_learns_in_bfloat16_with_gradients_for_every_weight():
    network = small().train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(torch.rand(2, 4, 32, 32)).float().square().mean()
    loss.backward()
    assert all(weight.grad is not None and bool(weight.grad.isfinite().all()) for weight in network.parameters())


def test_it_is_built_from_a_card():
    network = build_network(architecture(options={"full": 4, "half": 6}))
    assert total_stride(network) == 4
    assert not network.training
    assert network.state_dict().keys() == small().state_dict().keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "resnet18"}, f"the encoder {LITE0} with depth 2"),
        ({"encoder_depth": 3}, f"the encoder {LITE0} with depth 2"),
        ({"options": {"spectrum": 4}}, "no option 'spectrum'.*spectral"),
        ({"options": {"full": -1}}, "cannot build SpectralUnet"),
        ({"options": {"half": [4, 6]}}, "cannot build SpectralUnet"),
    ],
)
def test_other_architectures_are_refused_in_one_line(changes, message):
    with pytest.raises(ModelError, match=message):
        build_network(architecture(**changes))


def test_imagenet_weights_are_those_of_the_library(tmp_path, monkeypatch):
    """The encoder takes the first weights of EfficientNet-Lite0, in order; filters of stride 2 are blurred by 2 x 2."""
    made = architecture()
    network = build_network(made)
    shapes = [tuple(weight.shape) for weight in weights_of(network.encoder.state_dict()).values()]
    theirs = {}
    for number, shape in enumerate(shapes):
        given = torch.rand((*shape[:-2], 3, 3) if shape[-2:] == (4, 4) else shape)
        theirs[f"layer{number}"] = given[:, :1].repeat(1, 3, 1, 1) if shape[1:2] == (4,) else given
    torch.save({**theirs, "more": torch.rand(3)}, tmp_path / "lite0.pth")
    monkeypatch.setattr("lulc.training.start.packaged_weights", lambda encoder: tmp_path / "lite0.pth")
    assert "ImageNet" in start_segmentation(network, made, CHANNELS, "imagenet")
    own = [*weights_of(network.encoder.state_dict()).values()]
    for mine, given in zip(own, theirs.values(), strict=True):
        if mine.shape[-2:] == (4, 4):
            torch.testing.assert_close(mine.sum(dim=1).norm(), centred(given, mine.shape).sum(dim=1).norm())
        else:
            torch.testing.assert_close(mine, given)


def test_a_filter_in_four_places_is_the_filter_after_a_blur():
    image, filters = torch.rand(1, 1, 12, 12), torch.rand(2, 1, 3, 3)
    blurred = functional.avg_pool2d(image, 2, stride=1)
    expected = functional.conv2d(blurred, filters, stride=2)
    torch.testing.assert_close(functional.conv2d(image, centred(filters, (2, 1, 4, 4)), stride=2), expected)


def test_no_library_of_networks_is_imported_for_it():
    """Start-up: segmentation-models-pytorch and timm take longer to import than the network to build."""
    code = (
        "import sys; from lulc.model.build import *; "
        f"build_network(Architecture(network='SpectralUnet', encoder='{LITE0}', encoder_depth=2, in_channels=9, classes=9));"
        "print([name for name in ('segmentation_models_pytorch', 'timm', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("margin", [4, 12, 28])
def test_without_a_margin_the_rest_is_answered_as_ever(margin):
    network = load_bundle().with_clouds().network
    image = torch.randn(2, 9, 88, 96, generator=torch.Generator().manual_seed(margin))
    with torch.inference_mode():
        whole, inner = network(image), network(image, margin)
    assert inner.shape == (2, 12, 88 - 2 * margin, 96 - 2 * margin)
    apart = [
        inner[..., edge : inner.shape[2] - edge, edge : inner.shape[3] - edge]
        - whole[..., margin + edge : 88 - margin - edge, margin + edge : 96 - margin - edge]
        for edge in (REACH, REACH - 1)
    ]
    assert apart[0].abs().max() < 1e-5
    assert apart[1].abs().max() > 1e-4
