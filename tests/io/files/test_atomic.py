"""Files and folders under their names whole or not at all; what killed processes left goes."""

import errno
import os
import subprocess
import sys

import pytest

from lulc.errors import StorageError
from lulc.io.files import atomic, lock
from lulc.io.files.atomic import append_line, link_or_copy, publish, staged, write_whole
from lulc.io.files.lock import take_lock
from tests.support.product_samples import names
from tests.support.unfinished import left_unfinished, unfinished_name

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
        left_unfinished(tmp_path / "a.md")
        write_whole(tmp_path / "a.md", b"whole")
        assert names(tmp_path) == ["a.md"]

    def test_what_others_write_stays(self, tmp_path):
        left_unfinished(tmp_path / "b.md")
        left_unfinished(tmp_path / "a.json")
        for name in ("a.md.part", f".a.{NOBODY}.partial.md", ".a.md.partial"):
            (tmp_path / name).write_bytes(b"dear")
        before = names(tmp_path)
        write_whole(tmp_path / "a.md", b"whole")
        assert names(tmp_path) == sorted([*before, "a.md"])

    def test_what_a_process_holds_stays(self, tmp_path):
        half = left_unfinished(tmp_path / "a.md")
        handle = take_lock(half / "lock")
        write_whole(tmp_path / "a.md", b"whole")
        assert (half / "a.md").read_bytes() == b"half"
        os.close(handle)
        write_whole(tmp_path / "a.md", b"whole")
        assert names(tmp_path) == ["a.md"]

    def test_an_empty_folder_of_a_process_killed_early_goes(self, tmp_path):
        (tmp_path / unfinished_name("a.md")).mkdir()
        write_whole(tmp_path / "a.md", b"whole")
        assert names(tmp_path) == ["a.md"]

    def test_the_unfinished_file_may_lie_in_another_folder(self, tmp_path):
        (tmp_path / "work").mkdir()
        left_unfinished(tmp_path / "work" / "a.md")
        write_whole(tmp_path / "a.md", b"whole", beside=tmp_path / "work")
        assert names(tmp_path) == ["a.md", "work"]
        assert names(tmp_path / "work") == []

    def test_the_longest_name_that_a_disk_takes(self, tmp_path):
        write_whole(tmp_path / ("ä" * 127), b"whole")
        assert names(tmp_path) == ["ä" * 127]


class TestLinks:
    @pytest.mark.parametrize(
        "name", [f".a.{NOBODY}.partial.md", f".a.{os.getpid()}.partial.md", "a.md.part"], ids=["nobody", "own", "part"]
    )
    @pytest.mark.parametrize("kind", ["link", "second name"])
    def test_a_file_with_another_name_is_not_emptied(self, tmp_path, name, kind):
        (tmp_path / "thesis").write_text("dear")
        link = tmp_path / name
        link.symlink_to(tmp_path / "thesis") if kind == "link" else link.hardlink_to(tmp_path / "thesis")
        write_whole(tmp_path / "a.md", b"whole")
        assert (tmp_path / "thesis").read_text() == "dear"

    @pytest.mark.parametrize("kind", ["link", "second name"])
    def test_nor_in_what_a_killed_process_left(self, tmp_path, kind):
        (tmp_path / "thesis").write_text("dear")
        link = left_unfinished(tmp_path / "a.md") / "a.md"
        link.unlink()
        link.symlink_to(tmp_path / "thesis") if kind == "link" else link.hardlink_to(tmp_path / "thesis")
        write_whole(tmp_path / "a.md", b"whole")
        assert (tmp_path / "thesis").read_text() == "dear"
        assert names(tmp_path) == ["a.md", "thesis"]

    def test_a_link_to_a_folder_is_not_followed(self, tmp_path):
        mine = tmp_path / "mine"
        mine.mkdir()
        for name in ("lock", "a.md"):
            (mine / name).touch()
        (tmp_path / unfinished_name("a.md")).symlink_to(mine)
        write_whole(tmp_path / "a.md", b"whole")
        assert names(mine) == ["a.md", "lock"]

    def test_a_line_is_not_added_to_what_a_link_leads_to(self, tmp_path):
        (tmp_path / "thesis").write_text("dear")
        (tmp_path / "notes").symlink_to(tmp_path / "thesis")
        with pytest.raises(StorageError, match="notes"):
            append_line(tmp_path / "notes", "line")
        assert (tmp_path / "thesis").read_text() == "dear"


_ONE_OF_TWO = """
import os, sys, time
from pathlib import Path
from lulc.io.files.atomic import staged
assert os.getpid() < 50, "not in a process namespace of its own"
with staged(Path(sys.argv[1]), overwrite=True) as path:
    path.write_text(sys.argv[2] * 1000)
    print("written", flush=True)
    sys.stdin.readline()
    assert path.read_text() == sys.argv[2] * 1000
"""


@pytest.mark.process
def test_two_containers_with_one_process_number_do_not_hurt_each_other(tmp_path):
    isolated = ["unshare", "-rpf", "--mount-proc", sys.executable, "-c", _ONE_OF_TWO, tmp_path / "out"]
    if subprocess.run(["unshare", "-rpf", "--mount-proc", "true"], check=False, capture_output=True).returncode:
        pytest.skip("namespaces are not allowed here")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*isolated, letter], **pipes) for letter in "ab"]
    assert [one.stdout.readline() for one in both] == ["written\n"] * 2
    for one, letter in zip(both, "ab", strict=True):
        one.communicate("\n", timeout=30)
        assert one.returncode == 0
        assert (tmp_path / "out").read_text() == letter * 1000
    assert names(tmp_path) == ["out"]


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


def test_where_a_disk_gives_no_locks_nothing_of_others_is_removed(tmp_path, monkeypatch):
    half = left_unfinished(tmp_path / "a.md")

    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", unknown)
    write_whole(tmp_path / "a.md", b"whole")
    assert (tmp_path / "a.md").read_bytes() == b"whole"
    assert names(tmp_path) == [half.name, "a.md"]
