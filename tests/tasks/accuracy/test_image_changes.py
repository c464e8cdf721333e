"""Changes of an image: each shows what its name says, and leads back to the same ground."""

import numpy as np
import pytest

from lulc.tasks.accuracy.image_changes import gain, image_changes, no_other_level, other_level, shift, turn

NAMES = ("B02", "B04", "B08")


def image(height=7, width=9):
    """Reflectance of 0.05 to 0.5, a pixel without data."""
    values = np.random.default_rng(0).uniform(0.05, 0.5, (3, height, width)).astype(np.float32)
    values[:, 2, 3] = np.nan
    return values


def ranks(reflectance):
    """A network of one pixel: 1 or 2 by the first band, 255 where there is no data."""
    return np.where(np.isnan(reflectance[0]), 255, 1 + (reflectance[0] > 0.2)).astype(np.uint8)


@pytest.mark.parametrize("pixels", [1, 3])
def test_a_shift_cuts_the_first_rows_and_columns_and_leads_back(pixels):
    original = image()
    assert shift(pixels).changed(original).shape == (3, 7 - pixels, 9 - pixels)
    found = shift(pixels).classes(ranks, original)
    np.testing.assert_array_equal(found[pixels:, pixels:], ranks(original)[pixels:, pixels:])
    assert (found[:pixels] == 255).all()
    assert (found[:, :pixels] == 255).all()


def test_a_turn_leads_back():
    original = image()
    assert turn().changed(original).shape == (3, 9, 7)
    np.testing.assert_array_equal(turn().changed(original)[:, 0], original[:, :, -1])
    np.testing.assert_array_equal(turn().classes(ranks, original), ranks(original))


def test_a_gain_multiplies_bands_and_leaves_indices():
    original = image()
    changed = gain(1.1, ("B02", "NDVI", "B08")).changed(original)
    assert changed.dtype == np.float32
    np.testing.assert_allclose(changed[[0, 2]], 1.1 * original[[0, 2]], rtol=1e-6)
    np.testing.assert_array_equal(changed[1], original[1])


def test_the_other_level_is_hazier_in_blue_and_leads_back():
    original = image()
    above = other_level(NAMES, "L2A").changed(original)
    dark = original < 0.08
    assert (above[0][dark[0]] > original[0][dark[0]]).all()
    assert np.isnan(above[:, 2, 3]).all()
    np.testing.assert_allclose(other_level(NAMES, "L1C").changed(above), original, rtol=1e-4)
    assert other_level(NAMES, "L1C").changed(np.zeros((3, 1, 1), np.float32)).min() > 0


@pytest.mark.parametrize(
    ("names", "level", "reason"),
    [
        (NAMES, "L1C", ""),
        (NAMES, "L2A", ""),
        (NAMES, "", "the scene does not say its level"),
        (NAMES, "L3A", "the level is L3A, not L1C or L2A"),
        (("B04", "B8A", "NDVI"), "L2A", "the atmosphere is not known in B8A, NDVI"),
    ],
)
def test_the_other_level_is_shown_where_it_is_known(names, level, reason):
    assert no_other_level(names, level) == reason
    assert ("other level" in [change.name for change in image_changes(names, level)]) == (not reason)


@pytest.mark.parametrize(
    ("stride", "shifts"), [(1, [1]), (2, [1]), (4, [1, 2]), (8, [1, 2, 4]), (32, [1, 2, 4, 8, 16])]
)
def test_shifts_are_powers_of_two_below_the_stride(stride, shifts):
    names = [change.name for change in image_changes(NAMES, "", stride)]
    assert names == [*(f"shift {pixels} px" for pixels in shifts), "turn 90", "gain 0.9", "gain 1.1"]
