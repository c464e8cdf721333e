import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lulc.errors import UsageError
from lulc.explain.grad_cam import heat_of, layer_map, score_of_class, score_of_region
from lulc.grid import Shape

SIDE = 6
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def grad_cam(network, layer, inputs, score):
    """Heat of one layer, at the size of the image."""
    return heat_of(layer_map(network, layer, inputs, score), Shape(*inputs.shape[-2:]))


class Tiny(nn.Module):
    """Logits of class k: the mean over the maps' positive part, weighted by the rows of a dense layer."""

    def __init__(self, *, inplace=False):
        super().__init__()
        self.maps = nn.Conv2d(2, 3, 3, padding=1)
        self.positive = nn.ReLU(inplace=inplace)
        self.answer = nn.Linear(3, 2)
        self.idle = nn.Conv2d(2, 3, 1)

    def forward(self, image):
        return self.answer(self.positive(self.maps(image)).mean(dim=(2, 3)))


class TinySegmentation(nn.Module):
    """Logits of every pixel from three maps, by a 1 x 1 convolution."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(2, 3, 3, padding=1)
        self.answer = nn.Conv2d(3, 2, 1)

    def forward(self, image):
        return self.answer(self.maps(image))


def made(kind=Tiny, seed=0, **options):
    torch.manual_seed(seed)
    return kind(**options).eval()


def image(count=2, seed=1):
    return torch.randn(count, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def by_hand(network, inputs, position):
    """Gradient-weighted activations in plain numpy, from the formula alone: float64 (n, SIDE, SIDE)."""
    activations = functional.conv2d(
        inputs.double(), network.maps.weight.double(), network.maps.bias.double(), padding=1
    ).detach()
    activations = activations.numpy()
    weights = network.answer.weight[position].detach().double().numpy()
    gradients = weights[None, :, None, None] * (activations > 0) / SIDE**2
    alphas = gradients.mean(axis=(2, 3))
    return (alphas[:, :, None, None] * activations).sum(axis=1)


def hooks_of(network):
    return [len(getattr(module, kind)) for module in network.modules() for kind in HOOKS]


class TestFormula:
    @pytest.mark.parametrize("position", [0, 1])
    @pytest.mark.parametrize("inplace", [False, True])
    def test_equals_the_weighted_activations_by_hand(self, position, inplace):
        network, inputs = made(inplace=inplace), image()
        expected = by_hand(network, inputs, position)
        raw = layer_map(network, network.maps, inputs, score_of_class(position))
        assert raw.dtype == torch.float32
        assert np.abs(raw.numpy() - expected).max() < 1e-6
        heat = grad_cam(network, network.maps, inputs, score_of_class(position))
        positive = np.maximum(expected, 0)
        assert np.abs(heat.numpy() - positive / positive.max(axis=(1, 2), keepdims=True)).max() < 1e-6

    def test_of_a_region(self):
        network, inputs = made(TinySegmentation), image()
        region = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        region[1:3, 2:6] = True
        raw = layer_map(network, network.maps, inputs, score_of_region(1, region))
        weights = network.answer.weight[1, :, 0, 0] * region.float().mean()
        expected = (network.maps(inputs) * weights[:, None, None]).sum(dim=1)
        assert torch.allclose(raw, expected, atol=1e-6)

    def test_of_a_region_of_each(self):
        network, inputs = made(TinySegmentation), image()
        regions = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) > 0.5
        together = layer_map(network, network.maps, inputs, score_of_region(0, regions))
        for number in range(2):
            alone = layer_map(network, network.maps, inputs[number:][:1], score_of_region(0, regions[number]))
            assert torch.allclose(together[number], alone[0], atol=1e-6)

    def test_images_do_not_mix(self):
        network, inputs = made(), image(3)
        together = grad_cam(network, network.maps, inputs, score_of_class(0))
        for number in range(3):
            alone = grad_cam(network, network.maps, inputs[number:][:1], score_of_class(0))
            assert torch.allclose(together[number], alone[0], atol=1e-6)


class TestHeat:
    def test_from_0_to_1_each_by_its_own_maximum(self):
        heat = heat_of(torch.tensor([[[-1.0, 2.0], [0.5, 4.0]], [[-1.0, 0.2], [0.1, 0.4]]]), Shape(2, 2))
        assert torch.allclose(heat[0], torch.tensor([[0, 0.5], [0.125, 1]]))
        assert torch.allclose(heat[1], torch.tensor([[0, 0.5], [0.25, 1]]))

    def test_brought_to_the_image_bilinearly(self):
        raw = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0))
        large = functional.interpolate(raw[:, None], (16, 9), mode="bilinear", align_corners=False)[:, 0]
        expected = large / large.amax(dim=(1, 2), keepdim=True)
        assert torch.allclose(heat_of(raw, Shape(16, 9)), expected, atol=1e-6)

    @pytest.mark.parametrize("raw", [0.0, -1.0])
    def test_nothing_speaks_for_it(self, raw):
        heat = heat_of(torch.full((2, 3, 3), raw), Shape(6, 6))
        assert torch.equal(heat, torch.zeros(2, 6, 6))

    def test_a_network_in_which_nothing_speaks_for_it(self):
        network = made()
        with torch.no_grad():
            network.answer.weight[0] = -1.0
            network.maps.weight.zero_()
            network.maps.bias.fill_(1.0)
        heat = grad_cam(network, network.maps, image(), score_of_class(0))
        assert torch.equal(heat, torch.zeros(2, SIDE, SIDE))


class TestTheNetworkIsLeftAlone:
    def test_hooks_are_removed(self):
        network = made()
        grad_cam(network, network.maps, image(), score_of_class(0))
        assert not any(hooks_of(network))
        assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())

    def test_foreign_hooks_stay(self):
        network, calls = made(), []
        network.maps.register_forward_hook(lambda *_: calls.append(1))
        grad_cam(network, network.maps, image(), score_of_class(0))
        assert len(network.maps._forward_hooks) == len(calls) == 1

    @pytest.mark.parametrize("where", ["before", "after", "score", "backward"])
    def test_hooks_are_removed_when_it_fails(self, where):
        class Failing(Tiny):
            def forward(self, seen):
                if where == "before":
                    raise RuntimeError("no")
                answer = super().forward(seen)
                if where == "after":
                    raise RuntimeError("no")
                return answer

        def score(output):
            if where == "score":
                raise RuntimeError("no")
            return output if where == "backward" else output[:, 0]

        network = made(Failing)
        with pytest.raises((RuntimeError, AssertionError, UsageError)):
            grad_cam(network, network.maps, image(), score)
        assert not any(hooks_of(network))

    def test_the_image_is_left_alone(self):
        network = nn.Sequential(nn.ReLU(inplace=True), made(TinySegmentation))
        inputs = image()
        before = inputs.clone()
        grad_cam(network, network[0], inputs, score_of_region(0, torch.ones(SIDE, SIDE, dtype=torch.bool)))
        assert torch.equal(inputs, before)
        assert not inputs.requires_grad


class TestAnyState:
    @pytest.mark.parametrize("inplace", [False, True])
    @pytest.mark.parametrize("layer", ["maps", "positive"])
    def test_frozen_weights(self, inplace, layer):
        free, frozen = made(), made(inplace=inplace).requires_grad_(requires_grad=False)
        expected = grad_cam(free, free.get_submodule(layer), image(), score_of_class(1))
        found = grad_cam(frozen, frozen.get_submodule(layer), image(), score_of_class(1))
        assert torch.equal(found, expected)
        assert found.any()
        assert not found.requires_grad

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_under_modes_without_gradients(self, mode):
        network = made().requires_grad_(requires_grad=False)
        expected = grad_cam(network, network.maps, image(), score_of_class(1))
        with mode():
            inputs = image() + 0.0
            assert torch.equal(grad_cam(network, network.maps, inputs, score_of_class(1)), expected)
        assert torch.equal(grad_cam(network, network.maps, inputs, score_of_class(1)), expected)

    def test_channels_last(self):
        network = made()
        expected = grad_cam(network, network.maps, image(), score_of_class(1))
        network = network.to(memory_format=torch.channels_last)
        inputs = image().contiguous(memory_format=torch.channels_last)
        assert torch.allclose(grad_cam(network, network.maps, inputs, score_of_class(1)), expected, atol=1e-6)

    def test_an_identity_between_maps_and_head(self):
        network = made()
        expected = grad_cam(network, network.positive, image(), score_of_class(1))
        network.positive = nn.Sequential(network.positive, nn.Identity())
        assert torch.equal(grad_cam(network, network.positive[1], image(), score_of_class(1)), expected)


@pytest.mark.parametrize(
    ("layer", "words"), [("idle", "not reached"), ("answer", "one set of maps"), ("disconnected", "does not influence")]
)
def test_layers_that_explain_nothing(layer, words):
    network = made()
    if layer == "disconnected":
        plain, network.disconnected = network.forward, nn.Identity()

        def forward(seen):
            network.disconnected(seen * 1.0)
            return plain(seen)

        network.forward = forward
    with pytest.raises(UsageError, match=words):
        grad_cam(network, network.get_submodule(layer), image(), score_of_class(0))
    assert not any(hooks_of(network))


def test_hirescam_weighs_every_place():
    network, inputs = made(), image()
    found = layer_map(network, network.maps, inputs, score_of_class(1), "hirescam").numpy()
    maps = functional.conv2d(inputs.double(), network.maps.weight.double(), network.maps.bias.double(), padding=1)
    activations = maps.detach().numpy()
    weights = network.answer.weight[1].detach().double().numpy()
    gradients = weights[None, :, None, None] * (activations > 0) / SIDE**2
    np.testing.assert_allclose(found, (gradients * activations).sum(axis=1), atol=1e-6)
    assert not np.allclose(found, by_hand(network, inputs, 1), atol=1e-3)
    assert not any(getattr(network.maps, hooks) for hooks in HOOKS)
