import numpy as np

from lulc.footprints import METRES_PER_DEGREE, Footprints
from lulc.io.figures.blocks import _places


def at(degrees, plane):
    """Footprints of chips at such longitudes on the equator."""
    x = np.array(degrees) * METRES_PER_DEGREE
    corners = np.stack([x, 0 * x], axis=1)[:, None] + np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]])
    return Footprints.of_corners(np.array(plane), corners, np.ones(len(x)))


def test_degrees_that_touch_are_drawn_on_one_map():
    ground = at([5.5, 0.5, 1.5, 3.5, 2.5, 0.5], [0, 0, 0, 0, 0, 1])
    assert [chips.tolist() for chips in _places(ground)] == [[1, 2, 3, 4], [0], [5]]
