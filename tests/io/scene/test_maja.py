"""Level-2A of MAJA (Theia): -10000 is no data, which its XML alone says, and FRE is not mixed with SRE."""

import numpy as np
import pytest
from rasterio.transform import from_origin

from lulc.errors import InputError
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import write_raster

NAME = "SENTINEL2A_20210628-105857-855_L2A_T31TCJ_C_V2-2"
XML = """<Muscate_Metadata_Document><Product_Characteristics><ACQUISITION_DATE>2021-06-28T10:58:57.855Z</ACQUISITION_DATE>
<PLATFORM>SENTINEL2A</PLATFORM></Product_Characteristics><Radiometric_Informations>
<REFLECTANCE_QUANTIFICATION_VALUE>8000</REFLECTANCE_QUANTIFICATION_VALUE>
<SPECIAL_VALUES_LIST><SPECIAL_VALUE name="nodata">-10000</SPECIAL_VALUE></SPECIAL_VALUES_LIST></Radiometric_Informations>
</Muscate_Metadata_Document>"""


@pytest.fixture
def product(tmp_path):
    folder = tmp_path / NAME
    folder.mkdir()
    rng = np.random.default_rng(5)
    for band, size in (("B2", 10), ("B8", 10), ("B11", 20)):
        side = 1200 // size
        values = rng.integers(100, 4000, (1, side, side)).astype(np.int16)
        values[:, : side // 3, : side // 2] = -10_000
        for kind, more in (("FRE", 0), ("SRE", 50)):
            place = {"transform": from_origin(300000, 4900000, size, size), "nodata": None}
            changed = np.where(values > -10_000, values + more, values)
            write_raster(folder / f"{NAME}_{kind}_{band}.tif", changed, None, **place)
    (folder / f"{NAME}_MTD_ALL.xml").write_text(XML)
    return folder


def test_the_folder_is_the_scene_corrected_for_slopes(product, caplog):
    with open_scene([product]) as scene:
        assert set(scene.names) == {"B02", "B08", "B11"}
        assert (scene.radiometry.quantification, scene.info.level) == (8000, "L2A")
        assert scene.info.acquired == "2021-06-28T10:58:57.855Z"
        _, valid = scene.read(scene.names, scene.grid.window)
        folder = scene.reflectance(["B02"], scene.grid.window)
    assert not valid[:40, :60].any()
    assert valid[44:, :].all()
    assert "SRE is not used" in caplog.text
    with open_scene([product / f"{NAME}_FRE_B2.tif"]) as lone:
        np.testing.assert_array_equal(lone.reflectance(["B02"], lone.grid.window), folder)


def test_files_beside_their_metadata_mean_the_same(product):
    files = sorted(product.glob("*_FRE_*.tif"))
    with open_scene([product]) as folder, open_scene(files) as scene:
        assert scene.radiometry == folder.radiometry
        window = scene.grid.window
        np.testing.assert_array_equal(scene.reflectance(["B11"], window), folder.reflectance(["B11"], window))


def test_files_without_their_metadata_are_refused_before_work(product):
    next(product.glob("*.xml")).unlink()
    with open_scene(sorted(product.glob("*_FRE_*.tif"))) as scene:
        assert any("hold -10000, a reflectance of -1.00" in warning for warning in scene.warnings)
        with pytest.raises(InputError, match=r"hold -10000, .*: it must mean no data; declare it"):
            scene.check_reflectance()


@pytest.mark.parametrize("xml", ["", "<a", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_metadata_that_are_none_are_one_line(product, xml):
    (product / f"{NAME}_MTD_ALL.xml").write_text(xml)
    with pytest.raises(InputError, match="its metadata cannot be read"):
        open_scene([product])
