"""The joint probability of two dates, against its definition and against iterative proportional fitting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.tasks.change.joint import joint_probability

RATES = st.sampled_from([0.001, 0.01, 0.05, 0.2, 0.4])


def activations(seed, classes, pixels, power=4):
    """Softer or sharper activations in steps of 1/250: float32 (classes, pixels)."""
    values = np.random.default_rng(seed).random((classes, pixels)) ** power
    steps = np.floor(250 * values / values.sum(axis=0))
    steps[steps.argmax(axis=0), np.arange(pixels)] += 250 - steps.sum(axis=0)
    return (steps * np.float32(0.004)).astype(np.float32)


def table(joint):
    """P(i, j) in full: (K, K, n)."""
    found = joint.lost[:, None].astype(np.float64) * joint.gained[None] / joint.exchanged
    found[np.diag_indices(len(found))] += joint.kept
    return found


def fitted(before, after, rate, rounds=4000):
    """T fitted to the marginals in proportion, as Deming and Stephan did it."""
    classes = len(before)
    prior = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(prior, 1 - rate)
    found = np.repeat(prior[:, :, None], before.shape[1], axis=2)
    for _ in range(rounds):
        found *= (before / np.maximum(found.sum(axis=1), 1e-300))[:, None]
        found *= (after / np.maximum(found.sum(axis=0), 1e-300))[None]
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 15), RATES, st.sampled_from([1, 4, 12]))
def test_probabilities_sum_to_1_and_keep_what_each_date_says(seed, classes, rate, power):
    before, after = activations(seed, classes, 50, power), activations(seed + 1, classes, 50, power)
    joint = joint_probability(before, after, rate)
    found = table(joint)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=(0, 1)), 1, atol=3e-6)
    np.testing.assert_allclose(found.sum(axis=1), before, atol=3e-6)
    np.testing.assert_allclose(found.sum(axis=0), after, atol=3e-6)
    np.testing.assert_allclose(joint.change(), 1 - np.trace(found), atol=3e-6)
    np.testing.assert_allclose(joint.stable(), np.diagonal(found).T, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 15), RATES)
def test_swapped_dates_transpose_the_table(seed, classes, rate):
    before, after = activations(seed, classes, 40), activations(seed + 1, classes, 40)
    forth, back = joint_probability(before, after, rate), joint_probability(after, before, rate)
    np.testing.assert_array_equal(forth.change(), back.change())
    np.testing.assert_allclose(table(forth), table(back).transpose(1, 0, 2), atol=1e-7)
    there = np.random.default_rng(seed).random(40)
    np.testing.assert_allclose(forth.expected(there), back.expected(there).T, atol=1e-6)
    np.testing.assert_allclose(forth.expected(there), table(forth) @ there, atol=1e-5)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.4])
def test_it_is_the_prior_fitted_to_both_dates(rate):
    before, after = activations(1, 5, 60), activations(2, 5, 60)
    after[:, :20] = before[:, :20]
    np.testing.assert_allclose(table(joint_probability(before, after, rate)), fitted(before, after, rate), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_the_likeliest_change(seed, classes):
    before, after = activations(seed, classes, 60), activations(seed + 1, classes, 60)
    after[:, :20] = before[:, :20]
    joint = joint_probability(before, after, 0.05)
    first, second, probability = joint.likeliest_change()
    off = table(joint)
    off[np.diag_indices(classes)] = -1
    assert (first != second).all()
    np.testing.assert_allclose(probability, off.reshape(-1, 60).max(axis=0), atol=1e-7)
    np.testing.assert_allclose(off[first, second, np.arange(60)], probability, atol=1e-7)


def test_equal_maps_do_not_change_however_soft_where_naive_independence_says_they_do():
    soft = np.float32([[0.4, 0.25, 0.5], [0.3, 0.25, 0.5], [0.2, 0.25, 0.0], [0.1, 0.25, 0.0]])
    naive = 1 - (soft * soft).sum(axis=0)
    assert (naive >= 0.5).all()
    assert (joint_probability(soft, soft, 0.05).change() < 0.05).all()


def test_it_lies_between_the_least_possible_change_and_independence():
    before, after = activations(3, 6, 500), activations(4, 6, 500)
    least, naive = 1 - np.minimum(before, after).sum(axis=0), 1 - (before * after).sum(axis=0)
    last = least
    for rate in (0.001, 0.01, 0.05, 0.2, 0.4):
        change = joint_probability(before, after, rate).change()
        assert (change >= last - 2e-5).all()
        last = change
    assert (last <= naive + 1e-5).all()
    np.testing.assert_allclose(joint_probability(before, after, 0.001).change(), least, atol=0.01)


def test_what_both_dates_are_sure_of():
    water, built = np.float32([[1.0], [0.0], [0.0]]), np.float32([[0.0], [0.0], [1.0]])
    joint = joint_probability(water, built, 0.05)
    first, second, probability = joint.likeliest_change()
    assert (first[0], second[0]) == (0, 2)
    assert probability[0] == pytest.approx(1)
    assert joint_probability(water, water, 0.05).change()[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("rate", [0, -0.1, 0.5, 1])
def test_rates_that_cannot_be(rate):
    even = np.full((2, 3), 0.5, np.float32)
    with pytest.raises(ValueError, match="change rate"):
        joint_probability(even, even, rate)
