"""Numbers that cannot be reflectance are refused or told before work begins, with the remedy that fits."""

import numpy as np
import pytest
import rasterio

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


def test_a_scale_that_makes_everything_too_bright_is_refused_unless_it_was_given(tmp_path):
    values = digital_numbers(np.float32)  # 200 to 3000: their median is 1600, and 0.16 with the right scale
    with (
        scene(tmp_path, values) as opened,
        pytest.raises(InputError, match=r"median reflectance is 1\.59e\+03 by quantif"),
    ):
        opened.check_reflectance()
    with scene(tmp_path, values, quantification=1.0) as opened:
        opened.check_reflectance()
        assert opened.warnings


@pytest.mark.parametrize("wrong", [21_000, -1300])
def test_bands_that_cannot_be_seen_are_looked_at_too(tmp_path, wrong):
    values = np.concatenate([digital_numbers(), digital_numbers()[:2]])
    values[4, ::2] = wrong + np.arange(128)  # half of the pixels
    with scene(tmp_path, values, names=(*NAMES, "B08", "B12")) as opened:
        opened.check_reflectance()
        assert "50.0% of the samples of B12 have a reflectance below -0.1 or above 2" in opened.warnings[0]


class TestOffset:
    """Pixels that strongly contradict the offset stop a run, unless the user states the offset."""

    SCENES = ("aquileia_20190416_l2a_12band.tif", "australia_20181201_l2a_12band.tif")

    @pytest.fixture(params=SCENES)
    def real(self, request, data, tmp_path):
        """Writes a real scene without metadata, with something added to the numbers."""
        with rasterio.open(data / "scenes" / request.param) as source:
            names, values = source.descriptions, source.read()

        def write(more):
            return write_raster(tmp_path / "scene.tif", np.where(values, values + more, 0), names)

        return write

    @pytest.mark.parametrize("real", SCENES[:1], indirect=True)
    def test_left_in_it_is_refused(self, real):
        with open_scene(real(1000)) as opened, pytest.raises(InputError, match="give --offset -1000, or --offset 0"):
            opened.check_reflectance()

    @pytest.mark.parametrize("real", SCENES[1:], indirect=True)
    def test_of_dry_land_it_is_told(self, real):
        with open_scene(real(1000)) as opened:
            opened.check_reflectance()
            assert "--offset -1000 is needed" in opened.warnings[0]

    def test_taken_away_twice_it_is_refused(self, tmp_path):
        values = np.random.default_rng(1).integers(50, 700, (3, 128, 128)).astype(np.uint16)
        path = write_raster(tmp_path / "scene.tif", values, NAMES)
        with rasterio.open(path, "r+") as target:
            target.update_tags(QUANTIFICATION_VALUE="10000", BOA_ADD_OFFSET="-1000", LULC_OFFSET_SOURCE="STAC: flag")
            for band in (1, 2, 3):
                target.update_tags(band, BOA_ADD_OFFSET="-1000")
        with open_scene(path) as opened, pytest.raises(InputError, match=r"become negative; .* give --offset 0"):
            opened.check_reflectance()

    @pytest.mark.parametrize(("more", "offset"), [(0, None), (1000, 0), (1000, -1000)])
    def test_right_or_stated_it_is_taken(self, real, more, offset):
        with open_scene(real(more), offset=offset) as opened:
            opened.check_reflectance()

    @pytest.mark.parametrize(
        ("reflectance", "ground"),
        [
            ((0.11, 0.17, 0.25, 0.42, 0.38), "desert"),
            ((0.75, 0.78, 0.80, 0.12, 0.10), "snow"),
            ((0.45, 0.47, 0.50, 0.35, 0.28), "cloud"),
        ],
    )
    def test_bright_ground_may_have_no_offset(self, tmp_path, reflectance, ground):
        noise = np.random.default_rng(2).normal(1, 0.02, (5, 128, 128))
        values = (np.array(reflectance)[:, None, None] * 10_000 * noise).astype(np.uint16)
        with scene(tmp_path, values, names=(*NAMES, "B11", "B12")) as opened:
            opened.check_reflectance()
            assert "no visible pixel is darker than DN 1000" in opened.warnings[0], ground
