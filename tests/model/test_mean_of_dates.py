"""The mean over dates, against whole-array numpy."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lulc.model.mean_of_dates import MeanOfDates


@given(seed=st.integers(0, 999), dates=st.integers(1, 6))
def test_the_mean_counts_what_is_valid(seed, dates):
    rng = np.random.default_rng(seed)
    each = torch.from_numpy(rng.normal(size=(dates, 4, 3, 5)).astype(np.float32)).softmax(1)
    valid = rng.random((dates, 3, 5)) < 0.6
    mean = MeanOfDates(each[0])
    for one, shown in zip(each, valid, strict=True):
        mean.add(one, shown)
    looks = valid.sum(0)
    expected = np.where(valid[:, None], each.numpy(), 0).sum(0) / np.maximum(looks, 1)
    assert mean.looks.dtype == np.uint8
    np.testing.assert_array_equal(mean.looks, looks)
    np.testing.assert_allclose(mean.mean().numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(mean.mean().sum(0).numpy(), looks > 0, atol=1e-6)


def test_one_date_is_its_own_mean_to_the_bit():
    each = torch.rand(4, 3, 5).softmax(0)
    mean = MeanOfDates(each)
    mean.add(each, np.ones((3, 5), bool))
    assert torch.equal(mean.mean(), each)


def test_what_a_date_does_not_show_is_left_out_even_if_it_is_not_finite():
    each, shown = torch.full((4, 3, 5), 0.25), np.ones((3, 5), bool)
    mean = MeanOfDates(each)
    mean.add(each, shown)
    mean.add(torch.full_like(each, torch.nan), ~shown)
    assert torch.equal(mean.mean(), each)
