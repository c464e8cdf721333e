import numpy as np
import pytest
from pydantic import ValidationError

from lulc.bands import Band, Radiometry, sensor
from lulc.errors import ConfigError

SENTINEL2 = sensor()


class TestSensor:
    def test_bands_in_order_of_wavelength(self):
        names = [band.name for band in SENTINEL2.bands]
        assert names == ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
        wavelengths = [band.wavelength_nm for band in SENTINEL2.bands]
        assert wavelengths == sorted(wavelengths)

    def test_radiometric_convention(self):
        assert (SENTINEL2.quantification, SENTINEL2.baseline_offset) == (10_000, -1000)
        assert (SENTINEL2.nodata_dn, SENTINEL2.saturated_dn) == (0, 65_535)

    def test_no_spelling_stands_for_two_bands(self):
        spellings = [text.lower() for band in SENTINEL2.bands for text in (band.name, *band.aliases)]
        assert len(spellings) == len(set(spellings))

    def test_unknown_sensor_lists_those_there_are(self):
        with pytest.raises(ConfigError, match="sentinel-2"):
            sensor("landsat-99")

    def test_has(self):
        assert SENTINEL2.has(["B02", "B8A"])
        assert not SENTINEL2.has(["B02", "NDVI"])

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("B04", "B04"),
            (" b4 ", "B04"),
            ("red", "B04"),
            ("B8A", "B8A"),
            ("B08A", "B8A"),
            ("nir", "B08"),
            ("nir08", "B8A"),
            ("swir22", "B12"),
            ("B4, central wavelength 665 nm", "B04"),
            ("B8A, central wavelength 865 nm", "B8A"),
            ("T31TDH_20180101T105441_B04_10m", "B04"),
            ("T31TDH_20180101T105441_B8A.jp2", "B8A"),
            ("L1C_T32TQM_A006640_20160929T101207_B12", "B12"),
            ("L2A_T31TCJ_20170701T105031_B02_10m.jp2", "B02"),
            ("nbart_nir_1", "B08"),
            ("nbart_nir_2", "B8A"),
            ("nbart_swir_3", "B12"),
            ("NIR_Narrow", "B8A"),
        ],
    )
    def test_spellings_met_in_files(self, text, name):
        assert SENTINEL2.canonical(text) == name

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "Band 4",
            "4",
            "NDVI",
            "B13",
            "B99",
            "AOT, quality",
            "B4, B3",
            "B8, B4 difference",
            "B02_B03",
            "TCI",
            "B8_stdDev",
            "B8_contrast",
            "B4_median",
            "B8_minus_2020",
            "0_B4",
            "B4_1",
            "mean_B8",
        ],
    )
    def test_anything_else_is_not_a_band(self, text):
        assert SENTINEL2.canonical(text) is None

    @pytest.mark.parametrize(
        ("stem", "name"),
        [
            ("B04", "B04"),
            ("red", "B04"),
            ("T31TCJ_20180708T105031_B04_10m", "B04"),
            ("2019-04-16-00_00_2019-04-16-23_59_Sentinel-2_L2A_B02_(Raw)", "B02"),
            ("HLS.S30.T31TCJ.2021179T105031.v2.0.B8A", "B8A"),
            ("SENTINEL2A_20210628-105857-855_L2A_T31TCJ_C_V2-2_FRE_B2", "B02"),
            ("S2A_OPER_MSI_L1C_TL_SGS__20160615T152456_A005124_T31PEM_B12", "B12"),
            ("post_B8A", "B8A"),
            ("field_B11_20m_clip", "B11"),
            ("B08_stdDev", None),
            ("glcm_B08_contrast", None),
            ("0_B4", None),
            ("B4_1", None),
            ("B04_B08", None),
            ("diff_B08", None),
            ("B8_p90", None),
            ("TCI", None),
            ("S2_B02_2021-05-27", "B02"),
            ("S2_SR_HARMONIZED_B2", "B02"),
            ("Sentinel-2_SR_B04", "B04"),
            ("MSK_DETFOO_B02", None),
            ("cloudmask_B02", None),
            ("uncertainty_B02", None),
            ("view_zenith_B02", None),
            ("solar_irradiance_B02", None),
            ("max_B02", None),
            ("SR_B2", None),
            ("landsat8_B2", None),
            ("MOD09GA_sur_refl_b01", None),
            ("AST_L1T_VNIR_B1", None),
            ("GOES16_ABI_B01", None),
            ("HS_H09_20210601_B01", None),
        ],
    )
    def test_names_of_files(self, stem, name):
        assert SENTINEL2.of_file(stem) == name

    def test_a_convention_decides_what_others_of_it_mean(self):
        force = ["BLUE", "GREEN", "RED", "REDEDGE1", "REDEDGE2", "REDEDGE3", "BROADNIR", "NIR", "SWIR1", "SWIR2"]
        assert SENTINEL2.canonical_names(force)[5:] == ["B07", "B08", "B8A", "B11", "B12"]
        assert SENTINEL2.canonical_names(["RED", "NIR", None]) == ["B04", "B08", None]

    def test_every_spelling_leads_to_its_band(self):
        for band in SENTINEL2.bands:
            for text in (band.name, *band.aliases):
                assert SENTINEL2.canonical(text.upper()) == band.name


class TestRadiometry:
    def test_default_has_no_offset(self):
        np.testing.assert_allclose(Radiometry().reflectance(np.array([0.0, 2500.0])), [0.0, 0.25])

    def test_offset_is_added_to_the_digital_number(self):
        np.testing.assert_allclose(Radiometry(10_000, -1000).reflectance(np.array([1000.0, 3500.0])), [0.0, 0.25])

    def test_float32_stays_float32(self):
        assert Radiometry(offset=-1000).reflectance(np.zeros(2, np.float32)).dtype == np.float32


def test_a_band_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Band(name="B02", wavelength_nm=492, gsd_m=10).name = "B03"
