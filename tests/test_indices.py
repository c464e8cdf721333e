import warnings

import dask.array
import numpy as np
import pytest
import rasterio
import spyndex
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from lulc.errors import ConfigError
from lulc.indices import INDICES, spectral_index

SPYNDEX_NAME = {"NDTI": "NDTillI", "BSI": "BI"}
SPYNDEX_BAND = {"B": "B02", "G": "B03", "R": "B04", "N": "B08", "S1": "B11", "S2": "B12"}
SPYNDEX_CONSTANT = {"g": 2.5, "C1": 6.0, "C2": 7.5}
BANDS = tuple(SPYNDEX_BAND.values())


@pytest.fixture(scope="module")
def reflectance():
    rng = np.random.default_rng(0)
    return {band: rng.uniform(0.01, 0.9, (37, 53)) for band in BANDS}


def spyndex_value(name, reflectance):
    soil = 0.5 if name == "SAVI" else 1.0
    params = {letter: reflectance[band] for letter, band in SPYNDEX_BAND.items()}
    return spyndex.computeIndex(SPYNDEX_NAME.get(name, name), {**params, **SPYNDEX_CONSTANT, "L": soil})


@pytest.mark.parametrize("name", INDICES)
class TestAgainstSpyndex:
    def test_numpy_float64(self, name, reflectance):
        np.testing.assert_allclose(INDICES[name](reflectance), spyndex_value(name, reflectance), rtol=0, atol=1e-12)

    def test_dask_stays_lazy(self, name, reflectance):
        lazy = {band: dask.array.from_array(plane, chunks=16) for band, plane in reflectance.items()}
        index = INDICES[name](lazy)
        assert isinstance(index, dask.array.Array)
        np.testing.assert_allclose(index.compute(), spyndex_value(name, reflectance), rtol=0, atol=1e-12)

    def test_xarray(self, name, reflectance):
        arrays = {band: xr.DataArray(plane, dims=("y", "x")) for band, plane in reflectance.items()}
        index = INDICES[name](arrays)
        assert index.dims == ("y", "x")
        np.testing.assert_allclose(index.values, spyndex_value(name, reflectance), rtol=0, atol=1e-12)

    def test_torch_float64(self, name, reflectance):
        tensors = {band: torch.from_numpy(plane) for band, plane in reflectance.items()}
        np.testing.assert_allclose(INDICES[name](tensors).numpy(), spyndex_value(name, reflectance), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("library", [np.asarray, torch.as_tensor, dask.array.asarray])
    def test_float32_within_1e_6_and_stays_float32(self, name, library, reflectance):
        """EVI's denominator comes near 0, where float32 keeps 1e-6 of the terms, not of their difference."""
        single = {band: plane.astype(np.float32) for band, plane in reflectance.items()}
        found = np.asarray(INDICES[name]({band: library(plane) for band, plane in single.items()}))
        assert found.dtype == np.float32
        truth = spyndex_value(name, {band: plane.astype(np.float64) for band, plane in single.items()})
        bound = 1e-6 * np.maximum(1.0, np.abs(truth))
        if name == "EVI":
            sum_ = single["B08"] + 6 * single["B04"] - 7.5 * single["B02"] + 1
            bound *= 1 + 15 / np.abs(sum_)
        assert (np.abs(found - truth) <= bound).all()


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor, dask.array.asarray])
def test_only_a_zero_denominator_gives_nan_and_no_warning(name, library):
    """One pixel has a denominator of 0, one has zeros in some bands only."""
    planes = {band: np.array([0.0, 0.25, 0.0, 0.5], np.float32) for band in BANDS}
    for band in ("B03", "B04", "B11", "B12"):
        planes[band][2] = 0.125
    if name == "SAVI":
        planes["B08"][0], planes["B04"][0] = -0.5, 0.0
    if name == "EVI":
        planes["B08"][0], planes["B02"][0] = 0.5, 0.2
    empty = [True, False, False, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index = np.asarray(INDICES[name]({band: library(plane) for band, plane in planes.items()}))
    np.testing.assert_array_equal(np.isnan(index), empty)
    assert np.isfinite(index[1:]).all()


@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
def test_nan_pixels_stay_nan_without_a_warning(library):
    planes = {
        "B08": library(np.array([np.nan, 0.5], np.float32)),
        "B04": library(np.array([0.1, 0.1], np.float32)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index = np.asarray(INDICES["NDVI"](planes))
    np.testing.assert_allclose(index, [np.nan, 2 / 3], rtol=1e-6)


@given(st.lists(st.integers(0, 20_000), min_size=2, max_size=2))
def test_normalised_differences_lie_within_one_and_change_sign_with_their_bands(numbers):
    first, second = (np.array([value / 10_000]) for value in numbers)
    ndmi = INDICES["NDMI"]({"B08": first, "B11": second})
    ndbi = INDICES["NDBI"]({"B08": first, "B11": second})
    if sum(numbers) == 0:
        assert np.isnan(ndmi).all()
    else:
        assert abs(ndmi[0]) <= 1
        assert ndmi[0] == -ndbi[0]


# The reference rasters count bands from 1 and take B8A as near infrared.
REFERENCES = {
    "ndvi": ("NDVI", {"B08": 8, "B04": 3}),
    "ndwi": ("NDMI", {"B08": 8, "B11": 9}),
    "gndwi": ("NDWI", {"B03": 2, "B08": 8}),
    "gmndwi": ("MNDWI", {"B03": 2, "B11": 9}),
    "ndsi": ("NDSI", {"B03": 2, "B11": 9}),
    "nbr": ("NBR", {"B08": 8, "B12": 10}),
}


@pytest.mark.parametrize("reference", REFERENCES)
def test_reference_rasters(reference, data):
    name, bands = REFERENCES[reference]
    folder = data / "indices"
    with rasterio.open(folder / "sen2_20210527_aber_subset.tif") as image:
        reflectance = {band: image.read(number) / 1000.0 for band, number in bands.items()}
    with rasterio.open(folder / f"sen2_20210527_aber_subset_{reference}_ref.tif") as raster:
        truth = raster.read(1).astype(np.float64)
    np.testing.assert_allclose(INDICES[name](reflectance), truth, rtol=0, atol=1e-6)


class TestSpectralIndex:
    def test_letter_case_is_ignored(self):
        assert spectral_index("ndvi") is INDICES["NDVI"]

    def test_unknown_name_offers_the_nearest(self):
        with pytest.raises(ConfigError, match="did you mean 'NDVI'"):
            spectral_index("NDVY")

    def test_far_from_everything_lists_the_table(self):
        with pytest.raises(ConfigError, match=r"use one of: .*NDTI, NDVI"):
            spectral_index("xxxxx")

    def test_every_index_is_documented(self):
        for name, index in INDICES.items():
            assert name == index.name
            assert index.title
            assert index.reference
