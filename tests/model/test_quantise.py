import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.model.quantise import largest_remainder, product_bytes, product_floats, sky_codes


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20), st.integers(0, 2**31), st.floats(0.01, 30))
def test_bytes_sum_to_250_and_the_winner_stays_ahead(classes, seed, peakedness):
    logits = torch.randn(classes, 70, 9, generator=torch.Generator().manual_seed(seed)) * peakedness
    probabilities = torch.softmax(logits, dim=0)
    product = product_bytes(probabilities, torch.ones(70, 9, dtype=torch.bool))
    codes, shares = product[0].long() - 1, product[1:].int()
    assert (shares.sum(0) == 250).all()
    assert torch.equal(codes, probabilities.argmax(0))
    assert torch.equal(shares.gather(0, codes[None])[0], shares.max(0).values)
    assert ((shares / 250 - probabilities).abs() <= 1 / 250 + 1e-6).all()


def test_equal_probabilities_go_to_the_first_class():
    probabilities = torch.full((3, 1, 1), 1 / 3)
    product = product_bytes(probabilities, torch.ones(1, 1, dtype=torch.bool))
    assert product[:, 0, 0].tolist() == [1, 84, 83, 83]


def test_largest_remainder_against_a_plain_reading_of_the_method():
    shares = np.random.default_rng(4).dirichlet(np.ones(7), size=50)
    fast = largest_remainder(torch.tensor(shares.T[:, :, None], dtype=torch.float32))[:, :, 0].T.numpy()
    for row, expected_from in zip(fast, shares.astype(np.float32), strict=True):
        scaled = torch.tensor(expected_from) * 250
        floor = scaled.floor()
        order = torch.argsort(scaled - floor, descending=True, stable=True)
        floor[order[: int(250 - floor.sum())]] += 1
        assert row.tolist() == floor.int().tolist()


@pytest.mark.parametrize("rounding", [product_bytes, product_floats])
def test_invalid_pixels_are_nodata_in_every_band(rounding):
    valid = torch.tensor([[True, False]])
    product = rounding(torch.softmax(torch.randn(4, 1, 2), 0), valid)
    assert (product[:, 0, 1] == 255).all()
    assert (product[:, 0, 0] != 255).all()


def test_float_activations_are_the_probabilities():
    probabilities = torch.softmax(torch.randn(4, 3, 2), 0)
    product = product_floats(probabilities, torch.ones(3, 2, dtype=torch.bool))
    assert torch.equal(product[1:], probabilities)
    assert torch.equal(product[0].long() - 1, probabilities.argmax(0))


def test_the_sky_is_what_is_most_likely_and_clear_without_a_head():
    sky = torch.tensor([[0.5, 0.1, 0.2], [0.3, 0.7, 0.3], [0.2, 0.2, 0.5]])[:, None]
    codes = sky_codes(sky)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, [[0, 1, 2]])
    np.testing.assert_array_equal(sky_codes(sky[:0]), [[0, 0, 0]])
