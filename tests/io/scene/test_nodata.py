"""What is no data is decided from the file and all its spectral bands: the same whichever bands are asked for."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.shutil import copy
from rasterio.transform import from_origin

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.scene.raster import open_raster
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import NAMES, pixels, write_raster

SHAPE = (40, 60)
WHOLE = Window(0, 0, *SHAPE)
SELECTIONS = [NAMES, ("B02", "B08"), ("B04", "B08"), ("B08",), ("B04",)]


@pytest.fixture
def values():
    """Four bands without data outside of a swath, and water on which two of them are 0."""
    planes = np.random.default_rng(3).integers(200, 4000, (4, *SHAPE)).astype(np.int16)
    planes[2:, 10:20, 20:40] = 0
    planes[:, :, :5] = 0
    return planes


@pytest.mark.parametrize("names", SELECTIONS, ids=",".join)
@pytest.mark.parametrize("kind", ["integers", "floats", "declared"])
def test_a_pixel_with_data_keeps_it_whichever_bands_are_asked_for(tmp_path, values, names, kind):
    has_data = values.any(0)
    nodata = None
    if kind == "floats":
        values = (values / 10_000).astype(np.float32)
    elif kind == "declared":
        values, nodata = np.where(has_data, values, -32768).astype(np.int16), -32768
    path = write_raster(tmp_path / "scene.tif", values, nodata=nodata)
    with open_scene([path]) as scene:
        np.testing.assert_array_equal(scene.read(names, WHOLE).valid, has_data)


def test_bands_of_other_files_of_the_scene_count(tmp_path, values):
    for name, plane in zip(NAMES, values, strict=True):
        write_raster(tmp_path / f"{name}.tif", plane[None], (name,), nodata=None)
    with open_scene([tmp_path / f"{name}.tif" for name in NAMES]) as scene:
        np.testing.assert_array_equal(scene.read(["B08"], WHOLE).valid, values.any(0))


def test_where_a_value_is_declared_zero_is_one_like_others(tmp_path, values):
    values[:, 30, 30], values[:, 31, 31] = 0, -9999
    path = write_raster(tmp_path / "scene.tif", values, nodata=-9999)
    with open_scene([path]) as scene:
        valid = scene.read(NAMES, WHOLE).valid
    assert valid[30, 30]
    assert not valid[31, 31]


class TestTransparency:
    @pytest.fixture
    def picture(self, tmp_path):
        """Four bands of which the last says where there is data; some of it is black."""
        planes = np.random.default_rng(4).integers(1, 200, (4, *SHAPE)).astype(np.uint8)
        planes[:3, 5:9, 5:9] = 0
        planes[3] = 255
        planes[3, :, :10] = 0
        path = write_raster(tmp_path / "picture.tif", planes, names=None, nodata=None, photometric="RGB", alpha="yes")
        with rasterio.open(path) as made:
            assert made.colorinterp[3] == ColorInterp.alpha
        return path, planes

    def test_is_no_band(self, picture):
        with pytest.raises(InputError, match="its band 4 is transparency, not B08"):
            open_scene([picture[0]], bands=("B04", "B03", "B02", "B08"))

    @pytest.mark.parametrize("bands", [("B04", "B03", "B02"), ("B04", "B03", "B02", "-")])
    def test_says_where_there_is_data_also_where_it_is_black(self, picture, bands):
        path, planes = picture
        with open_scene([path], bands=bands) as scene:
            assert scene.names == ("B04", "B03", "B02")
            np.testing.assert_array_equal(scene.read(["B03"], WHOLE).valid, planes[3] > 0)


def test_an_index_alone_has_data_where_the_bands_have(tmp_path, values):
    bands = write_raster(tmp_path / "bands.tif", values, nodata=None)
    index = write_raster(tmp_path / "ndvi.tif", np.zeros((1, *SHAPE), np.float32), ("NDVI",), nodata=None)
    with open_scene([bands, index]) as scene:
        np.testing.assert_array_equal(scene.read(["NDVI"], WHOLE).valid, values.any(0))


def test_each_band_may_declare_its_own(tmp_path, values):
    """ERDAS Imagine can hold one value a band; GDAL copies them from a VRT."""
    values[1, 25, 25], values[2, 26, 26] = 5, 5
    write_raster(tmp_path / "plain.tif", values, nodata=None)
    bands = "".join(
        f'<VRTRasterBand dataType="Int16" band="{number}"><Description>{name}</Description>{declared}<SimpleSource>'
        f'<SourceFilename relativeToVRT="1">plain.tif</SourceFilename><SourceBand>{number}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for number, (name, declared) in enumerate(
            zip(NAMES, ("", "<NoDataValue>5</NoDataValue>", "", ""), strict=True), start=1
        )
    )
    size = 'rasterXSize="60" rasterYSize="40"'
    (tmp_path / "scene.vrt").write_text(f"<VRTDataset {size}>{bands}</VRTDataset>")
    copy(tmp_path / "scene.vrt", tmp_path / "scene.img", driver="HFA")
    with rasterio.open(tmp_path / "scene.img") as made:
        assert made.nodatavals == (None, 5.0, None, None)
    with open_scene([tmp_path / "scene.img"], bands=NAMES) as scene:
        valid = scene.read(NAMES, WHOLE).valid
    assert not valid[25, 25]
    assert valid[26, 26]


def test_a_scene_classification_alone_is_no_scene(tmp_path):
    path = write_raster(tmp_path / "scl.tif", np.full((1, 20, 20), 4, np.uint8), ("SCL",))
    with pytest.raises(InputError, match=r"scl\.tif holds scl alone; give the spectral bands too"):
        open_scene(path)


def test_each_band_may_have_a_mask_of_its_own(tmp_path):
    """GDAL writes them as `scene.tif.msk` with one band each."""
    values = pixels()
    path = write_raster(tmp_path / "scene.tif", values, nodata=None)
    masks = np.full(values.shape, 255, np.uint8)
    masks[0, :5], masks[2, :, :9] = 0, 0
    with rasterio.open(
        tmp_path / "scene.tif.msk", "w", driver="GTiff", count=4, dtype="uint8", height=150, width=170
    ) as beside:
        beside.write(masks)
        beside.update_tags(**{f"INTERNAL_MASK_FLAGS_{band}": "0" for band in (1, 2, 3, 4)})
    with open_scene(path) as scene:
        for names, holes in (
            (("B02",), masks[0] == 0),
            (("B02", "B04"), (masks[[0, 2]] == 0).any(0)),
            (("B08",), masks[3] == 0),
        ):
            valid = scene.read(names, scene.grid.window).valid
            np.testing.assert_array_equal(valid, ~holes)


def test_pyramids_and_masks_beside_band_files_are_no_bands(tmp_path):
    for name, plane in zip(NAMES, pixels(), strict=True):
        write_raster(tmp_path / f"{name}.tif", plane[None], (name,))
    write_raster(tmp_path / "B02.tif.ovr", pixels(75, 85)[:1], ("B02",))
    with open_scene(tmp_path) as scene:
        assert scene.names == NAMES


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_nodata_of_float64_beyond_float32_is_no_data_without_a_warning(tmp_path):
    lowest = -1.7976931348623157e308
    values = np.full((1, 20, 30), 0.25)
    values[0, :5] = lowest
    path = tmp_path / "a.tif"
    shape = {"height": 20, "width": 30, "count": 1, "crs": "EPSG:32631", "transform": from_origin(3e5, 4.9e6, 10, 10)}
    with rasterio.open(path, "w", driver="GTiff", dtype="float64", nodata=lowest, **shape) as target:
        target.write(values)
    read = open_raster(path).read([0], Window(0, 0, 20, 30))
    assert not read.valid[:5].any()
    assert read.valid[5:].all()
