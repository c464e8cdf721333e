import dataclasses

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from lulc.bands import Radiometry
from lulc.errors import InputError
from lulc.grid import Grid, Shape, Window, map_points
from lulc.io.scene.scene import Scene
from lulc.projection import bounding_window
from lulc.tasks.stack import on_grid as module
from lulc.tasks.stack.composite import Composite
from lulc.tasks.stack.on_grid import bilinear

UTM = CRS.from_epsg(32633)
DEGREES = CRS.from_epsg(4326)
PLACE = Affine(10, 0, 350_000.0, 0, -10, 5_070_000.0)
GRID = Grid(UTM, PLACE, Shape(120, 140))
NAMES = ("B04", "B08")


@dataclasses.dataclass(frozen=True)
class Info:
    name: str


@dataclasses.dataclass
class Memory:
    """A scene in memory: uint16 digital numbers, 0 is missing."""

    pixels: np.ndarray
    grid: Grid
    radiometry: Radiometry = Radiometry()  # noqa: RUF009 - frozen
    name: str = "memory"
    reads: list = dataclasses.field(default_factory=list)

    reflectance = Scene.reflectance

    @property
    def info(self):
        return Info(self.name)

    def read(self, names, window):
        assert window == window.intersection(self.grid.window)
        self.reads.append(window)
        raw = self.pixels[[NAMES.index(name) for name in names]][:, *window.slices()]
        return raw.copy(), (raw != 0).all(axis=0)


def smooth(grid, crs_of_truth=UTM):
    """Digital numbers that are linear in the UTM coordinates, so that interpolation is exact in any projection."""
    from pyproj import Transformer

    rows, cols = np.mgrid[: grid.shape.height, : grid.shape.width] + 0.5
    x, y = map_points(grid.transform, cols, rows)
    if grid.crs != crs_of_truth:
        x, y = Transformer.from_crs(grid.crs.to_wkt(), crs_of_truth.to_wkt(), always_xy=True).transform(x, y)
    first = 3000 + (x - 350_000) / 2 + (5_070_000 - y) / 4
    return np.stack([first, first + 1000]).round().astype(np.uint16)


def holed(grid=GRID):
    """A scene with three quarters of its pixels, the holes both in a block and one by one."""
    pixels = smooth(grid)
    rng = np.random.default_rng(0)
    hole = rng.random(pixels.shape[1:]) < 0.1
    hole[20:70, 30:90] = True
    pixels[:, hole] = 0
    return Memory(pixels, grid, name="first"), hole


def test_a_window_beside_the_other_scene_takes_nothing_from_it():
    here = Memory(smooth(GRID), GRID)
    there = Grid(UTM, Affine(10, 0, 350_005.0, 0, -10, 5_070_000.0), Shape(20, 20))
    other = Memory(smooth(there), there)
    donor = module.donor(other, here, NAMES)
    assert np.isnan(donor.whole(Window(60, 60, 10, 10))).all()
    assert other.reads == []
    assert np.isfinite(donor.at(np.array([9]), np.array([9]))).all()


class TestSameGrid:
    def test_holes_come_from_the_second_and_only_they(self):
        first, hole = holed()
        second = Memory(np.full_like(first.pixels, 700), GRID)
        planes, source = Composite([first, second], NAMES).read(GRID.window)
        np.testing.assert_array_equal(source, np.where(hole, 2, 1))
        np.testing.assert_allclose(planes[:, hole], 0.07, rtol=1e-6)
        np.testing.assert_allclose(planes[:, ~hole], first.pixels[:, ~hole] / 1e4, rtol=1e-6)

    def test_the_third_fills_what_the_second_lacks(self):
        first, hole = holed()
        second, third = np.full_like(first.pixels, 700), np.full_like(first.pixels, 800)
        second[:, :40] = 0
        third[:, :, :50] = 0
        _, source = Composite([first, Memory(second, GRID), Memory(third, GRID)], NAMES).read(GRID.window)
        rows, cols = np.mgrid[:120, :140]
        expected = np.where(~hole, 1, np.where(rows >= 40, 2, np.where(cols >= 50, 3, 0)))
        np.testing.assert_array_equal(source, expected)

    def test_nothing_anywhere_is_nan_from_no_source(self):
        first, hole = holed()
        empty = Memory(np.zeros_like(first.pixels), GRID)
        planes, source = Composite([first, empty], NAMES).read(GRID.window)
        np.testing.assert_array_equal(np.isnan(planes), np.broadcast_to(hole, planes.shape))
        np.testing.assert_array_equal(source == 0, hole)

    def test_each_scene_has_its_own_radiometry(self):
        first, hole = holed()
        second = Memory(np.full_like(first.pixels, 1700), GRID, Radiometry(10_000, -1000))
        planes, _ = Composite([first, second], NAMES).read(GRID.window)
        np.testing.assert_allclose(planes[:, hole], 0.07, rtol=1e-5)

    def test_a_whole_window_never_touches_the_second(self):
        first = Memory(smooth(GRID), GRID)
        second = Memory(smooth(GRID), GRID)
        Composite([first, second], NAMES).read(GRID.window)
        assert second.reads == []

    def test_only_the_hole_is_read(self):
        pixels = smooth(GRID)
        pixels[:, 50:53, 60:64] = 0
        second = Memory(smooth(GRID), GRID)
        Composite([Memory(pixels, GRID), second], NAMES).read(GRID.window)
        assert second.reads == [Window(50, 60, 3, 4)]


OTHERS = {
    "shifted by a fraction": Grid(UTM, Affine(10, 0, 349_903.0, 0, -10, 5_070_104.0), Shape(150, 170)),
    "20 m": Grid(UTM, Affine(20, 0, 349_900.0, 0, -20, 5_070_100.0), Shape(80, 90)),
    "5 m, south up": Grid(UTM, Affine(5, 0, 349_900.0, 0, 5, 5_068_500.0), Shape(340, 330)),
    "rotated": Grid(UTM, Affine(9.6, 2.8, 349_500.0, 2.8, -9.6, 5_070_000.0), Shape(230, 260)),
    "next zone": Grid(CRS.from_epsg(32632), Affine(10, 0, 816_400.0, 0, -10, 5_076_500.0), Shape(160, 180)),
    "degrees": Grid(DEGREES, Affine(1e-4, 0, 13.06, 0, -1e-4, 45.78), Shape(400, 400)),
}


class TestOtherGrid:
    @pytest.mark.parametrize("name", OTHERS)
    def test_a_linear_landscape_is_filled_exactly(self, name):
        """Digital numbers are rounded to 1, hence 1.5 of tolerance; a shift by half a pixel would be 2.5 or more."""
        first, hole = holed()
        other = OTHERS[name]
        second = Memory(smooth(other), other)
        planes, source = Composite([first, second], NAMES).read(GRID.window)
        assert (source[hole] == 2).all()
        np.testing.assert_allclose(planes[:, hole] * 1e4, smooth(GRID)[:, hole], atol=1.5)

    @pytest.mark.parametrize("name", ["shifted by a fraction", "degrees"])
    def test_it_is_what_gdal_interpolates(self, name, tmp_path):
        other = OTHERS[name]
        rng = np.random.default_rng(3)
        pixels = rng.integers(1, 9000, (2, other.shape.height, other.shape.width)).astype(np.uint16)
        empty = Memory(np.zeros((2, 120, 140), np.uint16), GRID)
        planes, source = Composite([empty, Memory(pixels, other)], NAMES).read(GRID.window)
        path = tmp_path / "other.tif"
        profile = {"driver": "GTiff", "count": 2, "dtype": "float64", "crs": other.crs, "transform": other.transform}
        with rasterio.open(path, "w", height=other.shape.height, width=other.shape.width, **profile) as raster:
            raster.write(pixels.astype(np.float64))
        warp = {"crs": UTM, "transform": PLACE, "height": 120, "width": 140, "XSCALE": 1, "YSCALE": 1}
        with (
            rasterio.open(path) as raster,
            WarpedVRT(raster, resampling=Resampling.bilinear, tolerance=1e-6, **warp) as vrt,
        ):
            truth = vrt.read() / 1e4
        found = source == 2
        assert found.mean() > 0.9
        np.testing.assert_allclose(planes[:, found], truth[:, found], atol=2e-5)

    @pytest.mark.parametrize("name", ["shifted by a fraction", "degrees", "20 m"])
    def test_cutting_changes_nothing(self, name, monkeypatch):
        first, _ = holed()
        other = OTHERS[name]
        pixels = np.random.default_rng(1).integers(0, 3, (2, other.shape.height, other.shape.width)).astype(np.uint16)
        composite = Composite([first, Memory(pixels, other)], NAMES)
        planes, source = composite.read(GRID.window)
        monkeypatch.setattr(module, "_MOST_PIXELS", 500)
        for row in range(0, 120, 37):
            for col in range(0, 140, 41):
                window = Window(row, col, 37, 41).intersection(GRID.window)
                part, from_where = composite.read(window)
                np.testing.assert_array_equal(part, planes[:, *window.slices()])
                np.testing.assert_array_equal(from_where, source[window.slices()])

    def test_a_much_finer_scene_is_read_in_pieces(self, monkeypatch):
        monkeypatch.setattr(module, "_MOST_PIXELS", 10_000)
        first, hole = holed()
        second = Memory(smooth(OTHERS["5 m, south up"]), OTHERS["5 m, south up"])
        planes, _ = Composite([first, second], NAMES).read(GRID.window)
        assert max(window.shape.size for window in second.reads) <= 10_000
        np.testing.assert_allclose(planes[:, hole] * 1e4, smooth(GRID)[:, hole], atol=1.5)

    def test_part_of_the_scene_only(self):
        first, hole = holed()
        other = Grid(UTM, Affine(10, 0, 350_403.0, 0, -10, 5_070_104.0), Shape(150, 170))
        _, source = Composite([first, Memory(smooth(other), other)], NAMES).read(GRID.window)
        rows, cols = np.nonzero(hole)
        np.testing.assert_array_equal(source[rows, cols] == 2, 350_005 + 10 * cols >= 350_403)

    @pytest.mark.parametrize(
        "other",
        [
            Grid(UTM, Affine(10, 0, 450_000.0, 0, -10, 5_070_000.0), Shape(120, 140)),
            Grid(DEGREES, Affine(1e-4, 0, -60.0, 0, -1e-4, -30.0), Shape(100, 100)),
        ],
    )
    def test_scenes_that_do_not_meet_are_refused(self, other):
        first, _ = holed()
        with pytest.raises(InputError, match="lies outside first"):
            Composite([first, Memory(smooth(other), other)], NAMES)

    @pytest.mark.filterwarnings("error")
    def test_places_that_the_projection_does_not_know_are_outside(self):
        first, _ = holed()
        other = Grid(DEGREES, Affine(1e-3, 0, 105.0, 0, -1e-3, 0.0), Shape(100, 100))
        with pytest.raises(InputError, match="lies outside first"):
            Composite([first, Memory(np.ones((2, 100, 100), np.uint16), other)], NAMES)

    @pytest.mark.parametrize("west", [179.0, -181.0])
    def test_a_scene_across_the_antimeridian(self, west):
        here = Grid(CRS.from_epsg(32601), Affine(1000, 0, 130_000, 0, -1000, 900_000), Shape(100, 80))
        other = Grid(DEGREES, Affine(0.01, 0, west, 0, -0.01, 10.0), Shape(1000, 300))
        empty = Memory(np.zeros((2, 100, 80), np.uint16), here)
        _, source = Composite([empty, Memory(np.ones((2, 1000, 300), np.uint16), other)], NAMES).read(here.window)
        assert (source == 2).all()

    def test_a_scene_without_a_crs_needs_the_same_grid(self):
        first, _ = holed()
        other = Grid(None, PLACE, Shape(120, 150))
        with pytest.raises(InputError, match="has no CRS"):
            Composite([first, Memory(np.ones((2, 120, 150), np.uint16), other)], NAMES)


class TestBilinear:
    planes = np.array([[[1.0, 2.0], [3.0, 4.0]]], np.float32)

    @pytest.mark.parametrize(
        ("row", "col", "value"),
        [(0, 0, 1.0), (1, 1, 4.0), (0.5, 0.5, 2.5), (0, 0.25, 1.25), (-0.4, 0, 1.0), (1.4, 1.4, 4.0)],
    )
    def test_values(self, row, col, value):
        found = bilinear(self.planes, np.array([float(row)]), np.array([float(col)]))
        np.testing.assert_allclose(found, [[value]], rtol=1e-6)

    @pytest.mark.parametrize(("col", "value"), [(0.3, 1.0), (0.5, 1.0), (0.6, np.nan), (1.0, np.nan)])
    def test_missing_neighbours_are_left_out(self, col, value):
        planes = self.planes.copy()
        planes[:, :, 1] = np.nan
        np.testing.assert_allclose(bilinear(planes, np.zeros(1), np.array([col])), [[value]])

    @settings(max_examples=50)
    @given(st.floats(0, 4), st.floats(0, 6))
    def test_a_plane_is_reproduced(self, row, col):
        rows, cols = np.mgrid[:5, :7].astype(np.float32)
        found = bilinear(np.stack([rows * 2 + cols]), np.array([row]), np.array([col]))
        np.testing.assert_allclose(found, [[row * 2 + col]], rtol=1e-5, atol=1e-5)


def test_bounding_window_is_cut_at_the_edge():
    window = bounding_window(np.array([-1, 4]), np.array([2, 9]), Shape(4, 8))
    assert window == Window(0, 2, 4, 6)
