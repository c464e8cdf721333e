"""Folders for outputs."""

import pytest

from lulc.io.files.outputs import made_folder


def test_a_folder_that_was_made_goes_again_when_work_fails(tmp_path):
    with pytest.raises(KeyError), made_folder(tmp_path / "a" / "b"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with made_folder(tmp_path / "a" / "b"):
        pass
    assert (tmp_path / "a" / "b").is_dir()
