import netCDF4
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers .rio
import xarray as xr
from affine import Affine
from rasterio.crs import CRS

from lulc.errors import InputError
from lulc.grid import Grid, Shape, Window
from lulc.io.stack.coordinates import pixel_centres
from lulc.io.stack.cube import netcdf_sink, zarr_sink
from lulc.io.stack.geotiff import SOURCE, StackLayout

PLACE = Affine(10, 0, 399_960.0, 0, -10, 5_000_040.0)
SHAPE = Shape(300, 520)
GRID = Grid(CRS.from_epsg(32631), PLACE, SHAPE)
SINKS = {".nc": netcdf_sink, ".zarr": zarr_sink}


def layout(grid=GRID, *, sources=True):
    return StackLayout(grid, {"B04": "red", "NDVI": "vegetation"}, {"LULC_KIND": "stack"}, sources, 256)


def written(path, plan):
    rng = np.random.default_rng(1)
    shape = plan.grid.shape
    planes = rng.random((2, shape.height, shape.width), np.float32)
    source = rng.integers(0, 3, (shape.height, shape.width)).astype(np.uint8)
    planes[:, source == 0] = np.nan
    with SINKS[path.suffix](path, plan) as sink:
        for row in range(0, shape.height, 256):
            for col in range(0, shape.width, 256):
                window = Window(row, col, 256, 256).intersection(plan.grid.window)
                sink(window, planes[:, *window.slices()], source[window.slices()])
    return planes, source


def opened(path):
    engine = "zarr" if path.suffix == ".zarr" else "netcdf4"
    return xr.open_dataset(path, engine=engine, decode_coords="all")


@pytest.mark.parametrize("suffix", SINKS)
class TestXarray:
    def test_pixels_come_back_bit_for_bit(self, tmp_path, suffix):
        planes, source = written(tmp_path / f"out{suffix}", layout())
        with opened(tmp_path / f"out{suffix}") as cube:
            np.testing.assert_array_equal(cube["B04"].values, planes[0])
            np.testing.assert_array_equal(cube["NDVI"].values, planes[1])
            np.testing.assert_array_equal(cube[SOURCE].values, source)
            assert cube["B04"].dtype == np.float32
            assert cube[SOURCE].dtype == np.uint8

    def test_it_is_georeferenced(self, tmp_path, suffix):
        written(tmp_path / f"out{suffix}", layout())
        with opened(tmp_path / f"out{suffix}") as cube:
            assert cube["B04"].rio.crs == GRID.crs
            assert cube["B04"].rio.transform() == PLACE
            x, y = pixel_centres(GRID)
            np.testing.assert_array_equal(cube["x"], x)
            np.testing.assert_array_equal(cube["y"], y)
            assert cube["x"].attrs["standard_name"] == "projection_x_coordinate"
            assert cube["x"].attrs["units"].startswith("met")

    def test_attributes(self, tmp_path, suffix):
        written(tmp_path / f"out{suffix}", layout())
        with opened(tmp_path / f"out{suffix}") as cube:
            assert cube.attrs["LULC_KIND"] == "stack"
            assert cube.attrs["Conventions"].startswith("CF")
            assert cube["B04"].attrs["long_name"] == "red"
            assert cube["B04"].attrs["units"] == "1"

    def test_chunks_are_as_asked(self, tmp_path, suffix):
        written(tmp_path / f"out{suffix}", layout())
        with opened(tmp_path / f"out{suffix}") as cube:
            encoding = cube["B04"].encoding
            assert tuple(encoding.get("chunksizes") or encoding["chunks"]) == (256, 256)

    def test_no_source_without_filling(self, tmp_path, suffix):
        written(tmp_path / f"out{suffix}", layout(sources=False))
        with opened(tmp_path / f"out{suffix}") as cube:
            assert list(cube.data_vars) == ["B04", "NDVI"]

    def test_degrees(self, tmp_path, suffix):
        grid = Grid(CRS.from_epsg(4326), Affine(1.25e-4, 0, 13.0, 0, -1.25e-4, 45.5), SHAPE)
        written(tmp_path / f"out{suffix}", layout(grid))
        with opened(tmp_path / f"out{suffix}") as cube:
            assert cube["B04"].rio.crs == grid.crs
            assert cube["B04"].rio.transform() == grid.transform
            assert cube["x"].attrs["units"] == "degrees_east"

    def test_without_a_crs(self, tmp_path, suffix):
        written(tmp_path / f"out{suffix}", layout(Grid(None, PLACE, SHAPE)))
        with opened(tmp_path / f"out{suffix}") as cube:
            assert cube.rio.crs is None
            assert set(cube.coords) == {"y", "x"}

    def test_a_rotated_grid_is_refused(self, tmp_path, suffix):
        turned = Grid(GRID.crs, Affine(9.8, 1.7, 4e5, 1.7, -9.8, 5e6), SHAPE)
        with pytest.raises(InputError, match="write a"):
            written(tmp_path / f"out{suffix}", layout(turned))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "address"), [(".nc", "netcdf:{}:{}"), (".zarr", 'ZARR:"{}":/{}')])
@pytest.mark.parametrize(
    "grid",
    [GRID, Grid(CRS.from_epsg(4326), Affine(1.25e-4, 0, 13.0, 0, -1.25e-4, 45.5), SHAPE)],
    ids=["utm", "degrees"],
)
def test_gdal_sees_place_and_pixels(tmp_path, suffix, address, grid):
    path = tmp_path / f"out{suffix}"
    planes, source = written(path, layout(grid))
    for name, truth in (("B04", planes[0]), ("NDVI", planes[1]), (SOURCE, source)):
        with rasterio.open(address.format(path, name)) as raster:
            assert raster.crs == grid.crs
            assert raster.transform.almost_equals(grid.transform, 1e-9)
            np.testing.assert_array_equal(raster.read(1), truth)


def plain(attributes):
    return {name: np.ravel(value).tolist() for name, value in attributes.items()}


@pytest.mark.parametrize("suffix", SINKS)
@pytest.mark.parametrize("code", [32631, 4326, 2263, 5514, 32661, None])
def test_coordinates_are_those_of_rioxarray(tmp_path, suffix, code):
    """Metres, degrees, feet, axes to the south and west, a pole, none."""
    grid = Grid(None if code is None else CRS.from_epsg(code), PLACE, SHAPE)
    written(tmp_path / f"out{suffix}", layout(grid))
    x, y = pixel_centres(grid)
    same = xr.Dataset(coords={"y": ("y", y), "x": ("x", x)})
    if code is not None:
        same = same.rio.write_crs(grid.crs).rio.write_transform(grid.transform).rio.write_coordinate_system()
    with opened(tmp_path / f"out{suffix}") as cube:
        assert set(cube.coords) == set(same.coords)
        for name, coordinate in same.coords.items():
            np.testing.assert_array_equal(cube[name], coordinate)
            assert cube[name].dtype == coordinate.dtype
            assert plain(cube[name].attrs) == plain(coordinate.attrs)
    with xr.open_dataset(tmp_path / f"out{suffix}") as cube:
        assert list(cube.data_vars) == ["B04", "NDVI", SOURCE]


class TestShuffle:
    """Values come back whichever way they are compressed."""

    def filters(self, path, planes):
        plan = StackLayout(GRID, {"B04": "red", "NDVI": "vegetation"}, {}, sources=False, chunk=256)
        with netcdf_sink(path, plan) as sink:
            for row in range(0, SHAPE.height, 256):
                for col in range(0, SHAPE.width, 256):
                    window = Window(row, col, 256, 256).intersection(GRID.window)
                    sink(window, planes[:, *window.slices()], np.zeros((window.height, window.width), np.uint8))
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)
            np.testing.assert_array_equal(file["B04"][...], planes[0])
            np.testing.assert_array_equal(file["NDVI"][...], planes[1])
            return [bool(file[name].filters()["shuffle"]) for name in ("B04", "NDVI")]

    def test_few_values_are_not_shuffled_many_are(self, tmp_path):
        rng = np.random.default_rng(1)
        counts = rng.normal(800, 100, (2, SHAPE.height, SHAPE.width)).round().astype(np.float32)
        counts[1] = rng.random(counts.shape[1:], np.float32)
        assert self.filters(tmp_path / "out.nc", counts / np.float32(10_000)) == [False, True]

    def test_a_first_window_without_data_leaves_it_to_the_kind_of_channel(self, tmp_path):
        planes = np.full((2, SHAPE.height, SHAPE.width), np.nan, np.float32)
        planes[:, 280:] = 0.5
        assert self.filters(tmp_path / "out.nc", planes) == [False, True]
