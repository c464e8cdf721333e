"""What a disk refuses, in one line; sizes for people."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from lulc.errors import StorageError
from lulc.io.files.storage import free_bytes, megabytes, storage_errors
from tests.support.scene_files import write_raster


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EFBIG, "would be larger than files may be there"),
        (errno.EACCES, "cannot read or write"),
        (errno.EROFS, "cannot write"),
        (errno.ENOENT, "its folder does not exist"),
        (errno.EIO, "cannot read or write"),
    ],
)
def test_every_refusal_names_the_file_on_one_line(tmp_path, number, words):
    with pytest.raises(StorageError, match=words) as caught, storage_errors(tmp_path / "a.tif"):
        raise OSError(number, os.strerror(number))
    assert "a.tif" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_free_space_of_a_file_that_does_not_exist_is_that_of_its_folder(tmp_path):
    assert free_bytes(tmp_path / "no" / "such") > 0


def test_sizes_for_people():
    assert megabytes(1_500_000) == "1.5 MB"
    assert megabytes(2_340_000_000) == "2.3 GB"


def test_a_disk_that_does_not_say_what_is_free_counts_as_full(tmp_path, monkeypatch):
    def refused(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("shutil.disk_usage", refused)
    assert free_bytes(tmp_path) == 0


@pytest.mark.process
@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_a_limit_on_the_size_of_files_is_told_in_one_line(tmp_path, suffix):
    scene = write_raster(tmp_path / "scene.tif", np.random.default_rng(1).integers(1, 9000, (4, 300, 400), np.uint16))
    words = [sys.executable, "-m", "lulc", "stack", str(scene), str(tmp_path / f"out{suffix}")]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "files are limited to 0.1 MB (ulimit -f); raise the limit" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
