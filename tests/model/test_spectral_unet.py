"""Our own network: sharp, of small stride and field, built without other libraries, folded like any."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.errors import ModelError
from lulc.model.build import Architecture, build_network, total_stride
from lulc.model.fold import fold_batch_norm
from lulc.model.receptive_field import measure_receptive_field
from lulc.model.spectral_unet import SpectralUnet
from lulc.training.start import start_segmentation

pytestmark = pytest.mark.torch


def architecture(**changes):
    facts = {"network": "SpectralUnet", "encoder": "plain", "encoder_depth": 2, "in_channels": 3, "classes": 4}
    return Architecture(**facts | changes)


def small(**options):
    torch.manual_seed(0)
    return SpectralUnet(3, 4, widths=(4, 6, 8), **options).eval()


@given(down=st.integers(1, 12), across=st.integers(1, 12), spectral=st.sampled_from([0, 5]))
@settings(max_examples=20, deadline=None)
def test_every_image_of_whole_strides_is_answered_in_full(down, across, spectral):
    with torch.inference_mode():
        answer = small(spectral=spectral)(torch.zeros(2, 3, 4 * down, 4 * across))
    assert answer.shape == (2, 4, 4 * down, 4 * across)


@pytest.mark.parametrize(("blocks", "half_field"), [(0, 15), (1, 23), (2, 31), (3, 39)])
def test_the_field_grows_by_eight_pixels_a_block(blocks, half_field):
    found = measure_receptive_field(small(blocks=blocks), 3, 4)
    assert (found.half_field, found.stride, found.bounded) == (half_field, 4, True)


def test_it_moves_with_the_image_by_its_stride():
    network, image = small(), torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        here, there = network(image), network(image[..., 4:, 8:].contiguous())
    torch.testing.assert_close(here[..., 40:60, 40:60], there[..., 36:56, 32:52], atol=1e-5, rtol=1e-4)


def test_no_corner_is_preferred():
    """Turned filters on a turned image give the turned answer: down-sampling is centred between pixels."""
    network, image = small(), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        expected = torch.rot90(network(image), 1, (2, 3))
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.copy_(torch.rot90(layer.weight, 1, (2, 3)))
        torch.testing.assert_close(network(torch.rot90(image, 1, (2, 3))), expected, atol=1e-5, rtol=1e-4)


def test_the_spectral_branch_sees_one_pixel():
    network, image = small(), torch.rand(1, 3, 16, 16)
    changed = image.clone()
    changed[..., 5, 7] += 1
    with torch.inference_mode():
        differs = (network.spectral(image) != network.spectral(changed)).any(dim=1)[0]
    assert differs.nonzero().tolist() == [[5, 7]]


def test_folding_changes_no_answer():
    network, image = small(), torch.rand(1, 3, 64, 64)
    network.train()(torch.rand(4, 3, 32, 32))  # statistics that are not those of the start
    with torch.inference_mode():
        expected = network.eval()(image)
        assert fold_batch_norm(network, 3) == 12
        torch.testing.assert_close(network(image), expected, atol=1e-4, rtol=1e-4)


def test_it_is_built_from_a_card():
    network = build_network(architecture(options={"widths": [4, 6, 8], "blocks": 1, "spectral": 5}))
    assert total_stride(network) == 4
    assert not network.training
    assert network.state_dict().keys() == small(blocks=1, spectral=5).state_dict().keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "resnet18"}, "encoder 'plain' with depth 2"),
        ({"encoder_depth": 3}, "encoder 'plain' with depth 2"),
        ({"options": {"width": [4, 6, 8]}}, "no option 'width'.*widths"),
        ({"options": {"widths": [4, 6]}}, "cannot build SpectralUnet"),
        ({"options": {"widths": [4, -1, 8]}}, "cannot build SpectralUnet"),
    ],
)
def test_other_architectures_are_refused_in_one_line(changes, message):
    with pytest.raises(ModelError, match=message):
        build_network(architecture(**changes))


def test_there_are_no_imagenet_weights_for_it():
    made = architecture()
    with pytest.raises(ModelError, match="no ImageNet weights for SpectralUnet"):
        start_segmentation(build_network(made), made, ["B02", "B03", "B04"], "imagenet")


def test_no_library_of_networks_is_imported_for_it():
    """Start-up: segmentation-models-pytorch and timm take longer to import than the network to build."""
    code = (
        "import sys; from lulc.model.build import *; "
        "build_network(Architecture(network='SpectralUnet', encoder='plain', encoder_depth=2, in_channels=9, classes=9));"
        "print([name for name in ('segmentation_models_pytorch', 'timm', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
