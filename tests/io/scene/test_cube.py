"""Cubes as xarray, openEO, Xee, odc-stac, rioxarray and EOPF write them: pixels, places and dates, or one clear line."""

import json
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from rasterio.crs import CRS
from rasterio.transform import from_origin

from lulc.errors import InputError, LimitError
from lulc.grid import Window
from lulc.io.scene.cube import cube
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import NAMES, TRANSFORM, pixels, write_raster

UTM = CRS.from_epsg(32631)
MAPPING = xr.DataArray(0, attrs={"crs_wkt": UTM.to_wkt()})
STORED = "356040 10 0 4835680 0 -10"


def axes(height, width, size=10):
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    return {"y": TRANSFORM.f - size * rows, "x": TRANSFORM.c + size * columns}


def variables(values, dims=("y", "x"), names=NAMES):
    return {name: (dims, plane, {"grid_mapping": "spatial_ref"}) for name, plane in zip(names, values, strict=True)}


def plain(values, mapping=MAPPING):
    return xr.Dataset(variables(values), coords=axes(*values.shape[1:]) | {"spatial_ref": mapping})


def opened(dataset, folder):
    path = folder / "cube.nc"
    dataset.to_netcdf(path)
    return open_scene([path])


def is_read(dataset, folder, values, crs=UTM):
    """Whether the scene of a dataset has these pixels at their place."""
    with opened(dataset, folder) as scene:
        assert scene.grid.crs == crs
        assert scene.grid.transform.almost_equals(TRANSFORM, 1e-9)
        raw, valid = scene.read(NAMES, scene.grid.window)
    assert (valid == (values != 0).any(0)).all()
    assert (raw[:, valid] == values[:, valid]).all()


@pytest.mark.parametrize(
    "names", [("x", "y"), ("X", "Y"), ("easting", "northing"), ("a", "b")], ids=lambda names: names[0]
)
def test_columns_first_are_turned_by_the_role_of_their_axes(tmp_path, names):
    values = pixels(50, 70)
    across, down = names
    dataset = plain(values).rename(x=across, y=down).transpose(across, down)
    dataset[across].attrs = {"standard_name": "projection_x_coordinate"} if across == "a" else {}
    is_read(dataset, tmp_path, values)


def test_longitude_first_is_turned_and_lies_in_degrees(tmp_path):
    values = pixels(50, 70)
    lat, lon = 44 - 1e-4 * (np.arange(50) + 0.5), 1 + 1e-4 * (np.arange(70) + 0.5)
    dataset = xr.Dataset(
        {name: (("time", "lon", "lat"), plane.T[None]) for name, plane in zip(NAMES, values, strict=True)},
        coords={"time": [np.datetime64("2021-06-01")], "lon": lon, "lat": lat},
    )
    with opened(dataset, tmp_path) as scene:
        assert scene.grid.crs == CRS.from_epsg(4326)
        assert tuple(scene.grid.transform)[:6] == pytest.approx((1e-4, 0, 1, 0, -1e-4, 44))
        assert scene.info.acquired == "2021-06-01"
        raw, valid = scene.read(NAMES, scene.grid.window)
    assert (raw[:, valid] == values[:, valid]).all()


@pytest.mark.parametrize(
    "stated",
    [STORED, STORED.replace(" ", ", "), [float(number) for number in STORED.split()], "1 2 3", "", "a b c d e f"],
)
def test_a_geotransform_in_any_form_or_none_leaves_the_cube_where_its_axes_say(tmp_path, stated):
    values = pixels(50, 70)
    is_read(plain(values, MAPPING.assign_attrs(GeoTransform=stated)), tmp_path, values)


@pytest.mark.parametrize("attributes", [{}, {"GeoTransform": STORED}])
def test_one_row_is_as_high_as_its_pixels_are_wide(tmp_path, attributes):
    values = pixels(50, 70)[:, :1]
    is_read(plain(values, MAPPING.assign_attrs(attributes)), tmp_path, values)


@pytest.mark.parametrize(
    ("where", "stated"),
    [
        ("coordinate", {"epsg": 32631}),
        ("coordinate", {"proj:epsg": 32631.0}),
        ("coordinate", {"proj:code": "EPSG:32631"}),
        ("variable", {"crs": "epsg:32631"}),
        ("variable", {"proj:epsg": 32631}),
        ("dataset", {"crs": "+proj=utm +zone=31 +datum=WGS84 +units=m +no_defs"}),
        ("dataset", {"spatial_ref": UTM.to_wkt()}),
        ("mapping", {"spatial_ref": UTM.to_wkt()}),
        ("mapping", {"epsg_code": "EPSG:32631"}),
    ],
    ids=str,
)
def test_the_crs_is_found_wherever_tools_state_it(tmp_path, where, stated):
    values = pixels(50, 70)
    dataset = plain(values, xr.DataArray(0)).drop_vars("spatial_ref")
    for variable in dataset.data_vars.values():
        variable.attrs = stated if where == "variable" else {}
    if where == "coordinate":
        dataset = dataset.assign_coords(stated)
    elif where == "mapping":
        dataset = dataset.assign_coords(crs=xr.DataArray(0, attrs=stated))
    elif where == "dataset":
        dataset.attrs = stated
    with opened(dataset, tmp_path) as scene:
        assert scene.grid.crs.to_epsg() == 32631 or scene.grid.crs.to_proj4() == UTM.to_proj4()


def test_a_crs_that_is_none_is_one_line(tmp_path):
    dataset = plain(pixels(50, 70), xr.DataArray(0, attrs={"crs_wkt": 'PROJCS["nonsense"'}))
    with pytest.raises(InputError, match=r"its CRS 'PROJCS.*is not understood"):
        opened(dataset, tmp_path)


def test_a_crs_that_is_an_address_is_not_asked_for(tmp_path):
    dataset = plain(pixels(50, 70), xr.DataArray(0, attrs={"crs_wkt": "http://127.0.0.1:1/crs"}))
    with pytest.raises(InputError, match="is not understood"):
        opened(dataset, tmp_path)


@pytest.mark.parametrize("wrong", [["a"] * 70, [np.nan] * 70, [0.0, 1.0, 5.0] + [6.0] * 67, [3.0] * 70], ids=str)
def test_axes_that_place_nothing_are_one_line(tmp_path, wrong):
    dataset = plain(pixels(50, 70)).assign_coords(x=wrong)
    with pytest.raises(InputError, match=r"coordinates x"):
        opened(dataset, tmp_path)


def test_curvilinear_coordinates_place_nothing(tmp_path, caplog):
    lat, lon = np.mgrid[44:43.99:50j, 1:1.01:70j]
    dataset = xr.Dataset(variables(pixels(50, 70)), coords={"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)})
    with opened(dataset, tmp_path) as scene:
        assert not scene.grid.georeferenced
        assert scene.grid.transform.is_identity
    assert "grid_mapping not in variables" in caplog.text


class TestDates:
    def made(self, dates):
        values = pixels(50, 70)
        times = np.datetime64("2021-06-01T10:50:31") + 5 * np.timedelta64(1, "D") * np.arange(dates)
        coords = axes(50, 70) | {"t": times, "spatial_ref": MAPPING}
        return values, xr.Dataset(variables(np.stack([values] * dates, 1), ("t", "y", "x")), coords=coords)

    def test_one_is_that_scene(self, tmp_path):
        values, dataset = self.made(1)
        is_read(dataset, tmp_path, values)
        with open_scene([tmp_path / "cube.nc"]) as scene:
            assert scene.info.acquired == "2021-06-01T10:50:31"

    def test_several_are_refused_by_their_axis(self, tmp_path):
        with pytest.raises(InputError, match=r"B02 has 3 steps along t \(2021-06-01 to 2021-06-11\)"):
            opened(self.made(3)[1], tmp_path)

    @pytest.mark.parametrize("date", ["2021-06-06", "2021-06-06T10:50:31"])
    def test_one_of_several_is_chosen(self, tmp_path, date):
        values, dataset = self.made(3)
        for name in NAMES:
            dataset[name][2] = 7
            dataset[name][0] = 9
        dataset.to_netcdf(tmp_path / "cube.nc")
        with open_scene(tmp_path / "cube.nc", date=date) as scene:
            np.testing.assert_array_equal(scene.read(NAMES, scene.grid.window).data, values)
            assert scene.info.acquired == "2021-06-06T10:50:31"

    def test_another_date_is_another_input(self, tmp_path):
        self.made(3)[1].to_netcdf(tmp_path / "cube.nc")
        found = set()
        for date in ("2021-06-01", "2021-06-06"):
            with open_scene(tmp_path / "cube.nc", date=date) as scene:
                found.add(scene.fingerprint())
        assert len(found) == 2

    @pytest.mark.parametrize(("date", "matching"), [("2021-06-07", "none"), ("2021-06", "3")])
    def test_a_date_that_names_none_or_several_is_refused(self, tmp_path, date, matching):
        self.made(3)[1].to_netcdf(tmp_path / "cube.nc")
        with pytest.raises(InputError, match=f"{matching} of them at {date}; choose one with --date"):
            open_scene(tmp_path / "cube.nc", date=date)

    def test_what_has_no_dates_takes_none(self, tmp_path):
        plain(pixels(50, 70)).to_netcdf(tmp_path / "cube.nc")
        with pytest.raises(InputError, match="no axis of dates; leave --date out"):
            open_scene(tmp_path / "cube.nc", date="2021-06-07")
        with pytest.raises(InputError, match="no cube of several dates; leave --date out"):
            open_scene(write_raster(tmp_path / "scene.tif", pixels()), date="2021-06-07")


class TestBands:
    def stacked(self, values, **attributes):
        coords = {"band": np.arange(1, 5), "spatial_ref": MAPPING} | axes(*values.shape[1:])
        return xr.Dataset({"data": (("band", "y", "x"), values, {"grid_mapping": "spatial_ref"} | attributes)}, coords)

    def test_names_in_long_name(self, tmp_path):
        values = pixels(50, 70)
        is_read(self.stacked(values, long_name=list(NAMES)), tmp_path, values)

    def test_names_along_an_axis_of_any_name_and_place(self, tmp_path):
        values = pixels(50, 70)
        named = self.stacked(values).assign_coords(band=list(NAMES)).rename(band="wavelength")
        is_read(named.transpose("y", "x", "wavelength"), tmp_path, values)

    def test_what_a_file_holds_is_listed(self, tmp_path):
        dataset = xr.Dataset({"a": (("t",), np.zeros(3)), "b": (("s", "u", "v", "w"), np.zeros((2, 2, 2, 2)))})
        with pytest.raises(InputError, match=r"it has a\(t\), b\(s, u, v, w\)"):
            opened(dataset, tmp_path)


@pytest.mark.parametrize("name", ["nodata", "nodatavals", "_FillValue", "missing_value"])
def test_nodata_in_any_attribute_counts(tmp_path, name):
    values = pixels(50, 70).astype(np.int16)
    values[:, 20:30] = -999
    dataset = plain(values)
    for variable in dataset.data_vars.values():
        variable.attrs[name] = np.int16(-999)
    with opened(dataset, tmp_path) as scene:
        assert (scene.read(NAMES, scene.grid.window).valid == (values[0] != -999)).all()


def test_numbers_as_text_are_numbers_and_other_text_is_one_line(tmp_path):
    values = pixels(50, 70)
    with opened(plain(values).assign_attrs(quantification="8000 DN"), tmp_path) as scene:
        assert scene.radiometry.quantification == 8000
    with pytest.raises(InputError, match="its attribute quantification is no number: ten"):
        opened(plain(values).assign_attrs(quantification="ten"), tmp_path)


class TestTwoGrids:
    """10 m and 20 m variables on axes of their own, beside the same bands as GeoTIFFs."""

    FINE, COARSE = NAMES[:2], NAMES[2:]

    @pytest.fixture
    def values(self):
        fine, coarse = pixels(60, 90)[:2], pixels(30, 45, seed=1)[2:]
        return fine, np.maximum(coarse, 1)

    @pytest.fixture
    def dataset(self, values):
        fine, coarse = values
        below = {f"{name}_20m": axis for name, axis in axes(30, 45, 20).items()}
        cube = xr.Dataset(
            variables(fine, names=self.FINE) | variables(coarse, ("y_20m", "x_20m"), self.COARSE),
            coords=axes(60, 90) | below | {"spatial_ref": MAPPING},
        )
        for name in NAMES:
            cube[name].attrs["_FillValue"] = np.uint16(0)
        return cube

    def test_the_coarser_is_brought_to_the_finer_as_band_files_are(self, tmp_path, values, dataset):
        fine, coarse = values
        (tmp_path / "bands").mkdir()
        for number, name in enumerate(NAMES):
            plane, size = (fine[number], 10) if number < 2 else (coarse[number - 2], 20)
            place = from_origin(TRANSFORM.c, TRANSFORM.f, size, size)
            write_raster(tmp_path / "bands" / f"{name}.tif", plane[None], (name,), transform=place)
        with opened(dataset, tmp_path) as scene, open_scene([tmp_path / "bands"]) as files:
            assert scene.names == NAMES
            assert scene.grid.transform == files.grid.transform
            found, wanted = scene.reflectance(NAMES, scene.grid.window), files.reflectance(NAMES, scene.grid.window)
        np.testing.assert_allclose(found, wanted, atol=1e-4)  # band files are rounded to whole digital numbers

    def test_windows_make_the_whole(self, tmp_path, dataset):
        with opened(dataset, tmp_path) as scene:
            whole = scene.read(NAMES, scene.grid.window)
            for top, bottom in pairwise((0, 7, 32, 60)):
                for left, right in pairwise((0, 13, 55, 90)):
                    part = scene.read(NAMES, Window(top, left, bottom - top, right - left))
                    np.testing.assert_array_equal(part.valid, whole.valid[top:bottom, left:right])
                    np.testing.assert_array_equal(part.data, whole.data[:, top:bottom, left:right])


class TestEqualShapes:
    """Two variables of 50 rows and 70 columns, on axes of their own."""

    def made(self, other):
        values = np.maximum(pixels(50, 70)[:2], 1)
        below = {f"{name}_2": axis for name, axis in other.items()}
        return values, xr.Dataset(
            variables(values[:1], names=NAMES[:1]) | variables(values[1:], ("y_2", "x_2"), NAMES[1:2]),
            coords=axes(50, 70) | below | {"spatial_ref": MAPPING},
        )

    def shifted(self, metres):
        return {name: axis + metres * (name == "x") for name, axis in axes(50, 70).items()}

    @pytest.mark.parametrize("where", ["shifted", "coarser", "upwards"])
    def test_on_other_ground_they_are_refused(self, tmp_path, where):
        other = {"shifted": self.shifted(100), "coarser": axes(50, 70, 20)}.get(where, axes(50, 70))
        other["y"] = other["y"][::-1] if where == "upwards" else other["y"]
        with pytest.raises(InputError, match=r"cube\.nc: B02 and B03 do not cover the same ground"):
            opened(self.made(other)[1], tmp_path)

    def test_a_part_of_a_pixel_away_they_are_resampled(self, tmp_path):
        values, dataset = self.made(self.shifted(5))
        with opened(dataset, tmp_path) as scene:
            found = scene.read(NAMES[1:2], scene.grid.window).data[0]
        halfway = (values[1, :, 4:60].astype(float) + values[1, :, 5:61]) / 2
        np.testing.assert_allclose(found[:, 5:61], halfway, rtol=1e-5)

    def test_on_the_same_coordinates_they_are_one(self, tmp_path):
        values, dataset = self.made(axes(50, 70))
        with opened(dataset, tmp_path) as scene:
            np.testing.assert_array_equal(scene.read(NAMES[:2], scene.grid.window).data, values)


def test_bands_without_names_are_named_by_the_user(tmp_path):
    values = pixels(50, 70)
    dataset = xr.Dataset({"data": (("band", "row", "col"), values), "note": ((), "made for a test")})
    dataset.to_netcdf(tmp_path / "cube.nc")
    with open_scene([tmp_path / "cube.nc"], bands=NAMES) as scene:
        assert not scene.grid.georeferenced
        np.testing.assert_array_equal(scene.read(["B04"], scene.grid.window).data[0], values[2])


def test_packed_values_are_reflectance_once_unpacked(tmp_path):
    values = pixels(50, 70)[:1]
    packed = {"dtype": "uint16", "scale_factor": 1e-4, "add_offset": 0.0, "_FillValue": 65535}
    dataset = xr.Dataset(variables(values / 10_000, names=NAMES[:1]), coords=axes(50, 70) | {"spatial_ref": MAPPING})
    dataset.to_netcdf(tmp_path / "cube.nc", encoding={"B02": packed})
    with open_scene([tmp_path / "cube.nc"]) as scene:
        assert (scene.radiometry.quantification, scene.radiometry.source) == (1.0, "metadata")
        np.testing.assert_allclose(scene.read(["B02"], scene.grid.window).data, values / 10_000, atol=1e-6)


def test_more_pixels_than_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cube, "MOST_PIXELS", 3499)
    with pytest.raises(LimitError, match="has 3500 pixels a band in chunks of 3500"):
        opened(plain(pixels(50, 70)), tmp_path)


def test_the_groups_of_an_eopf_product_are_one_scene(tmp_path):
    """Bands of three resolutions in groups, packed; masks of the same names elsewhere; a CRS beside each band."""
    fine, coarse = pixels(60, 90)[:2], np.maximum(pixels(30, 45, seed=1)[2:], 1)
    store = tmp_path / "scene.zarr"
    xr.Dataset(attrs={"other_metadata": json.dumps({})}).to_zarr(store, zarr_format=2, consolidated=False)
    packed = {"scale_factor": 1e-4, "add_offset": -0.1, "_FillValue": 0, "dtype": "uint16"}

    def write(group, values, names, size):
        planes = {name: (("y", "x"), plane, {"proj:epsg": 32631}) for name, plane in zip(names, values, strict=True)}
        dataset = xr.Dataset(planes, coords=axes(*values.shape[1:], size))
        encoding = dict.fromkeys(names, packed) if values.dtype.kind == "f" else {}
        dataset.to_zarr(store, group=group, mode="a", zarr_format=2, consolidated=False, encoding=encoding)

    write("measurements/reflectance/r10m", np.where(fine > 0, fine * 1e-4 - 0.1, np.nan), ("b02", "b03"), 10)
    write("measurements/reflectance/r20m", coarse * 1e-4 - 0.1, ("b02", "b11"), 20)
    write("quality/mask/r10m", np.ones((2, 60, 90), np.uint8), ("b02", "b03"), 10)
    with open_scene([store]) as scene:
        assert scene.names == ("B02", "B03", "B11")
        assert scene.grid.crs == UTM
        found = scene.reflectance(["B02", "B03"], scene.grid.window)
    assert (np.isfinite(found[0]) == (fine != 0).all(0)).all()
    np.testing.assert_allclose(found[:, (fine != 0).all(0)], fine[:, (fine != 0).all(0)] * 1e-4 - 0.1, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "value"),
    [("order", None), ("chunks", None), ("shape", ["x", 50]), ("dtype", 7), ("compressor", {"id": 5}), ("more", 1)],
)
def test_zarr_metadata_that_say_nonsense_are_one_line(tmp_path, key, value):
    plain(pixels(50, 70)).to_zarr(tmp_path / "cube.zarr", zarr_format=2, consolidated=False)
    path = tmp_path / "cube.zarr" / "B04" / ".zarray"
    stated = json.loads(path.read_text()) | {key: value}
    path.write_text(json.dumps({name: said for name, said in stated.items() if said is not None}))
    with pytest.raises(InputError, match=r"cube\.zarr is not a readable Zarr dataset"):
        open_scene(tmp_path / "cube.zarr")
