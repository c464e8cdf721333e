"""Numbers that cannot be reflectance are refused or told before work begins, with the remedy that fits."""

import numpy as np
import pytest

from lulc.errors import InputError
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import write_raster

NAMES = ("B02", "B03", "B04")


def scene(folder, values, name="scene.tif", names=NAMES, **options):
    path = write_raster(folder / name, values, names, nodata=None)
    return open_scene([path], **options)


def digital_numbers(dtype=np.int16):
    return np.random.default_rng(6).integers(200, 3000, (3, 128, 128)).astype(dtype)


@pytest.mark.parametrize("marker", [-9999, -10_000, -32_768])
def test_a_number_that_must_mean_no_data_is_refused(tmp_path, marker):
    values = digital_numbers()
    values[:, 30:60] = marker
    with scene(tmp_path, values) as opened, pytest.raises(InputError, match=f"hold {marker}, .*-a_nodata {marker}"):
        opened.check_reflectance()


def test_declared_it_is_no_data(tmp_path):
    values = digital_numbers()
    values[:, 30:60] = -9999
    with open_scene([write_raster(tmp_path / "scene.tif", values, NAMES, nodata=-9999)]) as opened:
        opened.check_reflectance()
        assert opened.warnings == ()


def test_a_few_impossible_pixels_are_nothing(tmp_path):
    values = digital_numbers()
    values[:, 5, 5], values[:, 6, 6] = -5000, 30_000
    with scene(tmp_path, values) as opened:
        opened.check_reflectance()
        assert opened.warnings == ()


@pytest.mark.parametrize("far", [(-8000, -3000), (25_000, 32_000)], ids=str)
def test_many_impossible_pixels_of_many_values_are_told(tmp_path, far):
    values = digital_numbers()
    values[:, :20] = np.random.default_rng(7).integers(*far, (3, 20, 128))
    with scene(tmp_path, values) as opened:
        opened.check_reflectance()
        (warning,) = opened.warnings
        assert "below -0.1 or above 2: check offset 0 and quantification 10000 (default)" in warning


def test_bands_without_visible_ones_are_looked_at_too(tmp_path):
    values = digital_numbers()
    values[:, :20] = -9999
    with scene(tmp_path, values, names=("B08", "B11", "B12")) as opened, pytest.raises(InputError, match="hold -9999"):
        opened.check_reflectance()


def test_16_bits_of_eo_browser_are_scaled_by_their_name_and_it_is_told(tmp_path):
    values = (digital_numbers(np.uint16)[:1].astype(float) * 6.5535).round().astype(np.uint16)
    name = "2019-04-16-00_00_2019-04-16-23_59_Sentinel-2_L2A_B02_(Raw).tiff"
    with scene(tmp_path, values, name, names=None) as opened:
        assert opened.radiometry.quantification == 65535
        assert "taken as reflectance x 65535" in opened.warnings[0]
        np.testing.assert_allclose(opened.reflectance(["B02"], opened.grid.window), values / 65535, rtol=1e-6)
    with scene(tmp_path, values, name, names=None, quantification=10_000.0) as opened:
        assert opened.radiometry.quantification == 10_000
