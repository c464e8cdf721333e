import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.io.product.rounding import largest_remainder, most_probable, product_bytes


def probabilities(classes, shape, seed, peakedness=3.0):
    logits = np.random.default_rng(seed).normal(size=(classes, *shape)) * peakedness
    shares = np.exp(logits - logits.max(axis=0))
    return (shares / shares.sum(axis=0)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20), st.integers(0, 2**31), st.floats(0.01, 30))
def test_bytes_sum_to_250_and_the_winner_stays_ahead(classes, seed, peakedness):
    given_kyx = probabilities(classes, (70, 9), seed, peakedness)
    product = product_bytes(given_kyx, np.ones((70, 9), bool))
    codes, shares = product[0].astype(int) - 1, product[1:].astype(int)
    assert (shares.sum(axis=0) == 250).all()
    np.testing.assert_array_equal(codes, given_kyx.argmax(axis=0))
    np.testing.assert_array_equal(np.take_along_axis(shares, codes[None], 0)[0], shares.max(axis=0))
    assert (abs(shares / 250 - given_kyx) <= 1 / 250 + 1e-6).all()


def test_equal_probabilities_go_to_the_first_class():
    product = product_bytes(np.full((3, 1, 1), 1 / 3, np.float32), np.ones((1, 1), bool))
    assert product[:, 0, 0].tolist() == [1, 84, 83, 83]


def test_largest_remainder_against_a_plain_reading_of_the_method():
    shares = np.random.default_rng(4).dirichlet(np.ones(7), size=50).astype(np.float32)
    fast = largest_remainder(shares.T[:, :, None])[:, :, 0].T
    for row, expected_from in zip(fast, shares, strict=True):
        scaled = expected_from * np.float32(250)
        floor = np.floor(scaled)
        order = np.argsort(floor - scaled, kind="stable")
        floor[order[: int(250 - floor.sum())]] += 1
        assert row.tolist() == floor.astype(int).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**31))
def test_the_most_probable_is_the_first_of_the_largest(classes, seed):
    planes = np.random.default_rng(seed).integers(0, 3, (classes, 5, 40)).astype(np.float32)
    np.testing.assert_array_equal(most_probable(planes), planes.argmax(axis=0))


@pytest.mark.parametrize("shape", [(1, 40_000), (300, 511), (70, 1)])
def test_the_cut_into_slabs_changes_nothing(shape):
    given_kyx = probabilities(5, shape, 1)
    whole = product_bytes(given_kyx, np.ones(shape, bool))
    np.testing.assert_array_equal(whole[1:], largest_remainder(given_kyx))


def test_invalid_pixels_are_nodata_in_every_band():
    product = product_bytes(probabilities(4, (1, 2), 0), np.array([[True, False]]))
    assert (product[:, 0, 1] == 255).all()
    assert (product[:, 0, 0] != 255).all()
