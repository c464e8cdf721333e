"""Versions of lulc beside each other: the files of a commit, and Python on one of the trees."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The tree of this version."""


def checkout(commit: str) -> Path:
    """The files of a commit, in a folder that is named after it."""
    asked = ["git", "rev-parse", "--short", commit]
    name = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    folder = ROOT / "bench" / "versions" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", name], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def process(tree: Path, command: list[str]) -> tuple[str, float, float, float]:
    """Run Python on a tree of sources: what it printed, CPU seconds, wall seconds, peak GB."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *command],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        text=True,
    )
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return text, usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1e6
