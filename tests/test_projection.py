"""Places on other grids, against pyproj and rasterio, and independent of windows."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from lulc.grid import Grid, Shape, Window
from lulc.projection import GridProjection, inside

ZONE31 = Grid(CRS.from_epsg(32631), Affine(10, 0, 760_000, 0, -10, 4_900_020), Shape(700, 900))
ZONE32 = Grid(CRS.from_epsg(32632), Affine(10, 0, 279_000, 0, -10, 4_900_000), Shape(800, 1000))
DEGREES = Grid(CRS.from_epsg(4326), Affine(1.2e-4, 0, 6.2, 0, -9e-5, 44.3), Shape(2500, 2000))


@pytest.mark.parametrize("end", [ZONE32, DEGREES], ids=["utm", "degrees"])
def test_exact_places_are_those_of_rasterio(end):
    rows, cols = np.array([0.0, 311.5, 699.0]), np.array([899.0, 0.25, 450.0])
    x, y = ZONE31.transform.c + (cols + 0.5) * 10, ZONE31.transform.f - (rows + 0.5) * 10
    there = ~end.transform @ np.array(transform_points(ZONE31.crs, end.crs, x, y))[:, 0].tolist()
    found = GridProjection(ZONE31, end).locate(rows, cols)
    np.testing.assert_allclose([found[1][0] + 0.5, found[0][0] + 0.5], there, atol=1e-5)


@pytest.mark.parametrize("end", [ZONE31, ZONE32, DEGREES], ids=["itself", "utm", "degrees"])
def test_a_window_is_projected_to_a_thousandth_of_a_pixel(end):
    projection, window = GridProjection(ZONE31, end), Window(37, 411, 500, 300)
    rows, cols = np.meshgrid(np.arange(37.0, 537.0), np.arange(411.0, 711.0), indexing="ij")
    for near, exact in zip(projection.of_window(window), projection.locate(rows, cols), strict=True):
        assert near.shape == (500, 300)
        assert np.abs(near - exact).max() < 1e-3


@settings(max_examples=40, deadline=None)
@given(row=st.integers(0, 650), col=st.integers(0, 850), height=st.integers(1, 200), width=st.integers(1, 200))
@pytest.mark.whole
def test_the_place_of_a_pixel_does_not_depend_on_its_window(row, col, height, width):
    projection = GridProjection(ZONE31, ZONE32)
    whole = projection.of_window(Window(0, 0, 900, 1100))
    window = Window(row, col, height, width)
    for part, full in zip(projection.of_window(window), whole, strict=True):
        np.testing.assert_array_equal(part, full[window.slices()])


def test_a_grid_that_shares_its_pixels_is_a_shift():
    moved = Grid(ZONE31.crs, Affine(10, 0, 760_050, 0, -10, 4_899_990), Shape(10, 20))
    assert GridProjection(ZONE31, moved).shift == (-3, -5)
    assert GridProjection(moved, ZONE31).shift == (3, 5)
    off = Grid(ZONE31.crs, Affine(10, 0, 760_055, 0, -10, 4_899_990), Shape(10, 20))
    assert GridProjection(ZONE31, off).shift is None
    coarse = Grid(ZONE31.crs, Affine(20, 0, 760_000, 0, -20, 4_900_020), Shape(10, 20))
    assert GridProjection(ZONE31, coarse).shift is None
    assert GridProjection(ZONE31, ZONE32).shift is None


@pytest.mark.parametrize("end", [ZONE32, DEGREES], ids=["utm", "degrees"])
def test_the_covered_window_holds_every_pixel_on_the_other_grid(end):
    projection = GridProjection(ZONE31, end)
    found = inside(*projection.of_window(ZONE31.window), end.shape)
    rows, cols = np.nonzero(found)
    covered = projection.covered()
    assert covered.row <= rows.min()
    assert covered.col <= cols.min()
    assert covered.row_end > rows.max()
    assert covered.col_end > cols.max()
    assert covered.shape.size <= (np.ptp(rows) + 20) * (np.ptp(cols) + 20)
    assert projection.meets()


def test_grids_apart_do_not_meet():
    far = Grid(ZONE31.crs, Affine(10, 0, 300_000, 0, -10, 1_000_000), Shape(50, 50))
    assert not GridProjection(ZONE31, far).meets()
    assert GridProjection(ZONE31, far).covered().shape.size == 0


def test_what_the_other_projection_does_not_show_has_no_footprint():
    half = CRS.from_string("+proj=ortho +lat_0=0 +lon_0=-170")  # the half of the Earth that zone 31 is not on
    hidden = Grid(half, Affine(1000, 0, 0, 0, -1000, 0), Shape(50, 50))
    assert GridProjection(ZONE31, hidden).footprint() == Window(0, 0, 0, 0)


def test_a_grid_without_a_place_is_refused():
    with pytest.raises(ValueError, match="nowhere"):
        GridProjection(ZONE31, Grid(None, Affine.identity(), Shape(5, 5)))


def degrees(west, width=300, height=200, north=44.0, pixel=1e-4):
    return Grid(CRS.from_epsg(4326), Affine(pixel, 0, west, 0, -pixel, north), Shape(height, width))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (degrees(6.0), degrees(6.013)),  # the other grid begins inside
        (degrees(6.01, width=100), degrees(6.0, width=4000)),  # it reaches far beyond on both sides
        (degrees(-180.01), degrees(179.985)),  # either side of 180 degrees
        (degrees(179.985), degrees(-180.01)),
        (ZONE31, DEGREES),
        (
            Grid(CRS.from_epsg(32701), Affine(10, 0, 166_000, 0, -10, 8_009_000), Shape(300, 400)),
            degrees(179.85, 3000, 3000, -17.9),
        ),
    ],
)
def test_every_pixel_that_lies_on_the_other_grid_is_found(start, end):
    projection = GridProjection(start, end)
    rows, cols = np.meshgrid(np.arange(float(start.shape.height)), np.arange(float(start.shape.width)), indexing="ij")
    exact = inside(*projection.locate(rows, cols), end.shape)
    assert exact.any()
    found = inside(*projection.of_window(start.window), end.shape)
    assert (found != exact).sum() <= 0.001 * exact.sum()
    covered = projection.covered()
    outside = exact.copy()
    outside[covered.slices()] = False
    assert not outside.any()
