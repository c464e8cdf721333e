"""Faults of a disk, put before the C library of a process by a shim (`shim.c`)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("shim.c")


def failing_reads(folder: Path, of: str, *, after: int = 0, skip: int = 0, times: int | None = None) -> dict[str, str]:
    """Environment of a process whose reads of some files fail with EIO.

    Args:
        folder: Where to build the shim.
        of: Part of the paths of the files.
        after: Bytes at the beginning of a file that can be read.
        skip: How many reads past them go well first.
        times: How many reads fail; None is all of them.
    """
    if shutil.which("gcc") is None:
        pytest.skip("no compiler for the shim")
    limit = {} if times is None else {"FI_TIMES": str(times)}
    return shimmed(folder, FI_PATH=of, FI_AFTER=str(after), FI_SKIP=str(skip), **limit)


def shimmed(folder: Path, **settings: str) -> dict[str, str]:
    """Environment of a process with the shim, built in a folder, and settings that `shim.c` describes."""
    shim = folder / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", shim, _SOURCE, "-ldl"], check=True)
    return os.environ | {"LD_PRELOAD": str(shim)} | settings
