"""Equal pixels are decided once, and as if each had been decided by itself."""

import numpy as np
import pytest

from lulc.tasks.change import distinct, pixels
from lulc.tasks.change.distinct import distinct_pairs
from lulc.tasks.change.pixels import ChangePixels, change_pixels


def steps(classes, count, kinds, seed=0):
    """Activations of some kinds of pixels, mixed: uint8 (classes, count)."""
    rng = np.random.default_rng(seed)
    table = rng.multinomial(250, rng.dirichlet(np.full(classes, 0.2), kinds)).astype(np.uint8)
    return np.ascontiguousarray(table[rng.integers(0, kinds, count)].T)


@pytest.mark.parametrize("classes", [2, 4, 5, 9, 15])
@pytest.mark.parametrize("kinds", [1, 7, 3000])
@pytest.mark.parametrize("count", [1, 2, 1000])
def test_each_pixel_equals_the_one_that_stands_for_it(classes, kinds, count):
    before, after = steps(classes, count, kinds), steps(classes, count, kinds, seed=1)
    chosen, which = distinct_pairs(before, after)
    np.testing.assert_array_equal(before[:, chosen][:, which], before)
    np.testing.assert_array_equal(after[:, chosen][:, which], after)
    pairs = len(np.unique(np.concatenate([before, after]), axis=1).T)
    assert pairs <= len(chosen) <= count
    if kinds == 1:
        assert len(chosen) == 1


def test_pixels_that_meet_in_one_slot_are_still_told_apart(monkeypatch):
    monkeypatch.setattr(distinct, "_MIXER", 0)
    before, after = steps(9, 500, 20), steps(9, 500, 20, seed=1)
    chosen, which = distinct_pairs(before, after)
    np.testing.assert_array_equal(before[:, chosen][:, which], before)
    np.testing.assert_array_equal(after[:, chosen][:, which], after)


@pytest.mark.parametrize("classes", [2, 9, 15])
@pytest.mark.parametrize("threshold", [1e-7, 0.3, 1])
def test_bytes_are_decided_as_their_floats_are(classes, threshold, monkeypatch):
    monkeypatch.setattr(pixels, "_PIECE", 700)
    monkeypatch.setattr(pixels, "_CACHED", 64)
    shape = 40, 50
    before, after = (steps(classes, 2000, 90, seed).reshape(classes, *shape) for seed in (2, 3))
    before[:, :8, :9] = after[:, 30:, 40:] = 255
    floats = [
        np.where(values == 255, np.nan, values * np.float32(0.004)).astype(np.float32) for values in (before, after)
    ]
    weights = np.random.default_rng(4).random(shape)
    found, areas = change_pixels(before, after, 0.05, threshold, weights)
    truth, expected = change_pixels(*floats, 0.05, threshold, weights)
    for name in ChangePixels.__slots__:
        np.testing.assert_array_equal(getattr(found, name), getattr(truth, name))
    np.testing.assert_allclose(areas, expected, rtol=1e-12)
    assert (found.probability[:8, :9] == 255).all()
    assert not found.changed[:8, :9].any()
