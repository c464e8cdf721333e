"""Files and folders under their names whole or not at all; what killed processes left goes."""

import errno
import os
import subprocess

import pytest

from lulc.errors import StorageError
from lulc.io.files import atomic
from lulc.io.files.atomic import link_or_copy, publish, staged, write_whole
from tests.support.product_samples import names

NOBODY = 999_999_999
"""A process that has surely ended: Linux counts to four million."""


class TestWriteWhole:
    def test_a_file_is_written_or_replaced_and_nothing_else_is_left(self, tmp_path):
        write_whole(tmp_path / "a", b"one")
        write_whole(tmp_path / "a", b"two", b" three")
        assert (tmp_path / "a").read_bytes() == b"two three"
        assert names(tmp_path) == ["a"]

    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_a_failure_leaves_the_old_file(self, tmp_path, monkeypatch, call):
        write_whole(tmp_path / "a", b"old")

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(atomic.os, call, full)
        with pytest.raises(StorageError, match=r"disk is full while writing .*a: 0\.0 MB needed"):
            write_whole(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"old"
        assert names(tmp_path) == ["a"]

    def test_what_killed_processes_left_goes(self, tmp_path):
        for name in (f".a.{NOBODY}.partial.md", "a.md.part"):
            (tmp_path / name).write_bytes(b"half")
        write_whole(tmp_path / "a.md", b"whole")
        assert names(tmp_path) == ["a.md"]

    def test_what_others_write_stays(self, tmp_path):
        kept = [f".a.{os.getppid()}.partial.md", f".b.{NOBODY}.partial.md", f".a.{NOBODY}.partial.json", "b.md.part"]
        for name in kept:
            (tmp_path / name).write_bytes(b"half")
        write_whole(tmp_path / "a.md", b"whole")
        assert names(tmp_path) == sorted([*kept, "a.md"])

    @pytest.mark.parametrize(
        "name",
        [f".a.{NOBODY}.partial.md", f".a.{os.getpid()}.partial.md", "a.md.part"],
        ids=["of a process that is gone", "of this process", "of an older version"],
    )
    def test_a_link_under_an_unfinished_name_is_not_followed(self, tmp_path, name):
        (tmp_path / "thesis").write_text("dear")
        (tmp_path / name).symlink_to(tmp_path / "thesis")
        write_whole(tmp_path / "a.md", b"whole")
        assert (tmp_path / "thesis").read_text() == "dear"
        assert names(tmp_path) == ["a.md", "thesis"]

    def test_the_unfinished_file_may_lie_in_another_folder(self, tmp_path):
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / f".a.{NOBODY}.partial.md").write_bytes(b"half")
        write_whole(tmp_path / "a.md", b"whole", beside=tmp_path / "work")
        assert names(tmp_path) == ["a.md", "work"]
        assert names(tmp_path / "work") == []


class TestFiles:
    def test_it_appears_when_the_block_ends(self, tmp_path):
        target = tmp_path / "out.tif"
        with staged(target) as path:
            path.write_text("new")
            assert path.suffix == ".tif"
            assert not target.exists()
        assert target.read_text() == "new"
        assert names(tmp_path) == ["out.tif"]

    def test_an_error_leaves_nothing(self, tmp_path):
        with pytest.raises(KeyError), staged(tmp_path / "out.tif") as path:  # noqa: PT012
            path.write_text("half")
            raise KeyError
        assert names(tmp_path) == []

    def test_an_existing_file_is_refused_before_any_work(self, tmp_path):
        target = tmp_path / "out.tif"
        target.write_text("old")
        with pytest.raises(StorageError, match="--overwrite"), staged(target):
            pytest.fail("must not begin")
        assert target.read_text() == "old"

    def test_the_faster_of_two_is_not_replaced(self, tmp_path):
        target = tmp_path / "out.tif"
        with pytest.raises(StorageError, match="--overwrite"), staged(target) as path:  # noqa: PT012
            path.write_text("slow")
            target.write_text("fast")
        assert target.read_text() == "fast"
        assert names(tmp_path) == ["out.tif"]

    def test_overwrite_keeps_the_old_file_until_the_end(self, tmp_path):
        target = tmp_path / "out.tif"
        target.write_text("old")
        with pytest.raises(KeyError), staged(target, overwrite=True) as path:  # noqa: PT012
            path.write_text("half")
            raise KeyError
        assert target.read_text() == "old"
        with staged(target, overwrite=True) as path:
            path.write_text("new")
        assert target.read_text() == "new"

    def test_what_belonged_to_the_old_file_goes_with_it(self, tmp_path):
        target = tmp_path / "out.tif"
        for ending in ("", ".aux.xml", ".ovr"):
            (tmp_path / f"out.tif{ending}").write_text("old")
        with pytest.raises(KeyError), staged(target, overwrite=True):
            raise KeyError
        assert names(tmp_path) == ["out.tif", "out.tif.aux.xml", "out.tif.ovr"]
        with staged(target, overwrite=True) as path:
            path.write_text("new")
        assert names(tmp_path) == ["out.tif"]


class TestFolders:
    def test_a_zarr_is_replaced_whole(self, tmp_path):
        target = tmp_path / "out.zarr"
        for content in ("old", "new"):
            with staged(target, overwrite=True) as path:
                path.mkdir()
                (path / ".zgroup").write_text("{}")
                (path / content).write_text(content)
        assert names(target) == [".zgroup", "new"]
        assert names(tmp_path) == ["out.zarr"]

    def test_a_folder_of_something_else_is_never_replaced(self, tmp_path):
        target = tmp_path / "out.zarr"
        target.mkdir()
        (target / "thesis.txt").write_text("dear")
        with pytest.raises(StorageError, match="something else"), staged(target, overwrite=True):
            pytest.fail("must not begin")
        assert (target / "thesis.txt").read_text() == "dear"

    def test_a_file_does_not_replace_a_zarr(self, tmp_path):
        target = tmp_path / "out.nc"
        target.mkdir()
        (target / ".zgroup").write_text("{}")
        with pytest.raises(StorageError), staged(target, overwrite=True) as path:
            path.write_text("new")
        assert names(tmp_path) == ["out.nc"]


class TestPlaces:
    def test_no_such_folder(self, tmp_path):
        with pytest.raises(StorageError, match="no folder"), staged(tmp_path / "nowhere" / "out.tif"):
            pytest.fail("must not begin")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(StorageError, match="not writable"), staged(tmp_path / "out.tif"):
            pytest.fail("must not begin")

    @pytest.mark.process
    def test_a_read_only_disk(self, tmp_path):
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmp_path], check=False, capture_output=True
        )
        if mounted.returncode:
            pytest.skip("mounting is not allowed here")
        try:
            with pytest.raises(StorageError), staged(tmp_path / "out.tif") as path:
                path.write_text("x")
        finally:
            subprocess.run(["umount", tmp_path], check=True)


class TestSecondName:
    def test_it_is_the_same_file(self, tmp_path):
        (tmp_path / "a").write_bytes(b"whole")
        link_or_copy(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").samefile(tmp_path / "a")

    def test_without_hard_links_it_is_a_copy(self, tmp_path, monkeypatch):
        def other_disk(*_):
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(atomic.Path, "hardlink_to", other_disk)
        (tmp_path / "a").write_bytes(b"whole")
        link_or_copy(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"whole"
        assert not (tmp_path / "b").samefile(tmp_path / "a")

    def test_a_name_that_is_taken_is_not_replaced(self, tmp_path):
        for name in "ab":
            (tmp_path / name).write_text(name)
        with pytest.raises(FileExistsError):
            link_or_copy(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b").read_text() == "b"


def test_an_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    rename = atomic.Path.rename

    def refused(self, target):
        if self.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(atomic.Path, "rename", refused)
    with pytest.raises(OSError, match="Input/output error"):
        publish(tmp_path / "new", tmp_path / "old")
    assert names(tmp_path) == ["new", "old"]
    assert names(tmp_path / "old") == ["old"]


@pytest.mark.parametrize("proc", ["there is none", "it may not be read"])
def test_where_nobody_says_which_processes_live_their_files_stay(tmp_path, monkeypatch, proc):
    monkeypatch.setattr(atomic, "_PROC", tmp_path / "proc")
    if proc == "it may not be read":
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / str(NOBODY) / "stat").mkdir(parents=True)
    half = tmp_path / f".a.{NOBODY}.partial.md"
    half.write_bytes(b"half")
    write_whole(tmp_path / "a.md", b"whole")
    assert half.exists()
