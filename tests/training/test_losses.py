"""Losses: equal to torch's and the library's where those apply; ignored pixels never count."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from lulc.training.augment import Target
from lulc.training.losses import SummedLoss, blurred, class_weights, cross_entropy, focal
from lulc.training.settings import LossSettings

PIXELS = np.array([1000, 100, 10])
NAMES = ["cross_entropy", "focal", "dice", "lovasz", "tversky"]


def batch(seed=0, ignored=0.3):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 8, 8, generator=random)
    codes = torch.randint(3, (2, 8, 8), generator=random)
    codes[torch.rand(2, 8, 8, generator=random) < ignored] = 255
    return logits, codes


def loss_of(name, **settings):
    return SummedLoss(LossSettings(terms={name: 1.0}, **settings), PIXELS)


@pytest.mark.parametrize("name", NAMES)
def test_ignored_pixels_never_count(name):
    logits, codes = batch()
    other = torch.where((codes == 255)[:, None], torch.randn_like(logits) * 50, logits)
    torch.testing.assert_close(loss_of(name)(logits, Target(codes)), loss_of(name)(other, Target(codes)))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_labels_has_loss_and_gradient_zero(name):
    logits, codes = batch()
    logits.requires_grad_()
    loss = loss_of(name)(logits, Target(torch.full_like(codes, 255)))
    loss.backward()
    assert float(loss.detach()) == 0
    assert float(logits.grad.abs().max()) == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_answer_costs_next_to_nothing(name):
    _, codes = batch()
    logits = 50 * functional.one_hot(codes.masked_fill(codes == 255, 0), 3).permute(0, 3, 1, 2).float()
    assert float(loss_of(name)(logits, Target(codes))) < 1e-3


def test_cross_entropy_is_that_of_torch():
    logits, codes = batch()
    weights = torch.tensor([0.5, 1.0, 3.0])
    expected = functional.cross_entropy(logits, codes, weights, ignore_index=255)
    torch.testing.assert_close(cross_entropy(logits, Target(codes), weights), expected)


def test_soft_labels_that_are_hard_cost_the_same():
    logits, codes = batch()
    shares = functional.one_hot(codes.masked_fill(codes == 255, 0), 3).permute(0, 3, 1, 2).float()
    weights = torch.tensor([0.5, 1.0, 3.0])
    hard, soft = cross_entropy(logits, Target(codes), weights), cross_entropy(logits, Target(codes, shares), weights)
    torch.testing.assert_close(hard, soft)


def test_soft_cross_entropy_is_least_at_the_shares_themselves():
    shares = torch.tensor([0.2, 0.3, 0.5])[None, :, None, None]
    target = Target(torch.full((1, 1, 1), 2), shares)
    at = cross_entropy(shares.log(), target, torch.ones(3))
    entropy = -(shares * shares.log()).sum()
    torch.testing.assert_close(at, entropy)
    assert cross_entropy(shares.log() * 1.1, target, torch.ones(3)) > at


def test_focal_without_focus_is_cross_entropy():
    logits, codes = batch()
    weights = torch.tensor([0.5, 1.0, 3.0])
    expected = cross_entropy(logits, Target(codes), weights)
    torch.testing.assert_close(focal(logits, Target(codes), weights, 0.0), expected)
    assert focal(logits, Target(codes), weights, 2.0) < expected


def test_terms_are_summed_by_weight():
    logits, codes = batch()
    both = SummedLoss(LossSettings(terms={"cross_entropy": 0.5, "dice": 2.0}), PIXELS)(logits, Target(codes))
    parts = [loss_of(name)(logits, Target(codes)) for name in ("cross_entropy", "dice")]
    torch.testing.assert_close(both, 0.5 * parts[0] + 2.0 * parts[1])


def test_effective_number_favours_rare_classes_and_skips_absent_ones():
    settings = LossSettings(class_weights="effective", beta=0.999, unit=1.0)
    weights = class_weights(settings, torch.tensor([100_000, 1000, 10, 0]))
    assert weights[2] > weights[1] > weights[0] > 0
    assert float(weights[3]) == 0
    assert float(weights[:3].mean()) == pytest.approx(1)
    samples = 1000  # Cui et al. 2019, equation 2
    expected = (1 - 0.999) / (1 - 0.999**samples) / ((1 - 0.999) / (1 - 0.999**10))
    assert float(weights[1] / weights[2]) == pytest.approx(expected, rel=1e-5)


def test_weights_do_not_bend_soft_labels():
    """A humble label whose rare class has a large weight is still answered best by itself."""
    shares = torch.tensor([0.7, 0.2, 0.1])[None, :, None, None].expand(1, 3, 2, 2)
    target = Target(torch.zeros(1, 2, 2, dtype=torch.long), shares)
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    weights = torch.tensor([0.1, 1.0, 100.0])
    search = torch.optim.LBFGS([logits], max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        search.zero_grad()
        loss = cross_entropy(logits, target, weights)
        loss.backward()
        return loss

    search.step(closure)
    torch.testing.assert_close(logits.detach().softmax(1), shares, atol=1e-3, rtol=0)


def test_a_blurred_answer_is_compared_with_labels_of_the_same_blur():
    """A sharp line costs least when the labels are the line as a blurred teacher shows it."""
    sharp = torch.full((1, 2, 32, 32), 0.02)
    sharp[:, 0], sharp[:, 0, :, 16], sharp[:, 1, :, 16] = 0.98, 0.02, 0.98
    labels = blurred(sharp, 2.0)
    target = Target(labels.argmax(1), labels)
    even = torch.ones(2)
    assert cross_entropy(sharp.log(), target, even, blur=2.0) < cross_entropy(labels.log(), target, even, blur=2.0)
    assert cross_entropy(labels.log(), target, even) < cross_entropy(sharp.log(), target, even)


@pytest.mark.parametrize("deviation", [0.5, 2.0, 16.0])
def test_blurring_keeps_sums_and_even_planes(deviation):
    planes = torch.softmax(torch.randn(2, 3, 24, 20, generator=torch.Generator().manual_seed(1)), dim=1)
    smooth = blurred(planes, deviation)
    torch.testing.assert_close(smooth.sum(dim=1), torch.ones(2, 24, 20))
    assert float(smooth.std()) < float(planes.std())
    even = torch.full((1, 3, 24, 20), 0.25)
    torch.testing.assert_close(blurred(even, deviation), even)


def test_the_blur_is_scipys_gaussian_inside():
    plane = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(2))
    expected = gaussian_filter(plane[0, 0].double().numpy(), 1.5, mode="mirror", truncate=2.0)
    np.testing.assert_allclose(blurred(plane, 1.5)[0, 0].numpy(), expected, atol=1e-6)
