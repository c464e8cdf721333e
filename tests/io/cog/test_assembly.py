from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate

from lulc.errors import StorageError
from lulc.grid import Shape
from lulc.io.cog.assembly import CogLayout, _tile_offsets, write_cog
from tests.support.cog_samples import planes_of, write_planes

SIZES = [(1, 1), (227, 246), (512, 512), (513, 1025), (2100, 1500)]


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("compression", ["zstd", "deflate", "none"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.whole
def test_gdal_and_rio_cogeo_accept_the_file_and_read_every_pixel(tmp_path, size, compression, dtype, bigtiff):
    layout = CogLayout(Shape(*size), 3, dtype, compression, 1, 512, bigtiff)
    planes = planes_of(layout)
    path = tmp_path / "a.tif"
    written = write_planes(path, layout, planes)

    assert written == path.stat().st_size
    assert path.read_bytes()[2] == (43 if bigtiff else 42)
    assert cog_validate(path, strict=True) == (True, [], [])
    for level in layout.levels:
        with rasterio.open(path, **({"overview_level": level - 1} if level else {})) as source:
            shape = layout.shapes[level]
            assert source.shape == (shape.height, shape.width)
            assert source.nodata == 255
            np.testing.assert_array_equal(source.read(), planes[level][:, : shape.height, : shape.width])
    with rasterio.open(path) as source:
        assert source.interleaving.value == "BAND"
        assert source.block_shapes == [(512, 512)] * 3
        assert source.dtypes == (dtype,) * 3
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.compression is None if compression == "none" else source.compression.name == compression
        assert [len(source.overviews(band)) for band in (1, 2, 3)] == [len(layout.levels) - 1] * 3


@pytest.mark.parametrize("block", [128, 256])
@pytest.mark.parametrize("bands", [1, 14])
def test_other_blocks_and_band_counts(tmp_path, block, bands):
    layout = CogLayout(Shape(700, 900), bands, block=block)
    planes = planes_of(layout)
    write_planes(tmp_path / "a.tif", layout, planes)
    assert cog_validate(tmp_path / "a.tif", strict=True) == (True, [], [])
    with rasterio.open(tmp_path / "a.tif") as source:
        np.testing.assert_array_equal(source.read(), planes[0][:, :700, :900])
        assert source.block_shapes[0] == (block, block)


def test_tiles_lie_smallest_overview_first_and_band_after_band(tmp_path):
    layout = CogLayout(Shape(1100, 1300), 2)
    write_planes(tmp_path / "a.tif", layout, planes_of(layout))
    with rasterio.open(tmp_path / "a.tif") as source:
        offsets = [
            int(source.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", band + 1, ovr=level - 1 if level else None))
            for level in reversed(layout.levels)
            for band, row, col in np.ndindex(2, layout.tiles(level).height, layout.tiles(level).width)
        ]
        directories = [int(source.get_tag_item("IFD_OFFSET", "TIFF", 1, ovr=ovr)) for ovr in (None, 0, 1)]
    assert len(offsets) == 2 * (9 + 4 + 1)
    assert all(first < second for first, second in pairwise(directories + offsets))


@pytest.mark.parametrize(("bands", "interleave"), [(1, b""), (3, b"INTERLEAVE=BAND\n")])
def test_the_structural_note_is_that_of_gdals_own_driver(tmp_path, bands, interleave):
    """Byte for byte what the COG driver of GDAL 3.12 writes, with INTERLEAVE=BAND for several bands."""
    layout = CogLayout(Shape(20, 20), bands)
    write_planes(tmp_path / "a.tif", layout, planes_of(layout))
    size = b"%06d" % (140 + len(interleave))
    note = (
        b"GDAL_STRUCTURAL_METADATA_SIZE=" + size + b" bytes\nLAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\n"
        b"BLOCK_LEADER=SIZE_AS_UINT4\nBLOCK_TRAILER=LAST_4_BYTES_REPEATED\n"
        + interleave
        + b"KNOWN_INCOMPATIBLE_EDITION=NO\n "
    )
    assert (tmp_path / "a.tif").read_bytes()[8:].startswith(note)


def test_offsets_pass_four_gigabytes():
    sizes = [np.full((2, 3, 3), 2**31, np.int64), np.full((2, 1, 1), 7, np.int64)]
    offsets, end = _tile_offsets(sizes, 1000)
    assert offsets[1].ravel().tolist() == [1004, 1019]
    assert np.diff(offsets[0].ravel()).tolist() == [2**31 + 8] * 17
    assert end == 1000 + 2 * (7 + 8) + 18 * (2**31 + 8)


def test_a_classic_tiff_that_grows_too_large_is_refused(tmp_path):
    layout = CogLayout(Shape(10, 10), 1, bigtiff=False)
    with pytest.raises(ValueError, match="a classic TIFF ends at 4 GB"):
        write_cog(tmp_path / "a.tif", layout, {}, [np.array([[[2**32]]])], lambda *_: b"12345")


def test_bigtiff_by_size_as_gdals_if_safer():
    assert not CogLayout(Shape(4096, 4096), 10).big
    assert CogLayout(Shape(40_000, 40_000), 10).big
    assert CogLayout(Shape(10, 10), 1, bigtiff=True).big
    assert not CogLayout(Shape(40_000, 40_000), 10, bigtiff=False).big


@given(height=st.integers(1, 700), width=st.integers(1, 700), block=st.sampled_from([16, 48, 128]))
@pytest.mark.whole
def test_tiles_cover_every_level_exactly_once(height, width, block):
    layout = CogLayout(Shape(height, width), 1, block=block)
    for level in layout.levels:
        shape, tiles = layout.shapes[level], layout.tiles(level)
        canvas = np.zeros((shape.height, shape.width), int)
        for row, col in np.ndindex(tiles.height, tiles.width):
            canvas[layout.tile_window(level, row, col).slices()] += 1
        assert (canvas == 1).all()
    assert max(layout.shapes[-1].height, layout.shapes[-1].width) <= block


def test_a_level_with_a_missing_tile_is_refused(tmp_path):
    layout = CogLayout(Shape(600, 10), 1)
    sizes = [np.array([[[5], [0]]]), np.array([[[5]]])]
    with pytest.raises(ValueError, match="no full set"):
        write_cog(tmp_path / "a.tif", layout, {}, sizes, lambda *_: b"12345")


def test_a_tile_of_another_size_than_announced_is_refused(tmp_path):
    layout = CogLayout(Shape(10, 10), 1)
    with pytest.raises(ValueError, match="4 bytes, not 5"):
        write_cog(tmp_path / "a.tif", layout, {}, [np.array([[[5]]])], lambda *_: b"1234")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_named_with_the_bytes_needed():
    layout = CogLayout(Shape(1024, 1024), 8, compression="none")
    with pytest.raises(StorageError, match=r"disk is full while writing /dev/full: 10\.5 MB needed"):
        write_planes(Path("/dev/full"), layout, planes_of(layout))


@pytest.mark.parametrize("options", [{"shape": Shape(0, 5)}, {"bands": 0}, {"block": 100}, {"block": 0}])
def test_layouts_that_no_tiff_can_have(options):
    with pytest.raises(ValueError, match="layout"):
        CogLayout(**({"shape": Shape(5, 5), "bands": 1} | options))
