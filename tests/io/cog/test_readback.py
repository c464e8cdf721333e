import numpy as np
import pytest

from lulc.errors import StorageError
from lulc.io.cog.assembly import write_cog
from lulc.io.cog.readback import pixels_checksum, read_back
from tests.support.product_samples import pixels, put_all, writer_of


@pytest.fixture
def assembled(tmp_path):
    writer = writer_of(tmp_path / "a.tif", data := pixels(700, 1100))
    put_all(writer, data)
    writer._store.flush()
    path = tmp_path / "made.tif"
    write_cog(path, writer.layout, writer._geo_tags, writer._store.sizes, writer._store.read)
    yield path, writer
    writer.abandon(keep=False)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_sound_file_passes_and_all_its_blocks_are_counted(assembled, threads):
    path, writer = assembled
    assert read_back(path, writer.layout, writer._store.checksum, threads) == 10 * (2 * 3 + 1 * 2 + 1)


@pytest.mark.whole
def test_every_flipped_byte_among_the_tiles_is_noticed(assembled):
    path, writer = assembled
    whole = path.read_bytes()
    tiles_start = len(whole) - sum(int(size.sum()) + 8 * size.size for size in writer._store.sizes)
    for at in np.random.default_rng(0).integers(tiles_start, len(whole), 25):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        assert complaint(path, writer) or at in unread_bytes(writer, tiles_start), f"nobody noticed byte {at}"


def complaint(path, writer):
    try:
        read_back(path, writer.layout, writer._store.checksum)
    except StorageError as error:
        return str(error)
    return ""


def unread_bytes(writer, start):
    """Tile leaders and trailers, which readers of local files pass over."""
    unread = set()
    for sizes in reversed(writer._store.sizes):
        for size in sizes.ravel():
            unread |= {*range(start, start + 4), *range(start + 4 + size, start + 8 + size)}
            start += int(size) + 8
    return unread


@pytest.mark.parametrize("part", [0.2, 0.6, 0.999])
def test_a_cut_file_is_noticed(assembled, part):
    path, writer = assembled
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(StorageError, match="read back"):
        read_back(path, writer.layout, writer._store.checksum)


def test_other_pixels_are_noticed(assembled):
    path, writer = assembled
    with pytest.raises(StorageError, match=r"reads back differently: .*tile row 1, column 2"):
        read_back(path, writer.layout, lambda *place: writer._store.checksum(*place) ^ (place == (0, 1, 2)))


def test_the_checksum_sees_values_and_order_of_bands_not_memory_layout():
    data = pixels(20, 30)
    assert pixels_checksum(data) == pixels_checksum(np.asfortranarray(data))
    assert pixels_checksum(data) != pixels_checksum(data[::-1])
