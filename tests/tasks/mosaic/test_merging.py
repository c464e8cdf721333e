"""Merging maps on one window, against plain computations over all maps at once."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.grid import Window
from lulc.tasks.mosaic.merging import MapPart, merge_of

CLASSES, SIDE, MARGIN = 4, 24, 6
WINDOW = Window(0, 0, SIDE, SIDE)
AROUND = Window(-MARGIN, -MARGIN, SIDE + 2 * MARGIN, SIDE + 2 * MARGIN)


def a_map(seed, number, *, holes=0.3, feather=MARGIN):
    """A map with holes as blocks, and activations in bytes' steps."""
    rng = np.random.default_rng(seed)
    shares = rng.integers(0, 60, (CLASSES, AROUND.height, AROUND.width))
    shares = np.rint(shares / (shares.sum(axis=0) + 1e-9) * 4000) / 16
    empty = np.kron(rng.random((AROUND.height // 4, AROUND.width // 4)) < holes, np.ones((4, 4))).astype(bool)
    codes = np.where(empty, 255, shares.argmax(axis=0) + 1).astype(np.uint8)
    inner = WINDOW.slices(AROUND)
    steps = np.where(empty, 255, shares)[(slice(None), *inner)].astype(np.float32)  # as maps on another grid give them
    view = SimpleNamespace(window=WINDOW, classes=codes[inner], steps=steps)
    return MapPart(number, codes, view, AROUND, feather)


def merged(method, parts):
    merge = merge_of(method, CLASSES, (SIDE, SIDE))
    for part in parts:
        merge.feed(part)
    return merge.result()


def shares_of(part):
    """Activations, 0 where the map has no data."""
    return np.where(part.valid, part.steps / 250, 0)


def naive_weight(part):
    """Distance to the nearest pixel without data, by brute force."""
    empty = np.argwhere(part.codes_around == 255)
    weight = np.zeros((SIDE, SIDE))
    for row in range(SIDE):
        for col in range(SIDE):
            apart = np.hypot(*(empty - (row + MARGIN, col + MARGIN)).T).min() if len(empty) else np.inf
            share = min(apart / part.feather, 1)
            weight[row, col] = np.rint(4095 * share * share * (3 - 2 * share))
    return np.maximum(weight, part.valid)


@pytest.mark.parametrize("seed", range(3))
def test_weights_fall_to_zero_at_edges_and_holes(seed):
    part = a_map(seed, 1)
    weight = part.weight()
    np.testing.assert_allclose(weight, naive_weight(part), atol=1)
    assert (weight[~part.valid] == 0).all()
    assert (weight[part.valid] > 0).all()
    assert weight.max() == 4095
    assert (a_map(seed, 1, holes=0).weight() == 4095).all()
    np.testing.assert_array_equal(a_map(seed, 1, feather=0).weight(), 4095 * part.valid)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), maps=st.integers(1, 4))
def test_activations_are_the_weighted_mean_and_classes_its_argmax(seed, maps):
    parts = [a_map(seed + number, number) for number in range(1, maps + 1)]
    weights = np.stack([part.weight() for part in parts])
    total = weights.sum(axis=0)
    known = total > 0
    expected = sum(weight * shares_of(part) for weight, part in zip(weights, parts, strict=True)) / np.where(
        known, total, 1
    )
    result = merged("activations", [a_map(seed + number, number) for number in range(1, maps + 1)])
    np.testing.assert_array_equal(result.codes != 255, known)
    np.testing.assert_allclose(result.activations[:, known], expected[:, known], atol=3e-4)
    np.testing.assert_array_equal(result.codes[known], result.activations.argmax(axis=0)[known] + 1)
    np.testing.assert_allclose(result.activations.sum(axis=0)[known], 1, atol=1e-3)
    np.testing.assert_array_equal(result.source[known], weights.argmax(axis=0)[known] + 1)
    assert (result.source[~known] == 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), maps=st.integers(1, 5), method=st.sampled_from(["first", "majority", "confidence"]))
def test_classes_follow_their_rule(seed, maps, method):
    parts = [a_map(seed + number, number) for number in range(1, maps + 1)]
    result = merged(method, parts)
    for row, col in np.random.default_rng(seed).integers(0, SIDE, (40, 2)):
        there = [part for part in parts if part.valid[row, col]]
        if not there:
            assert (result.codes[row, col], result.source[row, col]) == (255, 0)
            continue
        codes = [int(part.codes[row, col]) for part in there]
        if method == "first":
            chosen = 0
        elif method == "confidence":
            chosen = int(np.argmax([shares_of(part)[:, row, col].max() for part in there]))
        else:
            chosen = int(np.argmax([codes.count(code) for code in codes]))
        assert result.codes[row, col] == codes[chosen]
        assert result.source[row, col] == there[codes.index(codes[chosen]) if method == "majority" else chosen].number
        if method != "confidence":
            assert result.confidence[row, col] == pytest.approx(codes.count(codes[chosen]) / len(codes))


def test_a_maps_own_class_breaks_its_ties():
    codes = np.full((SIDE, SIDE), 3, np.uint8)
    even = SimpleNamespace(window=WINDOW, classes=codes, steps=np.full((CLASSES, SIDE, SIDE), 62, np.uint8))
    assert (merged("activations", [MapPart(1, codes, even, WINDOW, 0)]).codes == 3).all()
