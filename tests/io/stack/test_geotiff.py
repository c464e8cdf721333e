import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC

from lulc.errors import StorageError
from lulc.grid import Grid, Shape, Window
from lulc.io.stack.geotiff import SOURCE, StackLayout, check_blocks, geotiff_sink

PLACE = Affine(10, 0, 399_960.0, 0, -10, 5_000_040.0)
UTM = CRS.from_epsg(32631)
DEGREES = CRS.from_epsg(4326)


def layout(grid=None, *, sources=True, shape=Shape(300, 520), chunk=256):  # noqa: B008
    grid = grid or Grid(UTM, PLACE, shape)
    return StackLayout(grid, {"B04": "red", "NDVI": "vegetation"}, {"LULC_KIND": "stack"}, sources, chunk)


def content(shape):
    rng = np.random.default_rng(1)
    planes = rng.random((2, shape.height, shape.width), np.float32)
    source = rng.integers(0, 3, (shape.height, shape.width)).astype(np.uint8)
    planes[:, source == 0] = np.nan
    return planes, source


def write(sink, plan, planes, source):
    shape = plan.grid.shape
    for row in range(0, shape.height, plan.chunk):
        for col in range(0, shape.width, plan.chunk):
            window = Window(row, col, plan.chunk, plan.chunk).intersection(plan.grid.window)
            sink(window, planes[:, *window.slices()], source[window.slices()])


def written(path, plan):
    planes, source = content(plan.grid.shape)
    with geotiff_sink(path, plan) as sink:
        write(sink, plan, planes, source)
    return planes, source


class TestContent:
    def test_pixels_come_back_bit_for_bit(self, tmp_path):
        plan = layout()
        planes, source = written(tmp_path / "out.tif", plan)
        with rasterio.open(tmp_path / "out.tif") as raster:
            np.testing.assert_array_equal(raster.read([1, 2]), planes)
            np.testing.assert_array_equal(raster.read(3), source)
            assert np.isnan(raster.nodata)
            np.testing.assert_array_equal(raster.read_masks(1) == 0, np.isnan(planes[0]))

    def test_it_describes_itself(self, tmp_path):
        written(tmp_path / "out.tif", layout())
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.descriptions == ("B04", "NDVI", SOURCE)
            assert raster.tags()["LULC_KIND"] == "stack"
            assert raster.tags(1)["long_name"] == "red"

    def test_tiled_compressed_and_one_band_after_the_other(self, tmp_path):
        written(tmp_path / "out.tif", layout(chunk=512))
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.profile["tiled"]
            assert raster.block_shapes[0] == (512, 512)
            assert raster.interleaving.name.lower() == "band"
            assert raster.compression.name.lower() == "zstd"

    def test_no_source_channel_without_filling(self, tmp_path):
        written(tmp_path / "out.tif", layout(sources=False))
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.descriptions == ("B04", "NDVI")


POINTS = [
    GroundControlPoint(0, 0, 10.0, 50.0),
    GroundControlPoint(0, 519, 11.0, 50.1),
    GroundControlPoint(299, 0, 10.1, 49.0),
]
COEFFICIENTS = [1.0] + [0.0] * 19
CAMERA = RPC(
    100.0,
    10.0,
    50.0,
    1.0,
    COEFFICIENTS,
    COEFFICIENTS,
    150.0,
    150.0,
    10.0,
    0.5,
    COEFFICIENTS,
    COEFFICIENTS,
    260.0,
    260.0,
)
SHAPE = Shape(300, 520)


class TestGeoreference:
    @pytest.mark.parametrize(
        "grid",
        [
            Grid(UTM, PLACE, SHAPE),
            Grid(DEGREES, Affine(1.234567890123e-4, 0, 13.012345678901234, 0, -1.1e-4, 45.8), SHAPE),
            Grid(CRS.from_epsg(27700), Affine(10, 0, 4e5, 0, 10, 3e5), SHAPE),
            Grid(UTM, Affine(9.8, 1.7, 4e5, 1.7, -9.8, 5e6), SHAPE),
            Grid(UTM, PLACE, SHAPE, point=True),
        ],
        ids=["utm", "degrees", "south up", "rotated", "pixel is point"],
    )
    def test_transform_and_crs_to_the_last_bit(self, grid, tmp_path):
        written(tmp_path / "out.tif", layout(grid))
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.transform == grid.transform
            assert raster.crs == grid.crs
            assert raster.tags().get("AREA_OR_POINT") == ("Point" if grid.point else "Area")

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_control_points(self, tmp_path):
        written(tmp_path / "out.tif", layout(Grid(None, Affine.identity(), SHAPE, POINTS, DEGREES)))
        with rasterio.open(tmp_path / "out.tif") as raster:
            points, crs = raster.gcps
            assert [(p.row, p.col, p.x, p.y) for p in points] == [(p.row, p.col, p.x, p.y) for p in POINTS]
            assert crs == DEGREES

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_camera_coefficients(self, tmp_path):
        written(tmp_path / "out.tif", layout(Grid(None, Affine.identity(), SHAPE, rpcs=CAMERA)))
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.rpcs.line_scale == CAMERA.line_scale
            assert raster.crs is None

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_no_georeference_stays_none(self, tmp_path):
        written(tmp_path / "out.tif", layout(Grid(None, Affine.identity(), SHAPE)))
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.crs is None
            assert raster.transform == Affine.identity()


def test_a_missing_block_is_found(tmp_path):
    path = tmp_path / "holes.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=512,
        height=512,
        count=1,
        dtype="float32",
        tiled=True,
        sparse_ok=True,
        transform=PLACE,
        crs=UTM,
    ) as raster:
        raster.write(np.ones((256, 256), np.float32), 1, window=((0, 256), (0, 256)))
    with pytest.raises(StorageError, match="block is missing"):
        check_blocks(path)


def test_a_cut_file_is_found(tmp_path):
    path = tmp_path / "out.tif"
    written(path, layout())
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    with pytest.raises(StorageError, match="block is missing"):
        check_blocks(path)
