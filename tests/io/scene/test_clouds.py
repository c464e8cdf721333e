import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin
from scipy import ndimage

from lulc.errors import UsageError
from lulc.grid import Grid, Shape, Window
from lulc.io.scene.clouds import (
    DEFAULT_CLASSES,
    SCL_CLASSES,
    ClearScene,
    Dilated,
    Qa60Clouds,
    SclClouds,
    dilate,
    scl_codes,
)
from lulc.io.scene.quality import quality_name
from lulc.io.scene.scene import open_scene
from tests.support.stac_items import random_pixels, write_item

WHOLE = Window(0, 0, 240, 240)


def disc(radius):
    rows, cols = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return rows**2 + cols**2 <= radius**2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_dilation_is_that_of_a_disc(radius, height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.03
    expected = ndimage.binary_dilation(mask, disc(radius)) if mask.any() else mask
    np.testing.assert_array_equal(dilate(mask, radius), expected)


class InMemory:
    def __init__(self, mask):
        self.mask, self.reads = mask, []

    def read(self, window):
        self.reads.append(window)
        return self.mask[window.slices()]


@pytest.mark.parametrize("radius", [1, 5, 30])
def test_dilated_clouds_do_not_depend_on_the_windows(radius):
    mask = np.random.default_rng(0).random((150, 170)) < 0.001
    grid = Grid(None, from_origin(0, 0, 1, 1), Shape(150, 170))
    clouds = Dilated(InMemory(mask), radius, grid)
    whole = clouds.read(grid.window)
    np.testing.assert_array_equal(whole, ndimage.binary_dilation(mask, disc(radius)))
    for side in (1, 37, 64):
        for row in range(0, 150, 61 if side == 1 else side):
            for col in range(0, 170, 53 if side == 1 else side):
                window = Window(row, col, side, side).intersection(grid.window)
                np.testing.assert_array_equal(clouds.read(window), whole[window.slices()])


class TestScl:
    def test_default_classes_on_the_finer_grid(self, tmp_path):
        pixels = random_pixels()
        with open_scene([write_item(tmp_path, pixels)]) as scene:
            clouds = SclClouds(scene.quality["SCL"])
            expected = np.kron(np.isin(pixels["SCL"], DEFAULT_CLASSES), np.ones((2, 2), bool))
            np.testing.assert_array_equal(clouds.read(WHOLE), expected)
            seen = ClearScene(scene, clouds, "SCL").reflectance(["B04", "B11"], WHOLE)
            plain = scene.reflectance(["B04", "B11"], WHOLE)
        np.testing.assert_array_equal(np.isnan(seen), np.isnan(plain) | expected)
        np.testing.assert_array_equal(seen[:, ~expected], plain[:, ~expected])

    def test_classes_by_name_and_number(self):
        assert scl_codes(["shadow", "Cloud High", "10", "cloud_high"]) == (3, 9, 10)
        assert scl_codes(SCL_CLASSES) == tuple(range(12))
        assert [SCL_CLASSES[code] for code in DEFAULT_CLASSES] == [
            "saturated", "shadow", "cloud-medium", "cloud-high", "cirrus"
        ]  # fmt: skip

    @pytest.mark.parametrize("name", ["12", "-1", "shado", "²", "٣", "9" * 5000])
    def test_unknown_classes(self, name):
        with pytest.raises(UsageError, match="is no SCL class"):
            scl_codes([name])

    @pytest.mark.parametrize("names", [[], [""]])
    def test_no_classes(self, names):
        with pytest.raises(UsageError, match="names no class"):
            scl_codes(names)


def write_bands(path, planes, **tags):
    first = next(iter(planes.values()))
    profile = {"driver": "GTiff", "count": len(planes), "height": first.shape[0], "width": first.shape[1]}
    place = {"crs": "EPSG:32633", "transform": from_origin(6e5, 5e6, 10, 10), "nodata": 0}
    with rasterio.open(path, "w", dtype="uint16", **profile, **place) as raster:
        raster.write(np.stack(list(planes.values())).astype(np.uint16))
        raster.descriptions = tuple(planes)
        raster.update_tags(**tags)
    return path


class TestBandsOfAFile:
    def test_scl_among_the_bands(self, tmp_path):
        rng = np.random.default_rng(0)
        planes = {"B04": rng.integers(1, 4000, (50, 60)), "SCL": rng.integers(0, 12, (50, 60))}
        with open_scene([write_bands(tmp_path / "a.tif", planes)]) as scene:
            assert scene.names == ("B04",)
            assert scene.info.unnamed == ()
            np.testing.assert_array_equal(scene.quality["SCL"].read(Window(3, 4, 20, 30)), planes["SCL"][3:23, 4:34])
            assert scene.read(["B04"], scene.grid.window)[1].all()  # SCL 0 does not make a pixel invalid by itself

    def test_named_by_the_user(self, tmp_path):
        path = write_bands(tmp_path / "a.tif", {"": np.full((8, 8), 500), " ": np.full((8, 8), 9)})
        with open_scene([path], bands=["B04", "SCL"]) as scene:
            assert (scene.quality["SCL"].read(Window(0, 0, 8, 8)) == 9).all()

    def test_bits_of_qa60(self, tmp_path):
        codes = np.zeros((8, 8), int)
        codes[0, 0], codes[1, 1], codes[2, 2], codes[3, 3] = 1 << 10, 1 << 11, 3 << 10, 1 << 9
        planes = {"B04": np.full((8, 8), 500), "QA60": codes}
        with open_scene([write_bands(tmp_path / "a.tif", planes)]) as scene:
            clouded = Qa60Clouds(scene.quality["QA60"]).read(Window(0, 0, 8, 8))
        assert np.argwhere(clouded).tolist() == [[0, 0], [1, 1], [2, 2]]

    def test_a_folder_with_one_file_per_band(self, tmp_path):
        write_bands(tmp_path / "T33TUL_20210603_B04_10m.tif", {"": np.full((20, 20), 500)})
        scl = write_bands(tmp_path / "T33TUL_20210603_SCL_20m.tif", {"": np.full((10, 10), 8)})
        with rasterio.open(scl, "r+") as raster:
            raster.transform = from_origin(6e5, 5e6, 20, 20)
        with open_scene([tmp_path]) as scene:
            assert (scene.quality["SCL"].read(scene.grid.window) == 8).all()


def test_safe_products_bring_scl(data):
    with open_scene([data / "safe" / "fake_l2a_processing_baseline_5_09.zip"]) as scene:
        codes = scene.quality["SCL"].read(Window(0, 0, 30, 30))
    assert codes.shape == (30, 30)
    with open_scene([data / "safe" / "fake_l1c_processing_baseline_5_09.zip"]) as scene:
        assert scene.quality == {}


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("SCL", "SCL"),
        (" scl ", "SCL"),
        ("qa60", "QA60"),
        ("T31_SCL_20m", "SCL"),
        ("B04", None),
        ("sclx", None),
        (None, None),
    ],
)
def test_quality_names(label, name):
    assert quality_name(label) == name
