"""Locks: one holder, told by name; no file of somebody else is taken for one."""

import errno
import os

import pytest

from lulc.errors import StorageError
from lulc.io.files import lock
from lulc.io.files.lock import HeldError, NoLocksError, is_locked, take_lock


def test_one_holder_at_a_time_who_is_told(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)
    handle = take_lock(path)
    assert is_locked(path)
    with pytest.raises(HeldError, match=rf"in use by process {os.getpid()} on .* since 20.* UTC; wait"):
        take_lock(path)
    os.close(handle)
    assert not is_locked(path)
    os.close(take_lock(path))


def test_a_lock_that_its_holder_removed_is_made_anew(tmp_path, monkeypatch):
    path, flock = tmp_path / "lock", lock.fcntl.flock
    path.touch()

    def slow(handle, kind):
        flock(handle, kind)
        if not path.stat().st_size:
            path.unlink()
            path.write_bytes(b"lulc another")

    monkeypatch.setattr(lock.fcntl, "flock", slow)
    handle = take_lock(path)
    assert os.path.samestat(os.fstat(handle), path.stat())
    os.close(handle)


@pytest.mark.parametrize("kind", ["link", "second name", "text", "folder", "pipe"])
def test_what_lulc_did_not_make_is_refused_and_stays(tmp_path, kind):
    (tmp_path / "thesis").write_text("lulc is dear")
    path = tmp_path / "lock"
    {
        "link": lambda: path.symlink_to(tmp_path / "thesis"),
        "second name": lambda: path.hardlink_to(tmp_path / "thesis"),
        "text": lambda: path.write_text("dear"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    with pytest.raises(StorageError, match=r"lock is no lock file of lulc; move it"):
        take_lock(path)
    assert not is_locked(path)
    assert (tmp_path / "thesis").read_text() == "lulc is dear"
    assert kind != "text" or path.read_text() == "dear"


def test_a_disk_without_locks_is_named_with_the_remedy(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", unknown)
    with pytest.raises(NoLocksError, match="gives no locks: Function not implemented; mount it with flock"):
        take_lock(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")
