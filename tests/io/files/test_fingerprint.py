import os
import shutil
from pathlib import Path

import pytest

from lulc.errors import StorageError
from lulc.io.files import fingerprint
from lulc.io.files.fingerprint import (
    Unchanged,
    changed_parts,
    file_fingerprint,
    input_files,
    json_fingerprint,
    named_fingerprint,
)


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (
            {"b": [1, 2.5, None], "a": {"é": ("x", True)}},
            "dabac0adacafeeb56d4212862d3e8aea348dd874a4123a0a0df94aa72765dd0f",
        ),
        (["id", "POLYGON", ("B02", "B03")], "1041745d887c8c68537d58e29f4ced5369f5d3b771eea65f015e7137efc1c3c0"),
    ],
)
def test_digests_of_plans_and_fetched_files_stay_as_they_are(value, digest):
    assert json_fingerprint(value) == digest


def test_the_order_of_keys_does_not_count():
    assert json_fingerprint({"a": 1, "b": 2}) == json_fingerprint({"b": 2, "a": 1})
    assert json_fingerprint([1, 2]) != json_fingerprint([2, 1])


class TestUnchanged:
    def test_what_is_read_may_not_be_written_to(self, tmp_path):
        file, other = tmp_path / "a", tmp_path / "b"
        for path in (file, other):
            path.write_bytes(b"old")
        inputs = Unchanged([other, file])
        inputs.check()
        os.utime(file, (0, 0))
        inputs.check(1)
        with pytest.raises(StorageError, match=r"a was changed while it was read; run the same command again") as found:
            inputs.check()
        assert found.value.exit_code == 5

    @pytest.mark.parametrize("how", ["longer", "replaced", "removed"])
    def test_nor_replaced_nor_removed(self, tmp_path, how):
        file = tmp_path / "a"
        file.write_bytes(b"old")
        time = file.stat().st_mtime_ns
        inputs = Unchanged([file])
        (tmp_path / "new").write_bytes(b"newer" if how == "longer" else b"new")
        os.utime(tmp_path / "new", ns=(time, time + (how == "replaced")))
        file.unlink() if how == "removed" else (tmp_path / "new").replace(file)
        with pytest.raises(StorageError, match="was changed"):
            inputs.check()

    def test_a_disk_that_fails_is_named(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b").touch()
        inputs = Unchanged([tmp_path / "a" / "b"])
        (tmp_path / "a" / "b").unlink()
        (tmp_path / "a").rmdir()
        (tmp_path / "a").touch()
        with pytest.raises(StorageError, match=r"cannot read .*b: Not a directory"):
            inputs.check()


def test_what_a_run_keeps_in_the_folder_of_its_input_is_no_input(tmp_path):
    for name in ("B02.tif", "map.tif.lulc/job.json", ".map.tif.0.partial/map.tif", "x.lulc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in input_files(tmp_path)] == ["B02.tif", "x.lulc"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "scene.tif"
    path.write_bytes(bytes(range(256)) * 20_000)  # 5 MB: samples leave gaps
    return path


def change(path, offset):
    """Change one byte and nothing that a folder shows of the file."""
    status = path.stat()
    with path.open("r+b") as opened:
        opened.seek(offset)
        opened.write(b"\xff" if path.read_bytes()[offset] != 255 else b"\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_touched_or_copied_file_is_the_same(file, tmp_path):
    known = file_fingerprint(file)
    os.utime(file, (1, 1))
    assert file_fingerprint(file) == known
    (tmp_path / "other").mkdir()
    assert file_fingerprint(Path(shutil.copy(file, tmp_path / "other"))) == known
    assert file_fingerprint(file, "called.tif") != known


@pytest.mark.parametrize("offset", [0, 1_300_000, 2_500_000, 5_119_999])
def test_one_byte_anywhere_is_a_change(file, offset):
    known = file_fingerprint(file)
    change(file, offset)
    assert file_fingerprint(file) != known


def test_of_a_file_too_large_to_be_hashed_at_each_start_the_time_counts(file, monkeypatch):
    monkeypatch.setattr(fingerprint, "_HASHED_WHOLE", 1 << 20)
    known, without = file_fingerprint(file), file_fingerprint(file, times=False)
    os.utime(file, (1, 1))
    assert file_fingerprint(file) != known
    assert file_fingerprint(file, times=False) == without


def test_a_file_that_is_not_there_is_not_asked_for_again(tmp_path, caplog):
    with pytest.raises(StorageError, match=r"cannot read .*none\.tif: No such file or directory"):
        file_fingerprint(tmp_path / "none.tif")
    assert not caplog.records


JOB = {"input": "a", "model": {"name": "b"}, "torch": "2.0", "settings": [1, 2]}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, ""),
        ({"input": "x"}, "input"),
        ({"input": "x", "settings": [3]}, "input"),
        ({"torch": "2.1", "input": "x"}, "input and torch"),
        ({"settings": [3]}, "settings"),
    ],
)
def test_a_fingerprint_names_the_parts_that_changed(changed, named):
    assert changed_parts(named_fingerprint(JOB), named_fingerprint(JOB | changed)) == named


def test_a_fingerprint_of_an_older_lulc_differs_in_all_parts():
    assert changed_parts("0" * 64, named_fingerprint(JOB)) == "input and model and torch"
