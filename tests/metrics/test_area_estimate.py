"""Held to printed examples, to the printed formulas, and to populations whose truth is known."""

import dataclasses

import numpy as np
import pytest

from lulc.metrics.area_estimate import LabelledPoints, Strata, estimate_from_points
from lulc.metrics.sample_design import allocate

OLOFSSON = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
"""Olofsson et al. (2014), table 8: deforestation, forest gain, stable forest, stable non-forest."""

PIXELS = (200_000, 150_000, 3_200_000, 6_450_000)
HECTARES = tuple(0.09 * count for count in PIXELS)

STEHMAN_STRATA = "A" * 10 + "B" * 10 + "C" * 10 + "D" * 10
STEHMAN_MAP = "AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"
STEHMAN_REFERENCE = "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB"
"""Stehman (2014), table 2: ten points in each of four strata of 40, 30, 20 and 10 thousand pixels."""


def points_of(counts):
    """A sample with one point for each count; strata are the map's classes."""
    mapped, reference = (np.repeat(axis.ravel() + 1, counts.ravel()) for axis in np.indices(counts.shape))
    return LabelledPoints(mapped, mapped, reference, np.ones(len(mapped)))


def strata_of(pixels, hectares=None, **more):
    areas = hectares or tuple(map(float, pixels))
    return Strata(tuple(range(1, len(pixels) + 1)), tuple(pixels), tuple(areas), **more)


def values(estimates):
    return np.array([entry.value for entry in estimates])


def errors(estimates):
    return np.array([entry.se for entry in estimates])


def margins(estimates):
    return np.array([entry.margin for entry in estimates])


@pytest.fixture(scope="module")
def olofsson():
    return estimate_from_points(points_of(OLOFSSON), strata_of(PIXELS, HECTARES), 4, finite_population=False)


class TestOlofsson:
    def test_overall_accuracy_as_printed(self, olofsson):
        assert f"{olofsson.overall.value:.2f} {olofsson.overall.margin:.2f}" == "0.95 0.02"
        assert f"{olofsson.overall.value:.3f} {olofsson.overall.margin:.3f}" == "0.947 0.018"

    def test_users_accuracy_as_printed(self, olofsson):
        printed = [f"{entry.value:.2f} {entry.margin:.2f}" for entry in olofsson.users]
        assert printed == ["0.88 0.07", "0.73 0.10", "0.93 0.04", "0.96 0.02"]

    def test_producers_accuracy_as_printed(self, olofsson):
        assert [f"{entry.value:.2f}" for entry in olofsson.producers] == ["0.75", "0.85", "0.93", "0.96"]
        assert [f"{entry.margin:.2f}" for entry in olofsson.producers][::2] == ["0.21", "0.03"]

    def test_two_printed_margins_are_not_those_of_their_own_equation(self, olofsson):
        """The paper prints 0.23 and 0.01 for forest gain and stable non-forest; its eq. 7 gives 0.25 and 0.02."""
        assert margins(olofsson.producers)[1::2] == pytest.approx([0.254, 0.018], abs=5e-4)

    def test_areas_as_printed(self, olofsson):
        shares = olofsson.shares
        assert np.round(values(shares) * 900_000).tolist() == [21_158, 11_686, 285_770, 581_386]
        assert np.round(margins(shares) * 900_000).tolist() == [6_158, 3_756, 15_510, 16_282]
        assert olofsson.sampled_area == pytest.approx(900_000)

    def test_matrix_of_proportions_as_printed(self, olofsson):
        printed = [
            [0.0176, 0, 0.0013, 0.0011],
            [0, 0.0110, 0.0016, 0.0024],
            [0.0019, 0, 0.2967, 0.0213],
            [0.0040, 0.0020, 0.0179, 0.6212],
        ]
        assert np.round(olofsson.proportions, 4).tolist() == printed
        assert olofsson.counts.tolist() == OLOFSSON.tolist()

    def test_every_error_is_that_of_the_printed_formulas(self):
        """Eq. 5 to 10, written as in the paper."""
        rng = np.random.default_rng(0)
        for _ in range(20):
            n = rng.integers(1, 40, (5, 5))
            pixels = rng.integers(1000, 90_000, 5)
            found = estimate_from_points(points_of(n), strata_of(pixels), 5, finite_population=False)
            weights, rows = pixels / pixels.sum(), n.sum(axis=1)
            p = weights[:, None] * n / rows[:, None]
            users, producers = np.diag(n) / rows, np.diag(p) / p.sum(axis=0)
            spread = users * (1 - users) / (rows - 1)
            columns = pixels.sum() * p.sum(axis=0)
            share = n / rows[:, None]
            omitted = pixels[:, None] ** 2 * share * (1 - share) / (rows[:, None] - 1)
            np.fill_diagonal(omitted, 0)
            own = pixels**2 * (1 - producers) ** 2 * spread
            producers_variance = (own + producers**2 * omitted.sum(axis=0)) / columns**2
            area_variance = ((weights[:, None] * p - p**2) / (rows[:, None] - 1)).sum(axis=0)
            assert found.overall.value == pytest.approx(np.trace(p))
            assert found.overall.se == pytest.approx(np.sqrt((weights**2 * spread).sum()))
            np.testing.assert_allclose(errors(found.users), np.sqrt(spread))
            np.testing.assert_allclose(values(found.producers), producers)
            np.testing.assert_allclose(errors(found.producers), np.sqrt(producers_variance))
            np.testing.assert_allclose(values(found.shares), p.sum(axis=0))
            np.testing.assert_allclose(errors(found.shares), np.sqrt(area_variance))
            np.testing.assert_allclose(values(found.f1), 2 / (1 / users + 1 / producers))


@pytest.fixture(scope="module")
def found():
    """Stehman's example, estimated."""
    strata, mapped, reference = (
        np.array(["ABCD".index(letter) + 1 for letter in text])
        for text in (STEHMAN_STRATA, STEHMAN_MAP, STEHMAN_REFERENCE)
    )
    points = LabelledPoints(strata, mapped, reference, np.ones(40))
    return estimate_from_points(points, strata_of((40_000, 30_000, 20_000, 10_000), are_classes=False), 4)


class TestStehman:
    """Numbers of the paper's example (p. 4932 to 4936); its digits beyond the print are those of the R package mapac."""

    def test_proportions(self, found):
        shares = [[0.23, 0.04, 0.04, 0], [0.12, 0.27, 0.08, 0], [0, 0.02, 0.06, 0.04], [0, 0.01, 0.02, 0.07]]
        np.testing.assert_allclose(found.proportions, shares, atol=1e-12)

    def test_areas(self, found):
        assert (found.shares[0].value, found.shares[2].value) == pytest.approx((0.35, 0.20))
        assert (found.shares[0].se, found.shares[2].se) == pytest.approx((0.082, 0.064), abs=5e-4)

    def test_overall_accuracy(self, found):
        assert (found.overall.value, found.overall.se) == pytest.approx((0.63, 0.085), abs=5e-4)

    def test_users_accuracy(self, found):
        np.testing.assert_allclose(values(found.users), [0.7419355, 0.5744681, 0.5, 0.7], rtol=1e-6)
        np.testing.assert_allclose(errors(found.users), [0.1645627, 0.1248023, 0.2151657, 0.1527525], rtol=2e-3)

    def test_producers_accuracy(self, found):
        np.testing.assert_allclose(values(found.producers), [0.6571429, 0.7941176, 0.3, 0.6363636], rtol=1e-6)
        np.testing.assert_allclose(errors(found.producers), [0.1477318, 0.1165671, 0.1504438, 0.1623242], rtol=2e-3)

    def test_f1(self, found):
        np.testing.assert_allclose(values(found.f1), [0.6969697, 0.6666667, 0.375, 0.6666667], rtol=1e-6)

    def test_equals_the_estimator_for_strata_that_are_classes(self):
        points = points_of(OLOFSSON)
        first = estimate_from_points(points, strata_of(PIXELS), 4)
        second = estimate_from_points(points, strata_of(PIXELS, are_classes=False), 4)
        assert first.overall == second.overall
        for name in ("users", "producers", "f1", "shares"):
            np.testing.assert_allclose(values(getattr(first, name)), values(getattr(second, name)))
            np.testing.assert_allclose(errors(getattr(first, name)), errors(getattr(second, name)))


class TestEdges:
    def test_a_census_has_no_error(self):
        counts = np.array([[8, 2], [1, 4]])
        found = estimate_from_points(points_of(counts), strata_of((10, 5)), 2)
        entries = (found.overall, *found.users, *found.producers, *found.f1, *found.shares)
        assert all(entry.se == 0 and entry.low == pytest.approx(entry.high) for entry in entries)
        np.testing.assert_allclose(found.proportions, counts / 15)

    def test_a_census_of_one_stratum_that_agrees(self):
        found = estimate_from_points(points_of(np.array([[2, 0], [0, 30]])), strata_of((2, 5000)), 2)
        assert (found.users[0].low, found.users[0].high) == (1, 1)
        assert found.users[1].low == pytest.approx(30 / (30 + 1.96**2), abs=1e-3)

    def test_one_point_leaves_open_what_depends_on_it(self):
        found = estimate_from_points(
            points_of(np.array([[1, 0, 0], [0, 9, 1], [0, 2, 8]])), strata_of((50, 500, 500)), 3
        )
        assert found.single == (1,)
        assert np.isnan(errors([found.overall, found.users[0], *found.producers, *found.shares, *found.f1])).all()
        assert np.isfinite(errors(found.users[1:])).all()
        assert found.overall.value == pytest.approx((50 + 500 * 0.9 + 500 * 0.8) / 1050)
        assert np.isnan([found.overall.low, found.overall.high]).all()

    def test_one_point_in_a_stratum_of_one_pixel_leaves_nothing_open(self):
        found = estimate_from_points(points_of(np.array([[1, 0], [3, 7]])), strata_of((1, 500)), 2)
        assert found.single == ()
        assert np.isfinite(errors([found.overall, *found.users])).all()

    def test_a_stratum_without_points_is_left_out_and_named(self):
        counts = np.array([[0, 0, 0], [0, 9, 1], [1, 1, 8]])
        found = estimate_from_points(points_of(counts), strata_of((400, 300, 300)), 3)
        assert found.unsampled == (1,)
        assert found.sampled_area == 600
        assert found.proportions.sum() == pytest.approx(1)
        assert np.isnan(found.users[0].value)

    def test_a_stratum_without_pixels_is_not_missed(self):
        found = estimate_from_points(points_of(np.array([[9, 1, 0], [2, 8, 0], [0, 0, 0]])), strata_of((9, 30, 0)), 3)
        assert found.unsampled == ()

    def test_a_class_that_the_reference_never_shows(self):
        found = estimate_from_points(points_of(np.array([[40, 0], [10, 0]])), strata_of((800, 200)), 2)
        assert np.isnan(dataclasses.astuple(found.producers[1])).all()
        assert (found.users[1].value, found.shares[1].value, found.f1[1].value) == (0, 0, 0)
        assert 0.05 < found.shares[1].high < 0.3, "it may still be there"

    def test_perfect_agreement_is_not_certainty(self):
        found = estimate_from_points(points_of(np.diag([50, 50])), strata_of((9000, 1000)), 2)
        assert found.overall.value == 1
        assert found.overall.se == 0
        assert found.overall.low == pytest.approx(0.93, abs=0.02)
        assert found.producers[1].low < 0.65, "50 points of the large class may have missed as much of the small one"

    def test_pixels_of_unlike_area(self):
        """A stratum of two pixels, one three times as large: the points weigh as their ground."""
        codes = np.array([1, 1])
        points = LabelledPoints(codes, codes, np.array([1, 2]), np.array([3.0, 1.0]))
        found = estimate_from_points(points, Strata((1,), (2,), (4.0,)), 2)
        assert found.overall.value == 0.75
        assert found.overall.se == 0

    def test_disagreement(self, olofsson):
        assert olofsson.quantity_disagreement + olofsson.allocation_disagreement == pytest.approx(
            1 - olofsson.overall.value
        )
        assert olofsson.quantity_disagreement == pytest.approx(
            np.abs(values(olofsson.shares) - np.array(PIXELS) / sum(PIXELS)).sum() / 2
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"mapped": np.array([1, 3])}, "1..2"),
            ({"reference": np.array([0, 1])}, "1..2"),
            ({"strata": np.array([1, 7])}, "no stratum 7"),
            (dict.fromkeys(("strata", "mapped", "reference"), np.array([], int)), "at least one"),
        ],
    )
    def test_what_cannot_be(self, change, message):
        codes = np.array([1, 2])
        points = dataclasses.replace(LabelledPoints(codes, codes, codes, np.ones(2)), **change)
        with pytest.raises(ValueError, match=message):
            estimate_from_points(points, strata_of((10, 10)), 2)


def population(seed, *, unlike=False):
    """A map with a rare class, a second map, the truth, and areas of 60,000 pixels."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, 60_000, p=[0.66, 0.28, 0.05, 0.01])

    def noisy(share):
        other = rng.choice(4, truth.size, p=[0.6, 0.3, 0.08, 0.02])
        return np.where(rng.random(truth.size) < share, other, truth)

    return noisy(0.08), noisy(0.2), truth, np.linspace(0.5, 1.5, truth.size) if unlike else np.ones(truth.size)


def true_values(mapped, truth, areas):
    table = np.zeros((4, 4))
    np.add.at(table, (mapped, truth), areas)
    hits, rows, columns = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    return np.concatenate(
        [[hits.sum() / areas.sum()], hits / rows, hits / columns, 2 * hits / (rows + columns), columns / areas.sum()]
    )


@pytest.mark.parametrize(("of_strata", "unlike"), [(True, False), (False, False), (True, True), (False, True)])
@pytest.mark.whole
def test_intervals_hold_the_truth(of_strata, unlike):
    """300 samples of a known population: no bias, and 95 % intervals that hold it about that often, rare class and all."""
    strata, other, truth, areas = population(5, unlike=unlike)
    mapped = strata if of_strata else other
    pixels = np.bincount(strata)
    known = strata_of(pixels, tuple(np.bincount(strata, areas)), are_classes=of_strata)
    members = [np.flatnonzero(strata == code) for code in range(4)]
    counts, rng, seen = allocate(pixels, 600, 50), np.random.default_rng(6), []
    for _ in range(300):
        drawn = np.concatenate(
            [rng.choice(here, count, replace=False) for here, count in zip(members, counts, strict=True)]
        )
        points = LabelledPoints(strata[drawn] + 1, mapped[drawn] + 1, truth[drawn] + 1, areas[drawn])
        found = estimate_from_points(points, known, 4)
        every = (found.overall, *found.users, *found.producers, *found.f1, *found.shares)
        seen.append([dataclasses.astuple(entry) for entry in every])
    value, se, low, high = np.moveaxis(np.array(seen), 2, 0)
    real = true_values(mapped, truth, areas)
    covered = ((low <= real) & (real <= high)).mean(axis=0)
    assert covered.min() > 0.88
    assert 0.93 < covered.mean() < 0.98
    unbiased = [0, 1, 2, *range(13, 17)]  # ratios with few points in their denominator are biased, as ratios are
    assert (np.abs(value.mean(axis=0) - real) < 4 * value.std(axis=0) / np.sqrt(300))[unbiased].all()
    frequent = [0, 1, 2, 5, 6, 9, 10, 13, 14]
    np.testing.assert_allclose(se.mean(axis=0)[frequent], value.std(axis=0)[frequent], rtol=0.15)
