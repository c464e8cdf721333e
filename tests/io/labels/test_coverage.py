"""Covered fractions of pixels against shapely, pixel by pixel, and against a count of fine sub-pixels."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.grid import Window
from lulc.io.labels.coverage import PixelFrame, snapped
from lulc.io.labels.zones import polygonal

SHAPES = {
    "slanted": shapely.Polygon([(2.3, 1.1), (17.8, 4.6), (12.2, 13.9), (3.1, 10.4)]),
    "with a hole": shapely.Polygon(
        [(1.2, 1.3), (18.4, 1.3), (18.4, 13.6), (1.2, 13.6)], [[(4.4, 4.1), (9.9, 4.1), (7, 9.5)]]
    ),
    "in two parts": shapely.MultiPolygon([shapely.box(0.2, 0.2, 0.4, 0.9), shapely.box(10.5, 3.25, 14, 30)]),
    "thin": shapely.LineString([(0.5, 0.5), (19.5, 13)]).buffer(0.01),
    "the whole window and more": shapely.box(-5, -5, 50, 50),
}


def sound(shape):
    return snapped(polygonal(np.array([shapely.make_valid(shape)], object)))[0]


def dense(window, shape, *, cut=False):
    frame = PixelFrame(window)
    cells, fractions = (frame.cut_by if cut else frame.covered_by)(sound(shape))
    table = np.zeros(window.shape.size)
    table[cells] = fractions
    return table.reshape(window.height, window.width)


def by_shapely(window, shape):
    rows, cols = np.mgrid[window.row : window.row_end, window.col : window.col_end]
    return shapely.area(shapely.intersection(shapely.box(cols, rows, cols + 1, rows + 1), sound(shape)))


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_fractions_are_those_of_shapely(name, cut):
    window = Window(3, 2, 10, 15)
    found = dense(window, SHAPES[name], cut=cut)
    np.testing.assert_allclose(found, by_shapely(window, SHAPES[name]), atol=1e-9)


def test_fractions_are_those_of_fine_sub_pixels():
    finer = 100
    middles = (np.arange(20 * finer) + 0.5) / finer
    shape = SHAPES["slanted"]
    inside = shapely.contains_xy(shape, *np.meshgrid(middles, middles))
    counted = inside.reshape(20, finer, 20, finer).mean(axis=(1, 3))
    np.testing.assert_allclose(dense(Window(0, 0, 20, 20), shape), counted, atol=2 / finer)
    assert counted.sum() == pytest.approx(shape.area, rel=1e-4)


near_edges = st.builds(
    lambda whole, half, off: whole + half / 2 + off,
    st.integers(-3, 22),
    st.integers(0, 1),
    st.sampled_from([0.0, 1e-15, -1e-12, 1e-9, 1e-7, -1e-6, 1e-5, 1e-4, 3e-4]),
)
corner = near_edges | st.floats(-3, 23, allow_nan=False)


@settings(max_examples=150)
@given(st.lists(st.tuples(corner, corner), min_size=3, max_size=12))
def test_any_polygon_covers_its_own_area(corners):
    """Corners within rounding of pixel edges ended the process, or took pixels for their opposite, in exactextract alone."""
    shape = sound(shapely.Polygon(corners))
    if shape.area == 0:
        return
    window = Window(0, 0, 20, 20)
    covered = dense(window, shape)
    np.testing.assert_allclose(covered, by_shapely(window, shape), atol=1e-6)


def test_a_pixel_that_exactextract_takes_for_its_opposite():
    """An edge that passes the corner of the pixel in row 0, column 7: exactextract leaves out the whole pixel."""
    shape = shapely.Polygon(
        [
            (8.4289427, 5.8575287),
            (8, 4.9996433),
            (11.9996433, 1),
            (4.0003567, -1),
            (6.9996433, 4),
            (6.7752647, 5.1223717),
        ]
    )
    assert dense(Window(0, 0, 10, 10), shape)[0, 7] == pytest.approx(1, abs=1e-6)


def test_a_polygon_beside_the_window_covers_nothing():
    cells, fractions = PixelFrame(Window(0, 0, 5, 5)).covered_by(shapely.box(7, 7, 9, 9))
    assert len(cells) == len(fractions) == 0
