"""Estimates of zones: against numbers by hand, and whether their intervals hold the truth in a simulation."""

import numpy as np
import pytest

from lulc.metrics.area_estimate import LabelledPoints
from lulc.metrics.share_interval import wilson
from lulc.metrics.zone_estimate import FEWEST_POINTS, estimate_zone, synthetic_areas


def points(pairs):
    """Points from (map class, reference class, how many)."""
    mapped, reference, times = np.array(pairs).T
    mapped, reference = np.repeat(mapped, times), np.repeat(reference, times)
    return LabelledPoints(mapped, mapped, reference, np.full(len(mapped), 0.01))


def test_two_classes_by_hand():
    """40 ha mapped as class 1, of whose 20 points 2 are class 2; 10 ha mapped as class 2, of whose 10 points 1 is class 1."""
    found = estimate_zone(points([(1, 1, 18), (1, 2, 2), (2, 2, 9), (2, 1, 1)]), np.array([40.0, 10.0]))
    assert (found.points, found.unknown) == (30, 0)
    first, second = found.shares
    assert first.value == pytest.approx((40 * 18 / 20 + 10 * 1 / 10) / 50)
    assert second.value == pytest.approx(1 - first.value)
    # MOVER of two Wilson intervals of shares that are added: distances by Pythagoras
    lows = [0.8 * (0.9 - wilson(0.9, 20)[0]), 0.2 * (0.1 - wilson(0.1, 10)[0])]
    assert first.low == pytest.approx(first.value - np.hypot(*lows))
    assert first.high == pytest.approx(1 - second.low)


def test_a_class_without_points_counts_as_mapped_and_may_be_anything():
    some = points([(1, 1, 30)])
    whole = estimate_zone(some, np.array([100.0, 0.0, 0.0]))
    found = estimate_zone(some, np.array([96.0, 4.0, 0.0]))
    assert found.unknown == pytest.approx(0.04)
    values = [share.value for share in found.shares]
    assert values == pytest.approx([0.96, 0.04, 0])
    assert found.shares[0].low == pytest.approx(0.96 * whole.shares[0].low)
    assert found.shares[0].high == pytest.approx(1)
    assert found.shares[2].low == 0
    assert found.shares[2].high == pytest.approx(0.96 * whole.shares[2].high + 0.04)


@pytest.mark.parametrize(
    ("pairs", "areas"),
    [
        ([(1, 1, FEWEST_POINTS - 1)], [1.0, 0.0]),
        ([(1, 1, 100)], [94.0, 6.0]),
        ([(1, 1, 100), (2, 2, 1)], [94.0, 6.0]),  # one point has no variance
    ],
)
def test_too_few_points_give_no_interval(pairs, areas):
    assert estimate_zone(points(pairs), np.array(areas)).shares is None


def test_a_zone_without_points_or_without_area():
    nothing = LabelledPoints(*(np.zeros(0, np.int64),) * 3, np.zeros(0))
    assert estimate_zone(nothing, np.array([1.0, 2.0])).shares is None
    assert estimate_zone(nothing, np.zeros(2)) == estimate_zone(nothing, np.zeros(2))


def test_a_synthetic_estimate_by_hand():
    matrix = np.array([[0.5, 0.1], [0.1, 0.3]])
    found = synthetic_areas(matrix, np.array([12.0, 8.0]))
    assert found == pytest.approx([12 * 5 / 6 + 8 / 4, 12 / 6 + 8 * 3 / 4])
    assert found.sum() == pytest.approx(20)
    assert np.isnan(synthetic_areas(np.array([[1.0, 0], [0, 0]]), np.array([1.0, 1.0]))).all()


def test_intervals_of_zones_hold_the_truth():
    """A map of 200 x 300 pixels with errors that differ between its halves; samples of the whole map; zones are its columns' thirds."""
    rng = np.random.default_rng(0)
    truth = rng.choice([1, 2, 3], (20, 30), p=[0.6, 0.3, 0.1]).repeat(10, axis=0).repeat(10, axis=1)
    wrong = rng.random(truth.shape) < np.where(np.arange(300) < 150, 0.05, 0.25)
    mapped = np.where(wrong, rng.choice([1, 2, 3], truth.shape), truth)
    zone = np.broadcast_to(np.arange(300) // 100, truth.shape)
    areas = [np.bincount(mapped[zone == n], minlength=4)[1:].astype(float) for n in range(3)]
    shares = [np.bincount(truth[zone == n], minlength=4)[1:] / (zone == n).sum() for n in range(3)]
    pixels = [np.flatnonzero(mapped == code) for code in (1, 2, 3)]
    hits, values = [], []
    for _ in range(300):
        drawn = np.concatenate([rng.choice(each, 60, replace=False) for each in pixels])
        for n in range(3):
            mine = drawn[zone.ravel()[drawn] == n]
            codes, labels = mapped.ravel()[mine], truth.ravel()[mine]
            found = estimate_zone(LabelledPoints(codes, codes, labels, np.ones(len(mine))), areas[n])
            hits += [share.low <= value <= share.high for share, value in zip(found.shares, shares[n], strict=True)]
            values.append([share.value - value for share, value in zip(found.shares, shares[n], strict=True)])
    assert 0.93 <= np.mean(hits) <= 0.99
    assert np.abs(np.mean(values, axis=0)).max() < 0.005  # and the values are not biased
