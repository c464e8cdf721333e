"""A disk that is full for some files alone."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def full_disk(pattern):
    """Flushing fails, as on a full disk, for files whose name matches the pattern; outputs begin in `.NAME.*.partial/`."""
    fsync = os.fsync

    def full(handle):
        if Path(f"/proc/self/fd/{handle}").readlink().match(pattern):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield
