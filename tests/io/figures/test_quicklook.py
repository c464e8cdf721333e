import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from lulc.grid import Window
from lulc.io.figures.map_figure import Ground
from lulc.io.figures.quicklook import MOST_PIXELS, _true_color, ground_of, quicklook_of
from tests.support.product_samples import LEGEND, grid_of, names, pixels, put_all, write, writer_of


class Scene:
    """A scene in memory; remembers the largest window that was asked for."""

    def __init__(self, grid, names=("B02", "B03", "B04", "B08"), values=None):
        rng = np.random.default_rng(0)
        shape = (len(names), grid.shape.height, grid.shape.width)
        self.grid, self.names = grid, names
        self.values = rng.integers(1, 3000, shape, dtype=np.uint16) if values is None else values
        self.largest = 0

    def read(self, wanted, window: Window):
        self.largest = max(self.largest, window.shape.size)
        raw = np.stack([self.values[self.names.index(name)][window.slices()] for name in wanted])
        return raw, (raw != 0).any(axis=0)


def picture(path):
    with rasterio.open(path, driver="PNG") as source:
        return source.read()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("size", [(1, 1), (20, 300), (300, 20), (227, 246), (1300, 900)])
@pytest.mark.parametrize("bands", [("B02", "B03", "B04", "B08"), ("B03", "B08")])
@pytest.mark.whole
def test_a_picture_of_any_shape_with_or_without_true_colour(tmp_path, size, bands):
    write(tmp_path / "a.tif", pixels(*size))
    quicklook_of(tmp_path / "a.tif", Scene(grid_of(*size), bands), tmp_path / "a.png")
    drawn = picture(tmp_path / "a.png")
    assert drawn.shape[0] in {3, 4}
    assert 400 < drawn.shape[2] < 2600
    assert 400 < drawn.shape[1] < 2000
    colors = {tuple(color) for color in drawn[:3].reshape(3, -1).T[::7].tolist()}
    assert sum(entry.rgb in colors for entry in LEGEND) >= 4
    assert names(tmp_path) == ["a.png", "a.qml", "a.tif", "a.tif.aux.xml"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("activations", ["none", "float32"])
def test_products_of_every_kind(tmp_path, activations):
    write(tmp_path / "a.tif", pixels(100, 120, activations=activations))
    quicklook_of(tmp_path / "a.tif", Scene(grid_of(100, 120)), tmp_path / "a.png")
    assert picture(tmp_path / "a.png").any()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_scene_placed_by_control_points_has_no_scale(tmp_path):
    points = [GroundControlPoint(row, col, 10 + col, 50 - row) for row, col in [(0, 0), (0, 9), (9, 0)]]
    grid = grid_of(60, 60, Affine.identity(), None, gcps=points, gcps_crs=CRS.from_epsg(4326))
    data = pixels(60, 60)
    writer = writer_of(tmp_path / "a.tif", data, grid=grid)
    put_all(writer, data)
    writer.publish()
    assert ground_of(grid) is None
    quicklook_of(tmp_path / "a.tif", Scene(grid), tmp_path / "a.png")


def test_true_colour_is_read_in_strips_averaged_and_stretched_by_one_gain():
    grid = grid_of(3000, 2000)
    ramp = np.linspace(100, 1100, 2000).astype(np.uint16) * np.ones((3000, 1), np.uint16)
    values = np.stack([ramp, ramp // 2, ramp // 4, ramp])
    values[:, :600] = 0
    scene = Scene(grid, values=values)
    colors = _true_color(scene, 3)
    assert colors.shape == (1000, 667, 3)
    assert scene.largest <= 512 * 2000
    assert (colors[:200] == 235).all()
    red, green, blue = (colors[300, :, band].astype(int) for band in range(3))
    assert (np.diff(blue) >= 0).all()
    assert (blue[0], blue[-1]) == (0, 255)
    assert red[-1] < green[-1] < blue[-1]


def test_the_mean_passes_over_pixels_without_data():
    values = np.full((4, 4, 4), 100, np.uint16)
    values[:, ::2] = 0
    values[:, 0, 0] = 300
    colors = _true_color(Scene(grid_of(4, 4), values=values), 2)
    assert (colors != 235).all()
    assert (colors[0, 0] == 255).all()
    assert (colors[1] == 0).all()


def test_a_picture_without_data_is_grey():
    assert (_true_color(Scene(grid_of(4, 4), values=np.zeros((4, 4, 4), np.uint16)), 2) == 235).all()


def test_the_ground_size_of_a_pixel_and_the_direction_of_north():
    middle = Affine(10, 0, 499_000, 0, -10, 4_901_000)
    utm = ground_of(grid_of(200, 200, middle))
    assert (utm.width_m, utm.height_m) == pytest.approx((10.004, 10.004), abs=1e-3)
    assert utm.north_deg == pytest.approx(0, abs=0.01)
    south_up = ground_of(grid_of(200, 200, Affine(10, 0, 499_000, 0, 10, 4_899_000)))
    assert abs(south_up.north_deg) == pytest.approx(180, abs=0.01)
    degrees = ground_of(grid_of(10, 10, Affine(1e-4, 0, 13, 0, -1e-4, 60), "EPSG:4326"))
    assert degrees.width_m / degrees.height_m == pytest.approx(0.5, abs=0.01)
    mercator = ground_of(grid_of(10, 10, Affine(10, 0, 0, 0, -10, 8_399_737), "EPSG:3857"))
    assert mercator.width_m == pytest.approx(5.01, abs=0.02)
    assert ground_of(grid_of(5, 5, Affine.identity(), None)) is None
    rim = Affine(10_000, 0, 6_370_000, 0, -10_000, 5000)  # of a picture of half the Earth: the next pixel shows sky
    assert ground_of(grid_of(1, 1, rim, "+proj=ortho +lat_0=0 +lon_0=0")) is None


@pytest.mark.parametrize(
    ("transform", "north_deg"),
    [
        (Affine(0, 10, 499_000, 10, 0, 4_899_000), 90),  # columns grow northwards
        (Affine(0, -10, 501_000, -10, 0, 4_901_000), -90),  # columns grow southwards
        (Affine(0, 10, 499_000, -10, 0, 4_901_000), -90),  # the same, mirrored
        (Affine(-10, 0, 501_000, 0, -10, 4_901_000), 0),  # columns grow westwards
    ],
)
def test_north_is_where_it_is_in_turned_and_mirrored_pictures(transform, north_deg):
    ground = ground_of(grid_of(200, 200, transform))
    assert ground == Ground(*[pytest.approx(10.004, abs=1e-3)] * 2, pytest.approx(north_deg, abs=0.05))


def test_a_large_scene_is_reduced_by_the_most_frequent_class(tmp_path):
    size = 2 * MOST_PIXELS + 10
    data = np.full((1, size, 40), 3, np.uint8)
    data[:, :, 20:] = 255
    writer = writer_of(tmp_path / "a.tif", data)
    put_all(writer, data)
    writer.publish()
    quicklook_of(tmp_path / "a.tif", Scene(grid_of(size, 40)), tmp_path / "a.png", {e.name: 1.0 for e in LEGEND})
    assert (tmp_path / "a.png").exists()
