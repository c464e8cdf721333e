import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tests.support.traced import NODATA, class_arrays, oracle, same_ground, traced

SPIRAL = np.uint8(
    [
        [1, 1, 1, 1, 1, 1, 1],
        [1, 2, 2, 2, 2, 2, 1],
        [1, 2, 1, 1, 1, 2, 1],
        [1, 2, 1, 2, 1, 2, 1],
        [1, 2, 1, 2, 2, 2, 1],
        [1, 2, 1, 1, 1, 1, 1],
        [1, 2, 2, 2, 2, 2, 2],
    ]
)
TOUCHING = np.uint8(
    [
        [1, 1, 1, 1, 1],
        [1, 2, 1, 2, 1],
        [1, 1, 2, 1, 1],
        [1, 2, 1, 2, 1],
        [1, 1, 1, 1, 1],
    ]
)
"""Holes that touch each other and themselves at corners."""

DIAGONAL = np.uint8([[1, 2, 2], [2, 1, 2], [2, 2, 1]])
ARRAYS = {"spiral": SPIRAL, "touching": TOUCHING, "diagonal": DIAGONAL, "empty": np.full((3, 4), NODATA, np.uint8)}


@pytest.mark.whole
@given(class_arrays(), st.integers(1, 14))
def test_polygons_are_the_patches_of_an_oracle(codes, rows):
    polygons, found, pixels = traced(codes, rows)
    expected, _ = oracle(codes)
    assert shapely.is_valid(polygons).all()
    assert len(polygons) == sum(ndimage.label(codes == code)[1] for code in range(1, 5))
    assert same_ground(polygons, shapely.make_valid(expected))
    assert np.array_equal(shapely.area(polygons), pixels)
    inside = shapely.point_on_surface(polygons)
    assert np.array_equal(codes[(-shapely.get_y(inside)).astype(int), shapely.get_x(inside).astype(int)], found)


@pytest.mark.whole
@given(class_arrays(), st.integers(1, 14), st.integers(1, 14))
def test_nothing_depends_on_the_strips(codes, rows, other):
    for one, two in zip(traced(codes, rows), traced(codes, other), strict=True):
        assert [*map(str, one)] == [*map(str, two)]


@pytest.mark.whole
@given(class_arrays())
def test_neighbours_share_every_vertex_of_their_border(codes):
    polygons, _, _ = traced(codes, 5)
    assert shapely.coverage_is_valid(polygons)
    assert shapely.area(shapely.union_all(polygons)) == np.count_nonzero(codes != NODATA)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_shapes_that_come_back_to_themselves(name, rows):
    polygons, codes, _ = traced(ARRAYS[name], rows)
    assert shapely.is_valid(polygons).all()
    assert same_ground(polygons, shapely.make_valid(oracle(ARRAYS[name])[0]))
    assert len(codes) == {"spiral": 2, "touching": 6, "diagonal": 5, "empty": 0}[name]


def test_order_is_that_of_the_last_pixels():
    _, codes, pixels = traced(np.uint8([[3, 3, 1], [2, 1, 1], [2, 2, 1]]), 1)
    assert codes.tolist() == [3, 2, 1]
    assert pixels.tolist() == [2, 3, 4]


def test_rings_begin_with_their_first_vertex_and_turn_left_around_the_patch():
    polygons, codes, _ = traced(np.pad(np.full((1, 1), 2, np.uint8), 1, constant_values=1), 2)
    ring = next(polygon for polygon, code in zip(polygons, codes, strict=True) if code == 1)
    assert shapely.get_coordinates(shapely.get_exterior_ring(ring))[0].tolist() == [0, 0]
    assert shapely.is_ccw(shapely.get_exterior_ring(ring))
    assert not shapely.is_ccw(shapely.get_interior_ring(ring, 0))


def test_a_map_that_is_upside_down_has_rings_of_the_same_turn():
    codes = np.random.default_rng(0).choice(np.uint8([1, 2]), (20, 30))
    polygons, _, _ = traced(codes, 7, transform=Affine(10, 0, 5, 0, 10, 7))
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    assert shapely.is_valid(polygons).all()
    assert shapely.area(polygons).sum() == codes.size * 100


def test_vertices_are_corners_and_meeting_points_alone():
    """A straight edge has no vertex where strips meet, and one where a third patch begins."""
    polygons, _, _ = traced(np.uint8([[1, 2], [1, 2], [1, 3]]), 1)
    assert shapely.get_num_coordinates(polygons).tolist() == [5, 6, 5]


@pytest.mark.whole
def test_a_real_map_of_a_classifier_that_looks_at_single_pixels(data):
    with rasterio.open(data / "scenes" / "aber_s2_20210527_labels_4cls.tif") as labels:
        codes = labels.read(1)[:400, :500]
    codes = np.where(codes == 0, NODATA, codes).astype(np.uint8)
    polygons, found, pixels = traced(codes, 400)
    again, _, _ = traced(codes, 37)
    assert np.array_equal(shapely.to_wkb(polygons), shapely.to_wkb(again))
    assert len(polygons) == sum(ndimage.label(codes == code)[1] for code in np.unique(found))
    assert np.array_equal(shapely.area(polygons), pixels)
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
