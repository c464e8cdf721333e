"""`lulc change` of maps in degrees and metres: no pixel of the common ground is lost, wherever 180 degrees lie."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform

from lulc.tasks.change.change import map_change
from lulc.tasks.change.options import ChangeOptions
from tests.support.change_samples import PLACE, product

HEIGHT, WIDTH = 120, 150


def degrees(lon, lat):
    """Pixels of some ten metres in degrees, from a corner."""
    return "EPSG:4326", Affine(10 / (111_320 * np.cos(np.radians(lat))), 0, lon, 0, -9e-5, lat)


FRANCE = "EPSG:32631", PLACE
FIJI = "EPSG:32760", Affine(10.0, 0, 818_700.0, 0, -10.0, 8_118_000.0)  # 180 degrees east run through it, 17 south

CASES = {
    "degrees begin inside": (FRANCE, degrees(0.5065, 44.2238), 1),
    "degrees begin outside": (FRANCE, degrees(0.49, 44.232), 1),
    "degrees all around": (FRANCE, degrees(0.48, 44.24), 4),
    "metres around degrees": (degrees(0.51, 44.22), ("EPSG:32631", PLACE @ Affine.translation(-150, -150)), 4),
    "degrees around degrees": (degrees(0.51, 44.22), degrees(0.501037, 44.2282), 4),
    "degrees around another zone": (("EPSG:32632", Affine(10, 0, 20_000, 0, -10, 4_910_000)), degrees(2.95, 44.2), 6),
    "antimeridian, east of 180 as -180": (FIJI, degrees(-180.01, -16.99), 2),
    "antimeridian, east of 180 as 181": (FIJI, degrees(179.99, -16.99), 2),
    "antimeridian, metres after": (degrees(179.993, -17.0), FIJI, 2),
    "antimeridian, a turn apart": (degrees(179.995, -17.0), degrees(-180.01, -16.995), 2),
    "antimeridian, one side each": (degrees(-180.0, -17.0), degrees(179.99, -16.995), 2),
}


def written(path, place, size, tops):
    """A map that is sure of these classes, counted from 0, in its columns."""
    steps = np.full((4, HEIGHT * size, WIDTH * size), 5, np.uint8)
    for top, part in zip(tops, np.array_split(np.arange(WIDTH * size), len(tops)), strict=True):
        steps[top][:, part] = 235
    return product(path, steps, crs=place[0], transform=place[1])


def places_on(place, crs, there):
    """Rows and columns, from centres, on another grid of every pixel of a grid, by GDAL."""
    cols, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    x, y = place @ (cols.ravel(), rows.ravel())
    x, y = map(np.array, transform(crs, there[0], x, y))
    if there[0] == "EPSG:4326":
        x = there[1].c + (x - there[1].c + 90) % 360 - 90
    cols, rows = ~there[1] @ (x, y)
    return rows.reshape(HEIGHT, WIDTH) - 0.5, cols.reshape(HEIGHT, WIDTH) - 0.5


@pytest.mark.parametrize("case", CASES)
@pytest.mark.whole
def test_every_pixel_of_the_common_ground_is_compared(tmp_path, case):
    first, second, size = CASES[case]
    written(tmp_path / "before.tif", first, 1, [0])
    written(tmp_path / "after.tif", second, size, [1, 2])
    map_change(tmp_path / "before.tif", tmp_path / "after.tif", tmp_path / "change.tif", ChangeOptions(mmu=0))
    found = np.full((HEIGHT, WIDTH), 255)
    with rasterio.open(tmp_path / "change.tif") as source:
        col, row = map(round, ~first[1] @ (source.transform.c, source.transform.f))
        found[row : row + source.height, col : col + source.width] = source.read(1)
    rows, cols = places_on(first[1], first[0], second)
    height, width = HEIGHT * size, WIDTH * size
    expected = np.where(cols < width / 2 - 0.5, 2, 3)  # lake to pine, lake to oak
    outside = (rows < -0.5) | (cols < -0.5) | (rows > height - 0.5) | (cols > width - 0.5)
    expected[outside] = 255
    edges = [np.abs(rows + 0.5), np.abs(cols + 0.5), np.abs(rows - height + 0.5), np.abs(cols - width + 0.5)]
    clear = (np.min(edges, axis=0) > 0.02) & (np.abs(cols - width / 2 + 0.5) > 1.5)
    assert (~outside).mean() > 0.15
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], expected[clear])
