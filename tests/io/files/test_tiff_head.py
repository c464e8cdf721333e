"""The length of a TIFF's metadata, against what was written."""

import numpy as np
import pytest
import rasterio

from lulc.io.files.tiff_head import metadata_bytes


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "options", [{}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}, {"BIGTIFF": "YES", "ENDIANNESS": "BIG"}]
)
@pytest.mark.parametrize("length", [0, 50, 200_000])
def test_metadata_of_every_kind_of_tiff(tmp_path, options, length):
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", height=9, width=9, count=1, dtype="uint8", **options) as target:
        target.write(np.ones((1, 9, 9), np.uint8))
        if length:
            target.update_tags(note="x" * length)
    found = metadata_bytes(path)
    assert found == 0 if length == 0 else length < found < length + 200


@pytest.mark.parametrize(
    "content", [b"", b"II*\0", b"II*\0\xff\xff\xff\x7f", b"MM\0+" + bytes(12), b"\x89PNG" + bytes(40)]
)
def test_what_is_no_whole_tiff_has_none(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    assert metadata_bytes(tmp_path / "a.tif") == 0


def test_a_file_that_is_not_there(tmp_path):
    assert metadata_bytes(tmp_path / "nothing") == 0
