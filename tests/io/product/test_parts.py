import pytest

from lulc.errors import StorageError
from lulc.grid import Shape, Window
from lulc.io.product.parts import PartWriter, discard_parts, part_folder, part_folders, part_state, parts_folder
from lulc.io.product.writer import product_layout
from tests.support.product_samples import LEGEND, pixels

LAYOUT = product_layout(Shape(60, 60), LEGEND, "uint8", {})


def test_a_shard_without_a_chunk_leaves_no_folder(tmp_path):
    PartWriter(part_folder(tmp_path / "a.tif", 0), LAYOUT, "f", resume=True).close()
    assert not parts_folder(tmp_path / "a.tif").exists()


def test_a_shard_with_a_chunk_is_kept_and_the_folder_of_others_stays(tmp_path):
    first, second = (PartWriter(part_folder(tmp_path / "a.tif", n), LAYOUT, "f", resume=True) for n in (0, 1))
    first.put(0, Window(0, 0, 60, 60), pixels(60, 60))
    for part in (first, second):
        part.close()
    assert part_folders(tmp_path / "a.tif") == [part_folder(tmp_path / "a.tif", 0)]
    state = part_state(part_folder(tmp_path / "a.tif", 0))
    assert (state.fingerprint, state.chunks, state.held) == ("f", {0}, False)


def test_a_folder_of_parts_that_is_a_link_is_refused_and_not_cleaned(tmp_path):
    mine = part_folder(tmp_path / "mine", 0)
    mine.mkdir(parents=True)
    (mine / "job.json").write_text("dear")
    parts_folder(tmp_path / "a.tif").symlink_to(mine.parent)
    with pytest.raises(StorageError, match=r"a\.tif\.parts is a link"):
        PartWriter(part_folder(tmp_path / "a.tif", 1), LAYOUT, "f", resume=True)
    discard_parts(tmp_path / "a.tif")
    assert (mine / "job.json").read_text() == "dear"
