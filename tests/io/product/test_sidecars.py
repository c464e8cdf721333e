import errno

import numpy as np
import pytest
import rasterio

from lulc.errors import StorageError
from lulc.io.files import atomic
from lulc.io.product.sidecars import check_sidecars, write_sidecars
from lulc.io.product.style import aux_xml, qml
from tests.support.product_samples import LEGEND, UTM, names, pixels, put_all, write, writer_of

OURS = ["a.qml", "a.tif", "a.tif.aux.xml"]


def former_raster(path, data):
    """A raster whose mask, in a file beside it, hides every pixel."""
    profile = {"driver": "GTiff", "width": data.shape[2], "height": data.shape[1], "count": 1, "dtype": "uint8"}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(path, "w", crs="EPSG:32631", transform=UTM, **profile) as target,
    ):
        target.write(data[:1])
        target.write_mask(np.zeros(data.shape[1:], bool))


def test_the_mask_of_a_former_file_does_not_hide_the_new_product(tmp_path):
    data = pixels(60, 80)
    former_raster(tmp_path / "a.tif", data)
    assert names(tmp_path) == ["a.tif", "a.tif.msk"]
    write(tmp_path / "a.tif", data, overwrite=True)
    with rasterio.open(tmp_path / "a.tif") as source:
        np.testing.assert_array_equal(source.read_masks(1) > 0, data[0] != 255)
    assert names(tmp_path) == OURS


@pytest.mark.parametrize("ending", [".msk", ".ovr", ".msk.ovr"])
def test_what_would_be_taken_for_a_part_of_the_product_is_refused(tmp_path, ending):
    (tmp_path / f"a.tif{ending}").write_bytes(b"an orphan")
    with pytest.raises(StorageError, match=rf"a\.tif\{ending} would be taken for a part of a\.tif; "):
        writer_of(tmp_path / "a.tif", pixels(20, 20))
    assert names(tmp_path) == [f"a.tif{ending}"]


def test_the_style_of_another_layer_is_not_lost(tmp_path):
    (tmp_path / "a.qml").write_text("the style of a.shp")
    with pytest.raises(StorageError, match=r"a\.qml exists and is another style; .*--overwrite"):
        writer_of(tmp_path / "a.tif", pixels(20, 20))
    assert (tmp_path / "a.qml").read_text() == "the style of a.shp"
    assert names(tmp_path) == ["a.qml"]
    write(tmp_path / "a.tif", pixels(20, 20), overwrite=True)
    assert (tmp_path / "a.qml").read_bytes() == qml(LEGEND)


def test_a_style_that_appears_during_the_run_is_not_lost_either(tmp_path):
    writer = writer_of(tmp_path / "a.tif", data := pixels(20, 20))
    put_all(writer, data)
    (tmp_path / "a.qml").write_text("the style of a.shp")
    with pytest.raises(StorageError, match="another style"):
        writer.publish()
    writer.abandon(keep=False)
    assert (tmp_path / "a.qml").read_text() == "the style of a.shp"
    assert names(tmp_path) == ["a.qml"]


def test_our_own_side_cars_of_a_removed_or_killed_product_are_no_hindrance(tmp_path):
    write(tmp_path / "a.tif", pixels(20, 20))
    (tmp_path / "a.tif").unlink()
    (tmp_path / "a.tif.aux.xml").write_text("statistics that a viewer added")
    write(tmp_path / "a.tif", pixels(20, 20))
    assert (tmp_path / "a.tif.aux.xml").read_bytes() == aux_xml(LEGEND)


def test_a_refusing_disk_leaves_nothing_unfinished(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_sidecars(tmp_path / "a.tif", LEGEND, tmp_path / "work")
    assert names(tmp_path) == ["work"]
    assert names(tmp_path / "work") == []


def test_an_empty_folder_is_fine(tmp_path):
    check_sidecars(tmp_path / "a.tif", LEGEND)
    assert names(tmp_path) == []
