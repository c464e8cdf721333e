"""Faults of a disk, put before the C library of a process by a shim (`shim.c`)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("shim.c")


def failing_reads(folder: Path, of: str, *, after: int = 0, times: int | None = None) -> dict[str, str]:
    """Environment of a process whose reads of some files fail with EIO.

    Args:
        folder: Where to build the shim.
        of: Part of the paths of the files.
        after: Bytes at the beginning of a file that can be read.
        times: How many reads fail; None is all of them.
    """
    if shutil.which("gcc") is None:
        pytest.skip("no compiler for the shim")
    shim = folder / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", shim, _SOURCE, "-ldl"], check=True)
    limit = {} if times is None else {"FI_TIMES": str(times)}
    return os.environ | {"LD_PRELOAD": str(shim), "FI_PATH": of, "FI_AFTER": str(after)} | limit
