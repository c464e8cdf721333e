"""Folders for outputs."""

import os

import pytest

from lulc.errors import StorageError
from lulc.io.files.atomic import staged
from lulc.io.files.outputs import check_folder, check_target, made_folder


def test_a_folder_that_was_made_goes_again_when_work_fails(tmp_path):
    with pytest.raises(KeyError), made_folder(tmp_path / "a" / "b"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with made_folder(tmp_path / "a" / "b"):
        pass
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(StorageError, match="is not writable; choose another folder"):
        check_folder(tmp_path / "new", ["report.md"])


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_device_or_a_pipe_is_never_replaced(tmp_path, overwrite):
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "null.tif").symlink_to("/dev/null")
    for name in ("pipe.tif", "null.tif"):
        with pytest.raises(StorageError, match=f"{name} is a device, a pipe or a socket; it is not replaced"):
            check_target(tmp_path / name, overwrite=overwrite)


@pytest.mark.parametrize("ending", [".msk", ".ovr"])
def test_what_would_be_read_with_a_new_file_is_not_left_beside_it(tmp_path, ending):
    (tmp_path / f"map.tif{ending}").touch()
    with pytest.raises(StorageError, match=rf"map\.tif\{ending} would be taken for a part of map"):
        check_target(tmp_path / "map.tif")
    with staged(tmp_path / "map.tif", overwrite=True) as path:
        path.touch()
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.tif"]
