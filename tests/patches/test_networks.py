"""Networks by name, their heads, their last maps, and which parts are held still."""

import json
import shutil

import pytest
import timm
import torch
from torch import nn

from lulc.errors import ConfigError, ModelError
from lulc.features import FeatureSpec
from lulc.patches.card import load_patch_model
from lulc.patches.learn.freezing import Freezing
from lulc.patches.learn.start import normalised_like, start_patches
from lulc.patches.networks import PatchArchitecture, build_patch_network


def architecture(name="cnn6", **changes):
    return PatchArchitecture(**{"name": name, "in_channels": 3, "classes": 4, "side": 32} | changes)


@pytest.mark.parametrize("name", ["cnn6", "lite0", "resnet18", "tu-mobilenetv3_small_050"])
class TestEveryNetwork:
    def test_one_answer_a_patch_at_any_size(self, name):
        network = build_patch_network(architecture(name)).eval()
        with torch.inference_mode():
            assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
            assert network(torch.zeros(2, 3, 50, 41)).shape == (2, 4)

    def test_thirteen_bands(self, name):
        network = build_patch_network(architecture(name, in_channels=13)).eval()
        with torch.inference_mode():
            assert network(torch.zeros(1, 13, 32, 32)).shape == (1, 4)

    def test_the_last_maps_can_be_looked_at(self, name):
        network, seen = build_patch_network(architecture(name, side=64)).eval(), []
        network.last_maps.register_forward_hook(lambda _module, _inputs, maps: seen.append(maps))
        with torch.inference_mode():
            network(torch.zeros(1, 3, 64, 64))
        assert seen[0].ndim == 4
        assert seen[0].shape[2] > 1


class TestHeads:
    @pytest.mark.parametrize("name", ["resnet50", "wide_resnet50_2"])
    def test_that_of_the_transfer_models(self, name):
        network = build_patch_network(architecture(name, hidden=256, dropout=0.4))
        assert [type(part) for part in network.head] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.LogSoftmax]
        assert (network.head[0].in_features, network.head[0].out_features) == (2048, 256)
        shares = network.eval()(torch.randn(3, 3, 32, 32)).exp().sum(dim=1)
        torch.testing.assert_close(shares, torch.ones(3))

    def test_the_cnn_of_the_tutorials_has_five_layers_with_weights(self):
        network = build_patch_network(architecture("cnn6", side=64))
        kinds = [type(part) for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
        assert kinds == [nn.Conv2d] * 3 + [nn.Linear] * 2


class TestNames:
    def test_the_nearest_one_is_hinted(self):
        with pytest.raises(ConfigError, match=r"no network resnet5;.*resnet50"):
            architecture("resnet5")

    def test_a_patch_that_is_too_small(self):
        with pytest.raises(ConfigError, match="cannot be built for 16 px"):
            build_patch_network(architecture("tu-inception_v3", side=16))


class TestFreezing:
    def held(self, kind, step, steps=10):
        network = build_patch_network(architecture("resnet18")).train()
        Freezing(network, kind, steps).at(step)
        return network, [any(weight.requires_grad for weight in stage.parameters()) for stage in network.stages()]

    def test_the_backbone(self):
        network, learning = self.held("backbone", 5)
        assert not any(learning)
        assert all(weight.requires_grad for weight in network.head.parameters())
        assert not any(part.training for part in network.backbone.modules() if isinstance(part, nn.BatchNorm2d))

    def test_nothing(self):
        assert all(self.held("none", 0)[1])

    def test_gradually_from_the_end(self):
        _, first = self.held("gradual", 0)
        _, half = self.held("gradual", 5)
        _, last = self.held("gradual", 10)
        assert not any(first)
        assert half == sorted(half)
        assert any(half)
        assert not all(half)
        assert all(last)

    def test_frozen_weights_stay_as_they_are(self):
        network = build_patch_network(architecture("resnet18")).train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
        before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
        Freezing(network, "backbone", 1).at(0)
        network(torch.randn(4, 3, 32, 32)).sum().backward()
        optimiser.step()
        assert all(torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items())


class TestStart:
    def test_imagenet_from_the_hub(self, monkeypatch):
        plain, asked = timm.create_model, []

        def fetched(name, *, pretrained, num_classes):
            asked.append((name, pretrained))
            return plain(name, pretrained=False, num_classes=num_classes)

        made = architecture("resnet18", classes=3)
        network = build_patch_network(made)
        monkeypatch.setattr(timm, "create_model", fetched)
        said = start_patches(network, made, ("B04", "B03", "B02"), ("a", "b", "c"), "imagenet")
        assert (said, asked) == ("backbone from ImageNet (the weights hub)", [("resnet18", True)])

    def test_of_a_model_of_reflectance_pictures_learn_no_normalisation(self, trained, tmp_path):
        folder = shutil.copytree(trained[0], tmp_path / "model")
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps(card | {"pictures": False, "picture_white": None}))
        own = FeatureSpec(bands=("B03",), mean=(0.2,), std=(0.2,))
        assert normalised_like(own, str(folder), pictures=True) == own

    def test_from_another_model(self, trained):
        folder, _ = trained
        same = architecture("cnn6", classes=3)
        network = build_patch_network(same)
        said = start_patches(network, same, ("B04", "B03", "B02"), ("Field", "Lake", "Town"), str(folder))
        assert said == "10 of 10 tensors from tiny 1"

    def test_more_bands_start_at_nothing(self, trained):
        folder, _ = trained
        wide = architecture("cnn6", classes=3, in_channels=4)
        network = build_patch_network(wide)
        start_patches(network, wide, ("B08", "B04", "B03", "B02"), ("Field", "Lake", "Town"), str(folder))
        network.eval()
        image = torch.rand(2, 4, 32, 32)
        before = load_patch_model(folder).network(image[:, 1:])
        torch.testing.assert_close(network(image), before)
        assert not network.backbone.blocks[0].weight[:, 0].any()

    def test_channels_are_normalised_as_it_knows_them(self, trained):
        folder, _ = trained
        known = load_patch_model(folder).card.features
        own = FeatureSpec(bands=("B08", "B03"), mean=(0.3, 0.2), std=(0.1, 0.2))
        found = normalised_like(own, str(folder), pictures=False)
        assert found.mean == (0.3, pytest.approx(known.mean[1] * 0.275))
        assert found.std == (0.1, pytest.approx(known.std[1] * 0.275))
        assert normalised_like(own, "scratch", pictures=False) == own

    def test_the_head_of_other_classes_is_left(self, trained):
        folder, _ = trained
        same = architecture("cnn6", classes=3)
        network = build_patch_network(same)
        said = start_patches(network, same, ("B04", "B03", "B02"), ("Field", "Lake", "Port"), str(folder))
        assert said == "8 of 10 tensors from tiny 1"

    def test_imagenet_knows_no_cnn6(self):
        with pytest.raises(ModelError, match="no ImageNet weights of cnn6"):
            start_patches(
                build_patch_network(architecture()), architecture(), ("B04", "B03", "B02"), ("a",), "imagenet"
            )


class TestCard:
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            ({"features": {"bands": ["B04", "B08"], "indices": ["NDVI"]}}, "patch models see bands only"),
            (
                {"architecture": {"name": "tu-inception_v3", "side": 16}},
                "cannot be built for 16 px: .*; its card is damaged",
            ),
        ],
    )
    def test_a_card_that_fits_no_network(self, trained, tmp_path, damage, message):
        folder = shutil.copytree(trained[0], tmp_path / "model")
        card = json.loads((folder / "card.json").read_text())
        card |= {key: card[key] | value for key, value in damage.items()}
        (folder / "card.json").write_text(json.dumps(card))
        with pytest.raises(ModelError, match=message):
            load_patch_model(folder)
