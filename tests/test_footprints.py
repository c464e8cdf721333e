"""Footprints: blocks of ground are the same for every scene, gaps are measured on the ground."""

import numpy as np
import pytest

from lulc.footprints import METRES_PER_DEGREE, Footprints


def ground(x, y, half=50.0, latitude=0.0, plane=0):
    x, y = np.asarray(x, float), np.asarray(y, float)
    stretch = np.full(len(x), 0.999999 * np.cos(np.deg2rad(latitude)))
    return Footprints(
        np.full(len(x), plane),
        x,
        y + latitude * METRES_PER_DEGREE,
        np.full(len(x), half),
        np.full(len(x), half),
        stretch,
    )


def test_the_same_ground_is_in_the_same_block_whatever_the_scene():
    first, second = ground([10, 5000], [10, 10], latitude=50), ground([5030], [40], latitude=50)
    blocks = Footprints.joined([first, second]).blocks(2000)
    assert blocks[1] == blocks[2] != blocks[0]


def test_planes_never_share_blocks():
    blocks = Footprints.joined([ground([10], [10]), ground([10], [10], plane=1)]).blocks(2000)
    assert blocks[0] != blocks[1]


def test_blocks_have_about_the_size_asked_for():
    x, y = np.meshgrid(np.arange(0, 40_000, 500), np.arange(0, 40_000, 500))
    east = x.ravel() / np.cos(np.deg2rad(60))  # degrees are half as wide there
    blocks = ground(east, y.ravel(), latitude=60).blocks(10_000)
    sizes = np.bincount(blocks)
    assert np.median(sizes[sizes > 200]) == pytest.approx(400, rel=0.15)


def test_chips_nearer_than_the_gap_are_neighbours():
    place = ground([0, 150, 400, 0], [0, 0, 0, 350])
    chosen, others = np.array([0, 1, 1, 1], bool), np.array([1, 0, 0, 0], bool)
    for gap, expected in ((100, {1}), (260, {1, 3}), (301, {1, 2, 3})):
        assert set(place.neighbours(chosen, others, gap)) == expected
    assert place.neighbours(chosen, others, 100)[1].tolist() == [0]


def test_a_gap_of_zero_lets_chips_touch_but_not_overlap():
    place = ground([0, 100, 60], [0, 0, 90])
    chosen, others = np.array([0, 1, 1], bool), np.array([1, 0, 0], bool)
    assert set(place.neighbours(chosen, others, 0)) == {2}
    x, y = np.array([49.0, 51.0, 0.0]), np.array([0.0, 0.0, 49.0])
    assert place.too_close(np.array([0]), x, y, 0).tolist() == [True, False, True]


def test_places_near_a_chip_are_found_on_the_ground():
    place = ground([0], [0], latitude=60)  # a metre of longitude is half a metre there
    y = np.full(3, 60 * METRES_PER_DEGREE)
    assert place.too_close(np.array([0]), np.array([50 + 150.0, 50 + 250.0, 0]), y, 100).tolist() == [True, False, True]


def test_other_planes_are_never_neighbours():
    place = Footprints.joined([ground([0], [0]), ground([0], [0], plane=1)])
    assert place.neighbours(np.array([1, 0], bool), np.array([0, 1], bool), 1e9) == {}
