"""Names that are too long or not UTF-8 are refused before any work."""

import os

import pytest

from lulc.errors import InputError, StorageError
from lulc.io.files.names import check_name
from lulc.io.files.outputs import check_folder, check_target
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import pixels, write_raster

LATIN = os.fsdecode(b"sc\xe9ne.tif")


@pytest.mark.parametrize(("length", "taken"), [(243, True), (244, False), (300, False)])
def test_files_beside_an_output_have_room_for_their_names(tmp_path, length, taken):
    target = tmp_path / f"{'é' * 100}{'x' * (length - 204)}.tif"
    assert len(os.fsencode(target.name)) == length
    if taken:
        check_target(target)
        target.with_name(f"{target.name}.sources.csv").touch()
    else:
        with pytest.raises(StorageError, match=f"has {length} bytes; choose one of at most 243"):
            check_target(target)
        with pytest.raises(StorageError, match="at most 243"):
            check_folder(target / "inside", ())


def test_a_name_that_is_not_utf8(tmp_path):
    with pytest.raises(InputError, match=r"ne\.tif is not UTF-8; rename it"):
        check_name(tmp_path / LATIN)
    write_raster(tmp_path / "scene.tif", pixels()).rename(tmp_path / LATIN)
    with pytest.raises(InputError, match="not UTF-8"):
        open_scene(tmp_path / LATIN)
