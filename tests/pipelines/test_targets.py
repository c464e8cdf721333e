"""Which files make a target due."""

import os
import shutil

import pytest
from step_options import options_of
from targets import Target, files_of

from tests.support.stac_items import real_pixels, write_item


def signature(path):
    return Target("t", (path,), inputs=(path,)).signature


def changes(path, other, text=b"another"):
    """True when what is written to another file counts."""
    before = signature(path)
    other.write_bytes(text)
    return signature(path) != before


def test_what_is_read_beside_a_scene_counts(tmp_path):
    scene = tmp_path / "scene.tif"
    scene.touch()
    assert changes(scene, tmp_path / "scene.tif.msk")
    assert not changes(scene, tmp_path / "other.tif")
    area = tmp_path / "area.shp"
    area.touch()
    assert changes(area, tmp_path / "area.prj")


def test_bands_of_a_stac_item_count(data, tmp_path):
    write_item(
        tmp_path, real_pixels(data / "scenes" / "aber_s2_20210527_10band.tif"), item_id="A", layout="earth-search"
    )
    item = tmp_path / "A.json"
    bands = [file for file in files_of(item) if file != item]
    assert len(bands) >= 9
    assert changes(item, bands[0])
    item.write_text("{}")
    assert list(files_of(item)) == [item]


def test_files_behind_links_count(tmp_path):
    scene, bands = tmp_path / "scene.SAFE", tmp_path / "bands"
    scene.mkdir()
    bands.mkdir()
    (scene / "IMG").symlink_to(bands)
    (bands / "up").symlink_to(scene)
    assert changes(scene, bands / "B02.jp2")


def test_a_scene_and_its_folder_are_two_inputs(tmp_path):
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "x.tif").touch()
    assert signature(tmp_path / "S") != signature(tmp_path / "S" / "x.tif")


@pytest.mark.parametrize(
    ("step", "table"), [("stack", {"preset": "bands9"}), ("classify", {}), ("classify", {"model": "dw9-s2-10m"})]
)
def test_what_ships_with_lulc_counts(tmp_path, step, table):
    (named,) = options_of(tmp_path / "region.toml", step, table).files
    copied = tmp_path / named.name
    (shutil.copytree if named.is_dir() else shutil.copy2)(named, copied)
    before = signature(copied)
    for file in files_of(copied):
        os.utime(file, (1, 1))
    assert signature(copied) != before
