"""NetCDF and Zarr: how others lay out bands, places and scales."""

import numpy as np
import pytest
import xarray as xr

from lulc.errors import InputError, LimitError
from lulc.grid import Window
from lulc.io.scene import cube
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import NAMES, TRANSFORM, pixels, write_raster
from tests.support.scene_files import cube as cube_of

VALUES = pixels(60, 80)[:, 50:56, 60:68].astype(np.float32)
Y, X = TRANSFORM.f - 10 * (np.arange(6) + 0.5), TRANSFORM.c + 10 * (np.arange(8) + 0.5)
WHOLE = Window(0, 0, 6, 8)


def saved(folder, variables, encoding=None, **coords):
    path = folder / "scene.nc"
    xr.Dataset(variables, coords=coords).to_netcdf(path, encoding=encoding or {})
    return path


def test_one_variable_with_a_dimension_of_bands(tmp_path):
    path = saved(tmp_path, {"reflectance": (("band", "y", "x"), VALUES)}, band=list(NAMES), y=Y, x=X)
    with open_scene([path]) as scene:
        assert scene.names == NAMES
        assert scene.grid.transform.almost_equals(TRANSFORM, 1e-6)
        np.testing.assert_array_equal(scene.read(NAMES, WHOLE)[0], VALUES)


def test_bands_without_names_are_named_by_the_user(tmp_path):
    path = saved(tmp_path, {"data": (("band", "row", "col"), VALUES), "note": ((), "made for a test")})
    with open_scene([path], bands=NAMES) as scene:
        assert not scene.grid.georeferenced
        np.testing.assert_array_equal(scene.read(["B04"], WHOLE)[0][0], VALUES[2])


def test_a_band_may_be_named_by_its_long_name(tmp_path):
    path = saved(tmp_path, {"plane_1": (("y", "x"), VALUES[0], {"long_name": "B02"})}, y=Y, x=X)
    with open_scene([path]) as scene:
        assert scene.names == ("B02",)


def test_packed_values_are_reflectance_once_unpacked(tmp_path):
    packed = {"B02": {"dtype": "uint16", "scale_factor": 1e-4, "add_offset": 0.0, "_FillValue": 65535}}
    path = saved(tmp_path, {"B02": (("y", "x"), VALUES[0] / 10_000)}, packed, y=Y, x=X)
    with open_scene([path]) as scene:
        assert (scene.radiometry.quantification, scene.radiometry.source) == (1.0, "metadata")
        assert np.allclose(scene.read(["B02"], WHOLE)[0][0], VALUES[0] / 10_000, atol=1e-6)


@pytest.mark.parametrize(
    ("variables", "coords", "message"),
    [
        ({"B02": (("y",), VALUES[0, :, 0])}, {}, "has no variable with rows and columns"),
        ({"B02": (("time", "y", "x"), VALUES[:2])}, {}, "has no variable with rows and columns"),
        ({"B02": (("y", "x"), VALUES[0])}, {"y": Y, "x": np.geomspace(1, 2, 8)}, "has unevenly spaced coordinates"),
    ],
)
def test_what_is_no_scene(tmp_path, variables, coords, message):
    with pytest.raises(InputError, match=message):
        open_scene([saved(tmp_path, variables, **coords)])


def test_more_pixels_than_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cube, "MOST_PIXELS", 47)
    with pytest.raises(LimitError, match="has 48 pixels a band in chunks of 48"):
        open_scene([saved(tmp_path, {"B02": (("y", "x"), VALUES[0])}, y=Y, x=X)])


def test_a_cube_is_not_resampled(tmp_path):
    cube_of(VALUES).to_netcdf(tmp_path / "scene.nc")
    fine = TRANSFORM @ TRANSFORM.scale(0.5)
    write_raster(tmp_path / "fine.tif", pixels(12, 16)[:1], names=("B05",), transform=fine)
    with pytest.raises(InputError, match="lies on a coarser grid than its companions; resample it to 16 x 12 px first"):
        open_scene([tmp_path / "fine.tif", tmp_path / "scene.nc"])
