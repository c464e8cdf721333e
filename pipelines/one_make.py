"""One make at a time where a region is made: two would take each other's files for their own."""

import fcntl
import os
import socket
from pathlib import Path

from lulc.errors import ConfigError
from lulc.io.files.lock import refuse_link


def claim(folder: Path, make: int) -> None:
    """Write down that a process of make works here; nothing is locked, so one that was killed leaves no harm.

    Args:
        folder: OUT/recipes; the file is `make.pid` in it.
        make: Process number of make.

    Raises:
        ConfigError: Another one that works here is still running on this machine.
        StorageError: The file is a link.
    """
    path = folder / "make.pid"
    refuse_link(path)
    with path.open("a+", encoding="utf-8", errors="replace") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        host, number, started = (*file.read().split(), "", "", "")[:3]
        other = int(number) if number.isdigit() else 0
        if other and other != make and host == socket.gethostname() and _started(other) == started:
            raise ConfigError(f"another make (process {other}) is at work in {folder.parent}", "wait for its end")
        file.seek(0)
        file.truncate()
        file.write(f"{socket.gethostname()} {make} {_started(make)}\n")


def _started(process: int) -> str:
    """When a process was started, as far as the system says it, so that a number used again is not taken for it."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return "running" if not Path("/proc").is_dir() and _is_running(process) else "ended"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
