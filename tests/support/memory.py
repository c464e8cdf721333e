"""Peak memory of a script in a process of its own."""

import os
import subprocess
import sys

_PEAK = 'print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))'
"""ru_maxrss would tell the size of the process that started this one."""

_ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
"""How many arenas glibc opens, and how full each gets, depends on how busy the machine is; their sum is not what is tested."""


def peak_bytes(script: str, *arguments: object) -> int:
    """Run a Python script to its end: the most memory that it held."""
    command = [sys.executable, "-c", f"{script}\n{_PEAK}", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | _ONE_ARENA)
    return int(done.stdout.split()[-1]) * 1024
