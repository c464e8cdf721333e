import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.io.product import rounding
from lulc.model.quantise import device_bytes, largest_remainder, sky_codes, stored_bands


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20), st.integers(0, 2**31), st.floats(0.01, 30))
def test_a_device_rounds_as_the_cpu_does(classes, seed, peakedness):
    logits = torch.randn(classes, 70, 9, generator=torch.Generator().manual_seed(seed)) * peakedness
    probabilities = torch.softmax(logits, dim=0)
    np.testing.assert_array_equal(largest_remainder(probabilities), rounding.largest_remainder(probabilities.numpy()))


@pytest.mark.parametrize("classes", [2, 9])
def test_a_device_stores_the_bytes_of_the_cpu(classes):
    logits = torch.randn(classes, 70, 9, generator=torch.Generator().manual_seed(classes)).round(decimals=1)
    probabilities = torch.softmax(logits, dim=0)  # of rounded logits many are equal
    np.testing.assert_array_equal(device_bytes(probabilities), stored_bands(probabilities, "uint8"))


def test_bands_by_how_activations_are_stored():
    probabilities = torch.softmax(torch.randn(4, 3, 2), 0)
    codes = probabilities.argmax(0) + 1
    floats, alone, stored = (stored_bands(probabilities, kind) for kind in ("float32", "none", "uint8"))
    np.testing.assert_array_equal(floats[1:], probabilities)
    np.testing.assert_array_equal(alone, codes[None])
    assert stored[1:].sum(0).eq(250).all()
    for bands, dtype in ((floats, torch.float32), (alone, torch.uint8), (stored, torch.uint8)):
        assert bands.dtype == dtype
        np.testing.assert_array_equal(bands[0], codes)


def test_the_sky_is_what_is_most_likely_and_clear_without_a_head():
    sky = torch.tensor([[0.5, 0.1, 0.2], [0.3, 0.7, 0.3], [0.2, 0.2, 0.5]])[:, None]
    codes = sky_codes(sky)
    assert codes.dtype == torch.uint8
    np.testing.assert_array_equal(codes, [[0, 1, 2]])
    np.testing.assert_array_equal(sky_codes(sky[:0]), [[0, 0, 0]])
