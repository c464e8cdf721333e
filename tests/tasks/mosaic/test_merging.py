"""Merging maps on one window, against plain computations over all maps at once."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from lulc.grid import Window
from lulc.tasks.mosaic.merging import FlaggedSky, MapPart, _distance, merge_of, sky_of

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


def naive_weight(part, empty_around=None):
    """Distance to the nearest pixel without data, or to other pixels, by brute force."""
    empty = np.argwhere(part.codes_around == 255 if empty_around is None else empty_around)
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


def under_clouds(parts, seed):
    """The same maps, each with clouds and shadows as blocks of their own; every third has no band `clouds`."""
    rng = np.random.default_rng(seed)
    inner, skies = WINDOW.slices(AROUND), []
    for part in parts:
        blocks = rng.choice(3, (AROUND.height // 4, AROUND.width // 4), p=(0.5, 0.3, 0.2))
        sky = np.kron(blocks, np.ones((4, 4), int)).astype(np.uint8) * (part.number % 3 > 0)
        skies.append(np.where(part.codes_around == 255, 255, sky).astype(np.uint8))
    shown = np.any([sky[inner] == 0 for sky in skies], axis=0)
    flagged = [
        replace(part, sky=FlaggedSky(sky, shown) if part.number % 3 else None)
        for part, sky in zip(parts, skies, strict=True)
    ]
    return flagged, [sky[inner] for sky in skies], shown


def without(part, left_out):
    """A map that has no data where it is left out."""
    codes = part.codes_around.copy()
    codes[WINDOW.slices(AROUND)][left_out] = 255
    return replace(part, codes_around=codes)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), maps=st.integers(1, 5), method=st.sampled_from(["first", "majority", "confidence"]))
def test_classes_are_chosen_among_maps_that_show_a_pixel_clear_or_else_all(seed, maps, method):
    parts = [a_map(seed + number, number) for number in range(1, maps + 1)]
    flagged, skies, shown = under_clouds(parts, seed)
    found = merged(method, flagged)
    plain = merged(method, [without(part, shown & (sky > 0)) for part, sky in zip(parts, skies, strict=True)])
    for name in ("codes", "source", "confidence"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
    of_source = np.choose(np.maximum(found.source - 1, 0), skies)
    known = found.codes != 255
    np.testing.assert_array_equal(sky_of(found.origin)[known], np.where(shown, 0, of_source)[known])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), maps=st.integers(1, 4))
def test_activations_are_averaged_over_maps_that_show_a_pixel_clear_or_else_all(seed, maps):
    parts = [a_map(seed + number, number) for number in range(1, maps + 1)]
    flagged, skies, shown = under_clouds(parts, seed)
    weights = np.stack([part.weight() for part in flagged])
    for part, sky, weight in zip(flagged, skies, weights, strict=True):
        cloudy = (sky == 1) | (sky == 2)
        assert (weight[shown & cloudy] == 0).all()
        clear = naive_weight(part, (part.codes_around == 255) | (part.sky.around > 0) if part.sky else None)
        expected = np.where(cloudy, naive_weight(part), np.maximum(clear, sky == 0))
        counts = (sky != 255) & ~(shown & cloudy)
        np.testing.assert_allclose(weight[counts], expected[counts], atol=1)
    found = merged("activations", flagged)
    total = weights.sum(axis=0)
    known = total > 0
    np.testing.assert_array_equal(known, np.any([part.valid for part in parts], axis=0))
    mean = sum(weight * shares_of(part) for weight, part in zip(weights, parts, strict=True)) / np.maximum(total, 1)
    np.testing.assert_allclose(found.activations[:, known], mean[:, known], atol=3e-4)
    np.testing.assert_array_equal(found.source[known], weights.argmax(axis=0)[known] + 1)
    of_source = np.choose(np.maximum(found.source - 1, 0), skies)
    np.testing.assert_array_equal(sky_of(found.origin)[known], np.where(shown, 0, of_source)[known])


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_distances_near_edges_are_those_of_the_whole_window(height, width, most, share, seed, halved):
    random = np.random.default_rng(seed)
    known = random.random((height, width)) < share
    if halved:  # an edge of a map
        known[:, random.integers(width) :] = False
    if known.all():
        known[0, 0] = False
    expected = distance_transform_edt(known)
    np.testing.assert_array_equal(
        np.minimum(_distance(known, most), most), np.minimum(expected, most).astype(np.float32)
    )
