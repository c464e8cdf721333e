"""Locks that one process at a time holds, on this machine or another: flock decides, the file's text tells people who.

A process number says nothing in another container or on another machine. The kernel releases a flock when its process
ends, however it ends; NFS and Lustre (mounted with `flock`) carry it between machines.
"""

import errno
import fcntl
import os
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path

from lulc.errors import StorageError

_MARK = b"lulc "
_MOST_TEXT = 256
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF}
"""What disks without flock answer; EBADF for what NFS cannot lock."""


class HeldError(StorageError):
    """Another process holds a lock.

    Args:
        holder: Who, in words.
    """

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(f"it is in use by {holder}", "wait for it to end")


class NoLocksError(StorageError):
    """The disk gives no locks."""


def take_lock(path: Path) -> int:
    """Lock a file, made when it is not there; the returned file descriptor holds the lock until it is closed.

    Raises:
        FileNotFoundError: Its folder is not there, or went while the lock was taken.
        HeldError: Another process holds it.
        NoLocksError: The disk gives no locks.
        StorageError: It is a link, or a file that lulc did not write.
        OSError: It cannot be opened.
    """
    while True:
        handle = _opened(path, os.O_CREAT)
        try:
            _flock(handle, path)
            if os.path.samestat(os.fstat(handle), path.lstat()):  # else its last holder has removed it
                _sign(handle)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def is_locked(path: Path) -> bool:
    """True when a process holds a lock; a file that is not there is held by nobody."""
    try:
        handle = _opened(path)
    except (OSError, StorageError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def refuse_link(folder: Path) -> None:
    """Refuse a work folder that is a link: what lies where it leads is not lulc's.

    Raises:
        StorageError: It is one.
    """
    if folder.is_symlink():
        raise StorageError(f"{folder} is a link", "remove the link, or choose another output")


def _opened(path: Path, flags: int = 0) -> int:
    """A lock file, opened. It is empty or signed by lulc; a link or a file of somebody else is refused."""
    refusal = StorageError(f"{path} is no lock file of lulc", "move it away, or choose another output")
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, 0o644)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise refusal from error
        raise
    status = os.fstat(handle)
    regular = stat.S_ISREG(status.st_mode) and status.st_nlink <= 1
    if regular and os.pread(handle, len(_MARK), 0) in {b"", _MARK}:
        return handle
    os.close(handle)
    raise refusal


def _flock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        text = os.pread(handle, _MOST_TEXT, 0).removeprefix(_MARK).decode(errors="replace").strip()
        raise HeldError(text or "another process") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        remedy = "mount it with flock, or write to another disk"
        raise NoLocksError(f"the disk of {path.parent} gives no locks: {error.strerror}", remedy) from error


def _sign(handle: int) -> None:
    """Write who holds the lock; a full disk is no reason to refuse."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    text = f"process {os.getpid()} on {socket.gethostname()} since {since}\n"
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, _MARK + text.encode(errors="replace"), 0)
