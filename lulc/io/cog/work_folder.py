"""The work folder of an output as a folder: made, locked, kept free of what is not lulc's, and removed.

`lulc.io.cog.store` says what lies in it.
"""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from lulc.errors import StorageError
from lulc.io.files.atomic import UNFINISHED_NAME, remove_orphan, sync_folder
from lulc.io.files.lock import HeldError, refuse_link, take_lock
from lulc.io.files.storage import storage_errors

_OWN_NAMES = re.compile(rf"lock|job\.json|overviews\.tiles|product\.tif|chunk-\d{{6,}}\.tiles|{UNFINISHED_NAME}")


class FolderInUseError(StorageError):
    """Another process holds the lock of a work folder."""


def work_folder(output: Path) -> Path:
    """Work folder of an output: `out.tif.lulc`."""
    return output.with_name(f"{output.name}.lulc")


def discard_folder(folder: Path) -> None:
    """Remove lulc's own files in a work folder that no process holds, and the folder once it is empty.

    Raises:
        StorageError: A process holds the folder, or it holds foreign files.
    """
    lock = take_folder(folder)
    remove_own(folder)
    os.close(lock)


def remove_own(folder: Path) -> None:
    """Remove lulc's own files in a folder whose lock is held, the lock last, and the folder once it is empty."""
    with suppress(FileNotFoundError):
        for path in sorted(folder.iterdir(), key=lambda path: (path.name != "job.json", path.name == "lock")):
            if _OWN_NAMES.fullmatch(path.name):
                remove_file(path)
    with suppress(OSError):
        folder.rmdir()


def remove_file(path: Path) -> None:
    """Remove one of lulc's own files, or what a killed process left unfinished."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            remove_orphan(path)
        else:
            path.unlink()


def take_folder(folder: Path) -> int:
    """Create the folder and lock it; the returned file descriptor holds the lock until it is closed.

    Raises:
        FolderInUseError: Another process holds it.
        StorageError: It is a link, holds foreign files, or cannot be made or locked.
    """
    with storage_errors(folder):
        while True:
            refuse_link(folder)
            folder.mkdir(exist_ok=True)
            _refuse_foreign(folder)
            with suppress(FileNotFoundError):  # removed by the process that just finished: make it again
                handle = _locked(folder)
                sync_folder(folder.parent)
                return handle


def _locked(folder: Path) -> int:
    try:
        return take_lock(folder / "lock")
    except HeldError as error:
        output = folder.with_name(folder.name.removesuffix(".lulc"))
        raise FolderInUseError(f"another process is writing {output} ({error.holder})", "wait for it to end") from error


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder with names that lulc gives no file, and with links or devices under names that it does."""
    foreign = sorted(path.name for path in folder.iterdir() if not _is_own(path))
    if foreign:
        raise StorageError(
            f"{folder} holds files that lulc did not write ({foreign[0]})", "move them or choose another output"
        )


def _is_own(path: Path) -> bool:
    """True for a file of a work folder, and for a folder with what a process did not finish."""
    if not _OWN_NAMES.fullmatch(path.name):
        return False
    with suppress(FileNotFoundError):  # its holder has just removed it
        kind = path.lstat().st_mode
        return stat.S_ISDIR(kind) if path.name.endswith(".partial") else stat.S_ISREG(kind)
    return True
