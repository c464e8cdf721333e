import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lulc.metrics.sample_design import allocate, allocate_for, expected_se, sample_size

PIXELS = (200_000, 150_000, 3_200_000, 6_450_000)
EXPECTED = (0.7, 0.6, 0.9, 0.95)


class TestSize:
    def test_olofsson(self):
        """Olofsson et al. (2014), section 5.1.1: 641 points for a standard error of 0.01."""
        assert sample_size(PIXELS, EXPECTED, 0.01) == 641

    def test_a_small_map_is_never_asked_for_more_than_it_has(self):
        assert sample_size((60, 40), (0.6, 0.6), 0.001) <= 100

    def test_half_the_error_takes_four_times_the_points(self):
        assert sample_size(PIXELS, EXPECTED, 0.005) == pytest.approx(4 * 641, rel=0.01)


class TestAllocation:
    def test_rare_classes_get_the_minimum_and_the_others_share(self):
        """Near the 75, 75, 165, 325 that Olofsson et al. (2014) chose by hand."""
        assert allocate(PIXELS, 640, 75) == (75, 75, 162, 328)

    def test_proportional_without_a_minimum(self):
        assert allocate((100, 300, 600), 100, 0) == (10, 30, 60)

    def test_a_class_with_few_pixels_gives_all(self):
        assert allocate((3, 0, 10_000), 200, 50) == (3, 0, 197)

    def test_minima_above_the_total(self):
        assert allocate((1000, 1000, 1000), 60, 50) == (50, 50, 50)

    def test_more_than_there_is(self):
        assert allocate((10, 20), 1000, 5) == (10, 20)

    @given(st.lists(st.integers(0, 10_000), min_size=1, max_size=12), st.integers(1, 3000), st.integers(0, 200))
    def test_what_always_holds(self, pixels, total, minimum):
        points = np.array(allocate(pixels, total, minimum))
        least = np.minimum(pixels, minimum)
        assert (points <= pixels).all()
        assert (points >= least).all()
        assert points.sum() == min(max(total, least.sum()), sum(pixels))

    @given(st.lists(st.integers(1, 10_000), min_size=2, max_size=12), st.integers(1, 3000), st.integers(0, 200))
    def test_a_larger_class_never_gets_fewer(self, pixels, total, minimum):
        points = np.array(allocate(sorted(pixels), total, minimum))
        assert (np.diff(points) >= -1).all()


class TestExpectedError:
    def test_by_hand(self):
        weights, points = np.array([0.2, 0.8]), np.array([50, 150])
        spread = np.array([0.7 * 0.3, 0.9 * 0.1])
        by_hand = np.sqrt((weights**2 * spread / points).sum())
        assert expected_se((2_000_000, 8_000_000), (50, 150), (0.7, 0.9)) == pytest.approx(by_hand, rel=1e-4)

    def test_the_wanted_error_comes_out_of_the_best_allocation(self):
        spread = np.sqrt(np.array(EXPECTED) * (1 - np.array(EXPECTED))) * PIXELS
        best = 641 * spread / spread.sum()
        assert expected_se(PIXELS, best, EXPECTED) == pytest.approx(0.01, rel=1e-3)

    def test_a_census_has_none(self):
        assert expected_se((50, 10, 0), (50, 10, 0), (0.9, 0.9, 0.9)) == 0


@pytest.mark.parametrize("target", [0.005, 0.01, 0.02, 0.05])
def test_the_wanted_error_is_reached_with_no_point_too_many(target):
    pixels, expected = [195_505, 24_958, 5_315, 502_201, 98, 0], [0.9] * 6
    points = allocate_for(pixels, expected, target, 50)
    assert expected_se(pixels, points, expected) <= target
    assert min(count for count, size in zip(points, pixels, strict=True) if size) >= 50
    if sum(points) > 250:
        fewer = allocate(pixels, sum(points) - 1, 50)
        assert expected_se(pixels, fewer, expected) > target
