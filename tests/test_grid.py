from math import cos, sin

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from lulc.grid import Grid, Shape, Window, grids_align, map_points

CORNERS = st.integers(-50, 50)
SIDES = st.integers(0, 60)
WINDOWS = st.builds(Window, CORNERS, CORNERS, SIDES, SIDES)


def pixels(window):
    return {(r, c) for r in range(window.row, window.row_end) for c in range(window.col, window.col_end)}


class TestWindow:
    @given(WINDOWS, WINDOWS)
    def test_intersection_holds_the_common_pixels(self, first, second):
        common = first.intersection(second)
        assert common.shape.size == len(pixels(first) & pixels(second))
        assert pixels(common) == pixels(first) & pixels(second)

    @given(WINDOWS, WINDOWS)
    def test_intersection_has_the_same_size_either_way(self, first, second):
        assert first.intersection(second) == second.intersection(first)

    @given(WINDOWS)
    def test_intersection_with_itself(self, window):
        assert window.intersection(window) == window

    @given(WINDOWS)
    def test_slices_from_its_own_corner_cover_its_shape(self, window):
        canvas = np.zeros((window.height, window.width))
        canvas[window.slices(window)] = 1
        assert canvas.all()

    @given(WINDOWS, WINDOWS)
    def test_slices_pick_the_common_part(self, outer, other):
        inner = outer.intersection(other)
        canvas = np.zeros((outer.height, outer.width))
        assert canvas[inner.slices(outer)].shape == (inner.height, inner.width) or not inner.shape.size

    def test_slices_from_the_corner_of_the_scene(self):
        assert Window(2, 3, 4, 5).slices() == (slice(2, 6), slice(3, 8))

    @pytest.mark.parametrize("sides", [(-1, 2), (2, -1)])
    def test_negative_sizes_are_refused(self, sides):
        with pytest.raises(ValueError, match="negative"):
            Window(0, 0, *sides)
        with pytest.raises(ValueError, match="negative"):
            Shape(*sides)


SMALL = Shape(40, 30)


def grid(epsg, transform, shape=SMALL, **more):
    return Grid(CRS.from_epsg(epsg) if epsg else None, transform, shape, **more)


def direct_area_ha(crs, transform, row, column):
    """Geodesic area of one pixel, by pyproj alone."""
    columns = np.array([column, column, column + 1, column + 1])
    rows = np.array([row, row + 1, row + 1, row])
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    longitudes, latitudes = to_degrees.transform(*map_points(transform, columns, rows))
    return abs(Geod(ellps="WGS84").polygon_area_perimeter(longitudes, latitudes)[0]) / 10_000


class TestPixelAreas:
    def test_utm_is_nominal(self):
        areas = grid(32631, Affine(10, 0, 4e5, 0, -10, 5e6)).pixel_areas_ha()
        np.testing.assert_allclose(areas, np.full(40, 0.01), rtol=1e-12)

    def test_south_up_and_rotated_keep_a_positive_area(self):
        turned = Affine(10 * cos(0.5), -20 * sin(0.5), 4e5, 10 * sin(0.5), 20 * cos(0.5), 5e6)
        np.testing.assert_allclose(grid(32631, turned).pixel_areas_ha(), 0.02, rtol=1e-9)
        np.testing.assert_allclose(grid(32631, Affine(10, 0, 4e5, 0, 10, 5e6)).pixel_areas_ha(), 0.01, rtol=1e-9)

    def test_feet(self):
        foot = 1200 / 3937
        areas = grid(2263, Affine(30, 0, 9e5, 0, -30, 2e5)).pixel_areas_ha()
        np.testing.assert_allclose(areas, (30 * foot) ** 2 / 10_000, rtol=1e-9)

    @pytest.mark.parametrize(
        ("epsg", "transform"),
        [
            (4326, Affine(1e-4, 0, 13.0, 0, -1e-4, 45.8)),
            (4326, Affine(1e-4, 0, 13.0, 0, 1e-4, -30.0)),
            (4326, Affine(1e-4, 2e-5, 13.0, 3e-5, -1e-4, 45.8)),
            (4258, Affine(0.01, 0, 179.9, 0, -0.01, 70.0)),
            (3857, Affine(10, 0, 1.5e6, 0, -10, 5.7e6)),
        ],
    )
    def test_degrees_and_web_mercator_are_geodesic(self, epsg, transform):
        areas = grid(epsg, transform).pixel_areas_ha()
        truth = [direct_area_ha(CRS.from_epsg(epsg), transform, row, 15) for row in range(40)]
        np.testing.assert_allclose(areas, truth, rtol=1e-5)
        assert areas.shape == (40,)

    @pytest.mark.parametrize(
        ("crs", "place"),
        [
            ("EPSG:3395", (10, 55)),
            ("ESRI:54004", (10, 55)),
            ("EPSG:4087", (10, 55)),
            ("EPSG:3413", (-45, 78)),
            ("EPSG:3413", (179.99, 80)),
            ("EPSG:3031", (20, -68)),
            ("EPSG:32631", (21, 55)),
            ("+proj=stere +lat_0=52 +lon_0=5 +ellps=WGS84", (25, 60)),
        ],
        ids=str,
    )
    def test_projections_that_stretch_areas_are_geodesic(self, crs, place):
        crs = CRS.from_user_input(crs)
        x, y = Transformer.from_crs("EPSG:4326", crs.to_wkt(), always_xy=True).transform(*place)
        transform = Affine(30, 0, x, 0, -30, y)
        truth = [direct_area_ha(crs, transform, row, 15) for row in range(40)]
        np.testing.assert_allclose(Grid(crs, transform, Shape(40, 30)).pixel_areas_ha(), truth, rtol=1e-4)

    @pytest.mark.parametrize(
        ("crs", "place"), [("EPSG:3035", (10, 55)), ("EPSG:32631", (6, 55)), ("ESRI:102003", (-98, 40))]
    )
    def test_projections_that_all_but_keep_areas_are_nominal(self, crs, place):
        crs = CRS.from_user_input(crs)
        x, y = Transformer.from_crs("EPSG:4326", crs.to_wkt(), always_xy=True).transform(*place)
        assert set(Grid(crs, Affine(30, 0, x, 0, -30, y), Shape(40, 30)).pixel_areas_ha()) == {0.09}

    def test_web_mercator_pixels_shrink_towards_the_pole(self):
        areas = grid(3857, Affine(10, 0, 0, 0, -10, 8.4e6)).pixel_areas_ha()
        nominal = 0.01
        assert 0.2 * nominal < areas[0] < areas[-1] < 0.4 * nominal

    def test_degrees_of_one_hectare_at_the_equator(self):
        side = 100 / 111_319.49
        areas = grid(4326, Affine(side, 0, 10, 0, -side, side * 20)).pixel_areas_ha()
        np.testing.assert_allclose(areas, 1.0, rtol=8e-3)

    def test_unknown_without_a_crs_or_by_control_points(self):
        points = (GroundControlPoint(0, 0, 10.0, 50.0),)
        assert np.isnan(grid(None, Affine.identity()).pixel_areas_ha()).all()
        assert np.isnan(grid(None, Affine.identity(), gcps=points, gcps_crs=CRS.from_epsg(4326)).pixel_areas_ha()).all()

    def test_no_rows_no_areas(self):
        assert grid(4326, Affine(1e-4, 0, 13.0, 0, -1e-4, 45.8), Shape(0, 5)).pixel_areas_ha().shape == (0,)


class TestSameAs:
    place = Affine(10, 0, 4e5, 0, -10, 5e6)

    def test_float_noise_is_the_same_place(self):
        moved = Affine(10, 0, 4e5 + 1e-6, 0, -10, 5e6)
        assert grid(32631, self.place).same_as(grid(32631, moved))

    @pytest.mark.parametrize(
        "other",
        [
            grid(32632, place),
            grid(None, place),
            grid(32631, place, Shape(40, 31)),
            grid(32631, Affine(10, 0, 4e5 + 5, 0, -10, 5e6)),
            grid(32631, Affine(10, 0, 4e5, 0, 10, 5e6)),
            grid(32631, Affine(10.001, 0, 4e5, 0, -10, 5e6)),
        ],
    )
    def test_what_differs(self, other):
        assert not grid(32631, self.place).same_as(other)

    def test_control_points_count(self):
        here, there = (GroundControlPoint(0, 0, 10.0, 50.0),), (GroundControlPoint(0, 0, 11.0, 50.0),)
        degrees = CRS.from_epsg(4326)
        first = grid(None, Affine.identity(), gcps=here, gcps_crs=degrees)
        assert first.same_as(grid(None, Affine.identity(), gcps=here, gcps_crs=degrees))
        assert not first.same_as(grid(None, Affine.identity(), gcps=there, gcps_crs=degrees))
        assert not first.same_as(grid(None, Affine.identity()))


@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
def test_a_shift_by_more_than_a_thousandth_of_a_pixel_is_seen(right, down):
    place = Affine(10, 0, 4e5, 0, -10, 5e6)
    aligned = grids_align(place, Affine(10, 0, 4e5 + 10 * right, 0, -10, 5e6 - 10 * down), Shape(100, 100))
    assert aligned == (max(abs(right), abs(down)) < 1e-3) or abs(max(abs(right), abs(down)) - 1e-3) < 1e-7


def test_georeferenced():
    assert grid(32631, Affine.identity()).georeferenced
    assert grid(None, Affine.identity(), rpcs={"x": 1}).georeferenced
    assert not grid(None, Affine.identity()).georeferenced


def test_a_grid_without_a_crs_is_nowhere_on_earth():
    assert not grid(None, Affine.identity()).on_earth()
    assert grid(32631, Affine(10, 0, 4e5, 0, -10, 5e6)).on_earth()
