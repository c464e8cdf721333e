import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.io.product import rounding
from lulc.model.quantise import largest_remainder, product_bytes, product_floats, sky_codes


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20), st.integers(0, 2**31), st.floats(0.01, 30))
def test_a_device_rounds_as_the_cpu_does(classes, seed, peakedness):
    logits = torch.randn(classes, 70, 9, generator=torch.Generator().manual_seed(seed)) * peakedness
    probabilities = torch.softmax(logits, dim=0)
    np.testing.assert_array_equal(largest_remainder(probabilities), rounding.largest_remainder(probabilities.numpy()))


def test_invalid_pixels_are_nodata_in_every_band():
    probabilities, valid = torch.softmax(torch.randn(4, 1, 2), 0), np.array([[True, False]])
    for stored in (product_bytes(probabilities, valid), product_floats(probabilities, valid)):
        assert (stored[:, 0, 1] == 255).all()
        assert (stored[:, 0, 0] != 255).all()


def test_float_activations_are_the_probabilities():
    probabilities = torch.softmax(torch.randn(4, 3, 2), 0)
    product = product_floats(probabilities, np.ones((3, 2), bool))
    np.testing.assert_array_equal(product[1:], probabilities)
    np.testing.assert_array_equal(product[0] - 1, probabilities.argmax(0))


def test_the_sky_is_what_is_most_likely_and_clear_without_a_head():
    sky = torch.tensor([[0.5, 0.1, 0.2], [0.3, 0.7, 0.3], [0.2, 0.2, 0.5]])[:, None]
    codes = sky_codes(sky)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, [[0, 1, 2]])
    np.testing.assert_array_equal(sky_codes(sky[:0]), [[0, 0, 0]])
