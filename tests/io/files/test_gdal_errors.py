"""What GDAL says while a file is read: of a tag it passes over, a note; of pixels, a refusal."""

import logging
import struct

import numpy as np
import pytest

from lulc.errors import StorageError
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import NAMES, pixels, write_raster

EXTRA_SAMPLES = 338


def without_tag(path, tag):
    """The TIFF without an entry of its first directory, as some programs write it."""
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = [content[place : place + 12] for place in range(start + 2, start + 2 + 12 * count, 12)]
    kept = [entry for entry in entries if struct.unpack_from("<H", entry)[0] != tag]
    assert len(kept) == count - 1
    directory = struct.pack("<H", count - 1) + b"".join(kept) + bytes(4) + bytes(12)
    content[start : start + len(directory)] = directory
    path.write_bytes(content)
    return path


@pytest.fixture
def geotrellis(tmp_path):
    """Four bands, one of them green, whose other three are not said to be extra samples."""
    path = write_raster(
        tmp_path / f"{tmp_path.name}.tif", pixels(), tiled=True, blockxsize=64, blockysize=64, compress="deflate"
    )
    return without_tag(path, EXTRA_SAMPLES)


def test_a_missing_tag_is_no_damage(geotrellis, capfd):
    with open_scene(geotrellis) as scene:
        read = scene.read(NAMES, scene.grid.window)
    np.testing.assert_array_equal(read.data[:, read.valid], pixels()[:, read.valid])
    assert capfd.readouterr().err == ""


def test_it_is_told_once_to_those_who_ask(geotrellis, caplog):
    caplog.set_level(logging.INFO, "lulc")
    with open_scene(geotrellis) as scene:
        scene.read(NAMES, scene.grid.window)
        scene.read(NAMES, scene.grid.window)
    assert [record.levelname for record in caplog.records if "ExtraSamples" in record.getMessage()] == ["INFO"]


def test_a_damaged_block_of_a_codec_that_only_warns_is_refused(tmp_path):
    smooth = np.tile(np.arange(256, dtype=np.uint8), (3, 256, 1))
    path = write_raster(tmp_path / "scene.tif", smooth, NAMES[:3], compress="jpeg", photometric="ycbcr", nodata=None)
    content = bytearray(path.read_bytes())
    scan = content.rindex(b"\xff\xda")
    content[scan + 20 : scan + 60] = bytes(range(200, 240))
    path.write_bytes(content)
    with open_scene(path) as scene, pytest.raises(StorageError, match="damaged"):
        scene.read(NAMES[:3], scene.grid.window)
