import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lulc.metrics.share_interval import Stratum, share_interval, wilson

BINARY = Stratum(area=1.0, points=50, hits=0.9, misses=0.1, can_hit=True, can_miss=True, nothing_else=True)


@pytest.mark.parametrize(("hits", "points"), [(0, 10), (3, 10), (10, 10), (199, 200)])
def test_wilson(hits, points):
    ends = stats.binomtest(hits, points).proportion_ci(0.95, method="wilson")
    assert wilson(hits / points, points) == pytest.approx((ends.low, ends.high), abs=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_wilson_of_a_census(share):
    assert wilson(share, np.inf) == (share, share)


def test_one_stratum_has_wilsons_interval():
    assert share_interval([BINARY]) == pytest.approx(wilson(0.9, 50))


def test_shares_of_strata_put_together():
    """MOVER for a sum (Zou & Donner 2008): distances of the limits add up in squares."""
    strata = [
        dataclasses.replace(BINARY, area=area, hits=hits, misses=1 - hits) for area, hits in ((0.7, 0.02), (0.3, 0.9))
    ]
    low, high = share_interval(strata)
    value = sum(part.area * part.hits for part in strata)
    below = np.hypot(*(part.area * (part.hits - wilson(part.hits, 50)[0]) for part in strata))
    above = np.hypot(*(part.area * (wilson(part.hits, 50)[1] - part.hits) for part in strata))
    assert (low, high) == pytest.approx((value - below, value + above))


def test_ratio_of_independent_strata():
    """MOVER for a ratio of two sums, as Donner & Zou (2012) print it."""
    hit = dataclasses.replace(BINARY, hits=0.8, misses=0.0, can_miss=False, nothing_else=False)
    miss = dataclasses.replace(BINARY, hits=0.0, misses=0.3, can_hit=False, nothing_else=False)
    (l1, u1), (l2, u2), a, b = wilson(0.8, 50), wilson(0.3, 50), 0.8, 0.3
    least = (a * b - np.sqrt((a * b) ** 2 - l1 * u2 * (2 * a - l1) * (2 * b - u2))) / (u2 * (2 * b - u2))
    most = (a * b + np.sqrt((a * b) ** 2 - u1 * l2 * (2 * a - u1) * (2 * b - l2))) / (l2 * (2 * b - l2))
    assert share_interval([hit, miss]) == pytest.approx((least / (1 + least), most / (1 + most)))


def test_strata_that_cannot_matter_do_not():
    other = Stratum(5.0, 3, 0.0, 0.0, can_hit=False, can_miss=False, nothing_else=False)
    assert not other.varies
    assert share_interval([BINARY, other]) == pytest.approx(share_interval([BINARY]))


@given(
    st.lists(
        st.tuples(st.floats(0.01, 10), st.integers(1, 100), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5
    ),
    st.sampled_from([1.0, 2.0]),
)
def test_ends_lie_around_the_value(parts, gain):
    strata = [
        Stratum(area, points, hits, misses * (1 - hits), can_hit=True, can_miss=True, nothing_else=False)
        for area, points, hits, misses in parts
    ]
    above = gain * sum(part.area * part.hits for part in strata)
    below = sum(part.area * part.misses for part in strata)
    low, high = share_interval(strata, gain)
    assert 0 <= low <= high <= 1
    if above + below > 1e-9:
        assert low - 1e-9 <= above / (above + below) <= high + 1e-9
