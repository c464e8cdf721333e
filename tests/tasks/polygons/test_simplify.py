import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tests.support.traced import NODATA, class_arrays, traced

pytestmark = pytest.mark.whole

LIMITS = (0.0, 0.5, 1.0, 4.0, 1e9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("marks")


@given(class_arrays(), st.integers(1, 14), st.sampled_from(LIMITS))
def test_no_patch_is_lost_and_none_overlaps(folder, codes, rows, limit):
    whole, _, _ = traced(codes, rows)
    polygons, _, _ = traced(codes, rows, limit, folder)
    assert len(polygons) == len(whole)
    assert shapely.is_valid(polygons).all()
    assert (shapely.area(polygons) > 0).all()
    assert shapely.coverage_is_valid(polygons)
    assert np.array_equal(shapely.get_num_interior_rings(polygons), shapely.get_num_interior_rings(whole))


@given(class_arrays(), st.integers(1, 14), st.sampled_from(LIMITS))
def test_nothing_depends_on_the_strips(folder, codes, rows, limit):
    one, two = (traced(codes, cut, limit, folder)[0] for cut in (rows, len(codes)))
    assert [*map(str, one)] == [*map(str, two)]


@given(class_arrays())
def test_gaps_are_where_there_is_no_data(folder, codes):
    """What is cut off from one patch belongs to the patch beside it; the edge of the map may lose corners."""
    framed = np.pad(np.where(codes == NODATA, 1, codes), 1, constant_values=4).astype(np.uint8)
    polygons, _, _ = traced(framed, 5, 9.0, folder)
    frame = shapely.union_all(polygons)
    assert shapely.area(frame) == pytest.approx(shapely.area(polygons).sum())
    assert shapely.get_num_interior_rings(frame) == 0


def test_a_triangle_of_the_limit_goes_and_a_larger_one_stays(folder):
    step = np.ones((20, 20), np.uint8)
    step[:10] = 2
    step[9, 10:] = 1
    for limit, vertices in ((4.9, 6), (5.0, 5)):
        polygons, _, _ = traced(step, 20, limit, folder)
        assert shapely.get_num_coordinates(polygons[0]) - 1 == vertices


def test_borders_of_three_patches_keep_the_point_where_they_meet(folder):
    codes = np.zeros((30, 30), np.uint8)
    codes[:15], codes[15:, :15], codes[15:, 15:] = 1, 2, 3
    polygons, _, _ = traced(codes, 30, 1e9, folder)
    assert all((shapely.get_coordinates(polygon) == (15, -15)).all(axis=1).any() for polygon in polygons)


def test_a_single_pixel_stays_a_square(folder):
    codes = np.ones((9, 9), np.uint8)
    codes[4, 4] = 2
    polygons, found, _ = traced(codes, 9, 1e9, folder)
    assert shapely.area(polygons[found == 2]).tolist() == [1]


def test_two_borders_between_the_same_points_do_not_become_one(folder):
    """A thin patch between two others ends where they meet on both sides."""
    rows, columns = np.mgrid[:40, :40]
    codes = np.where(rows < 20, 1, 2).astype(np.uint8)
    codes[(np.abs(rows - 19.5) < 3 - np.abs(columns - 20) // 4) & (np.abs(columns - 20) < 10)] = 3
    polygons, found, _ = traced(codes, 40, 1e9, folder)
    assert shapely.area(polygons[found == 3]) > 0
    assert shapely.coverage_is_valid(polygons)


@pytest.mark.parametrize("limit", [1.0, 4.0, 25.0])
def test_a_real_map_beside_the_simplifier_of_geos(data, folder, limit):
    """GEOS sees the whole coverage at once; it may drop vertices that must stay here, but not many."""
    with rasterio.open(data / "scenes" / "aber_s2_20210527_labels_4cls.tif") as labels:
        codes = labels.read(1)[:300, :300]
    codes = ndimage.median_filter(np.where(codes == 0, NODATA, codes).astype(np.uint8), 3)
    whole, _, _ = traced(codes, 300)
    polygons, _, _ = traced(codes, 300, limit, folder)
    again, _, _ = traced(codes, 41, limit, folder)
    assert np.array_equal(shapely.to_wkb(polygons), shapely.to_wkb(again))
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    count = shapely.get_num_coordinates(polygons).sum()
    assert count < 0.8 * shapely.get_num_coordinates(whole).sum()
    assert count < 1.3 * shapely.get_num_coordinates(shapely.coverage_simplify(whole, limit**0.5)).sum()
