"""Patches that are unlike the training patches, and cards that say wrong things of them."""

import numpy as np
import pytest

from lulc.config import parse_config
from lulc.errors import ConfigError
from lulc.patches.distribution import (
    TrainingDistribution,
    patch_statistics,
    unlike_note,
    unlike_warning,
)

SIZE = 7


def statistics(count, seed=0):
    """Correlated statistics of patches."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(SIZE, SIZE))
    return 0.3 + 0.02 * rng.normal(size=(count, SIZE)) @ mixing


class TestStatistics:
    def test_of_a_patch_by_hand(self):
        values = np.zeros((1, 2, 2, 2), np.float32)
        values[0, 0] = [[0.1, 0.3], [0.1, 0.3]]
        values[0, 1] = 0.5
        found = patch_statistics(values)[0]
        # means, standard deviations, and steps of the brightness: 0.1 from left to right, 0 from top to bottom
        np.testing.assert_allclose(found, [0.2, 0.5, 0.1, 0, 0.05], atol=1e-7)

    def test_missing_pixels_take_no_part(self):
        rng = np.random.default_rng(0)
        values = rng.uniform(0, 1, (3, 3, 16, 16)).astype(np.float32)
        half = values.copy()
        half[:, :, 8:] = np.nan
        half[:, :, 12:] = np.inf
        np.testing.assert_allclose(patch_statistics(half), patch_statistics(values[:, :, :8]), atol=1e-6)
        lonely = np.full((1, 3, 4, 4), np.nan, np.float32)
        lonely[:, :, ::2, ::2] = 0.5  # no two adjacent pixels
        np.testing.assert_allclose(patch_statistics(lonely)[0], [0.5] * 3 + [0] * 4)

    def test_of_no_patches(self):
        assert patch_statistics(np.zeros((0, 3, 8, 8), np.float32)).shape == (0, SIZE)


class TestScores:
    def test_one_in_a_hundred_of_the_same_kind_is_above_1(self):
        summary = TrainingDistribution.fit(statistics(4000), statistics(2000, 1))
        assert (summary.scores(statistics(2000, 1)) > 1).mean() <= 0.01
        assert (summary.scores(statistics(20_000, 2)) > 1).mean() == pytest.approx(0.01, abs=0.005)

    def test_it_is_the_mahalanobis_distance(self):
        training, others = statistics(100_000), statistics(500, 1)
        summary = TrainingDistribution.fit(training, others)
        away = others - training.mean(axis=0)
        expected = np.sqrt(np.einsum("ij,jk,ik->i", away, np.linalg.inv(np.cov(training.T)), away))
        np.testing.assert_allclose(summary.scores(others) * summary.limit, expected, rtol=0.02)

    def test_units_do_not_matter(self):
        """Shrinkage towards the diagonal treats a statistic in per cent as one in 0..1."""
        units = np.array([1, 100, 1, 1, 10, 1, 1])
        plain = TrainingDistribution.fit(statistics(50), statistics(20, 1)).scores(statistics(9, 2))
        other = TrainingDistribution.fit(statistics(50) * units, statistics(20, 1) * units).scores(
            statistics(9, 2) * units
        )
        np.testing.assert_allclose(plain, other, rtol=1e-3)

    def test_fewer_patches_than_statistics_and_a_constant_one(self):
        training = statistics(3)
        training[:, 2] = 0
        summary = TrainingDistribution.fit(training, training[:1])
        shifted = training[:1] + np.eye(SIZE)[2]
        assert np.isfinite(summary.scores(training)).all()
        assert summary.scores(shifted)[0] > 1000
        assert summary.held_out == 1

    def test_patches_that_are_all_equal(self):
        same = np.full((5, SIZE), 0.2)
        summary = TrainingDistribution.fit(same, same)
        assert (summary.scores(same) <= 1).all()
        assert summary.scores(same + 0.1)[0] > 1


class TestWords:
    def test_a_note_from_the_limit_on(self):
        assert unlike_note(None, "tiny") == unlike_note(1.0, "tiny") == ()
        (said,) = unlike_note(1.234, "tiny")
        assert said.startswith("unlike the training patches of tiny in colour, contrast or texture")
        assert said.endswith("(OOD score 1.23, limit 1): do not trust the class")

    def test_a_warning_above_two_in_a_hundred(self):
        assert unlike_warning(2, 100, "tiny") == unlike_warning(1, 1, "tiny") == unlike_warning(0, 0, "tiny") == ()
        (said,) = unlike_warning(3, 100, "tiny", "cells")
        assert said.startswith("3 of 100 cells (3%) are unlike the training patches of tiny")


class TestBrokenCards:
    @pytest.fixture
    def table(self):
        return TrainingDistribution.fit(statistics(50), statistics(20, 1)).model_dump(mode="json")

    def test_what_was_written_is_read(self, table):
        assert parse_config(TrainingDistribution, table, "card").model_dump(mode="json") == table

    @pytest.mark.parametrize(
        ("key", "value", "said"),
        [
            ("covariance", [[1.0, 0.0], [0.0, 1.0]], "7 means need a covariance of 7 rows of 7 numbers"),
            ("covariance", np.zeros((7, 7)).tolist(), "must be positive definite"),
            ("covariance", (-np.eye(7)).tolist(), "must be positive definite"),
            ("covariance", (np.eye(7) + np.eye(7, k=1) / 9).tolist(), "must be symmetric"),
            ("covariance", np.full((7, 7), float("nan")).tolist(), "finite number"),
            ("mean", [float("nan")] * 7, "finite number"),
            ("mean", [0.1] * 5, "5 means need a covariance of 5 rows"),
            ("limit", 0, "greater than 0"),
            ("limit", float("inf"), "finite number"),
        ],
    )
    def test_each_is_one_line(self, table, key, value, said):
        with pytest.raises(ConfigError, match=said) as refused:
            parse_config(TrainingDistribution, table | {key: value}, "card.json")
        assert "\n" not in str(refused.value)
