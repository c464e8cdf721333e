"""Footprints: blocks of ground are the same for every scene, gaps are measured on the ground."""

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import from_origin

from lulc.footprints import METRES_PER_DEGREE, Footprints, footprints_of, pixel_locations
from lulc.grid import Grid, Shape
from lulc.tasks.dataset.chip_plan import chip_windows


def ground(x, y, half=50.0, latitude=0.0, plane=0):
    centres = np.column_stack([x, np.asarray(y, float) + latitude * METRES_PER_DEGREE])
    corners = centres[:, None] + half * np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]])
    stretch = np.full(len(centres), 0.999999 * np.cos(np.deg2rad(latitude)))
    return Footprints.of_corners(np.full(len(centres), plane), corners, stretch)


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


def test_a_chip_that_lies_askew_reaches_to_its_edges_not_to_the_box_around_it():
    """A square of 100 m turned by 45 degrees: its corners lie 70.7 m from the centre, its edges 50 m."""
    far = 50 * np.sqrt(2)
    corners = np.array([[[0, far], [far, 0], [0, -far], [-far, 0]]])
    chip = Footprints.of_corners(np.zeros(1, int), corners, np.ones(1))
    x, y = np.array([0.0, 60.0, 30.0, 45.0]), np.array([0.0, 60.0, 30.0, 45.0])
    assert chip.too_close(np.array([0]), x, y, 0).tolist() == [True, False, True, False]
    from_edge = np.hypot(60, 60) - 50
    assert chip.too_close(np.array([0]), x, y, from_edge + 0.01).tolist() == [True, True, True, True]
    assert chip.too_close(np.array([0]), x, y, from_edge - 0.01).tolist() == [True, False, True, True]


@pytest.mark.parametrize(
    ("epsg", "corner"),
    [
        (32632, (300_000, 6_500_000)),
        (32632, (780_000, 5_000_000)),
        (3035, (2_900_000, 4_300_000)),
        (32701, (176_000, 8_200_000)),
    ],
)
@pytest.mark.parametrize("side", [32, 256, 700])
def test_chips_of_one_scene_share_no_ground_anywhere_on_earth(epsg, corner, side):
    """Far from the middle of a zone north is not up, and a box of degrees around a chip reaches into its neighbours."""
    grid = Grid(CRS.from_epsg(epsg), from_origin(*corner, 10, 10), Shape(3 * side, 3 * side))
    windows = list(chip_windows(grid.shape, side))
    chips = footprints_of(grid, windows, 0)
    middle = pixel_locations(grid, windows[4])
    others = np.array([0, 1, 2, 3, 5, 6, 7, 8])
    assert not chips.too_close(others, *middle, 0).any()
    assert chips.too_close(np.array([4]), *middle, 0).all()


def test_places_near_a_chip_are_found_on_the_ground():
    place = ground([0], [0], latitude=60)  # a metre of longitude is half a metre there
    y = np.full(3, 60 * METRES_PER_DEGREE)
    assert place.too_close(np.array([0]), np.array([50 + 150.0, 50 + 250.0, 0]), y, 100).tolist() == [True, False, True]


def test_other_planes_are_never_neighbours():
    place = Footprints.joined([ground([0], [0]), ground([0], [0], plane=1)])
    assert place.neighbours(np.array([1, 0], bool), np.array([0, 1], bool), 1e9) == {}
