"""Folders for outputs."""

import pytest

from lulc.errors import StorageError
from lulc.io.files.outputs import check_folder, made_folder


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
