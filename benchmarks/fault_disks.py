"""Power cuts, by snapshots of an ext4 image that a command writes to; and folders that cannot be written."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fault_inputs import Inputs, Row, command, content, lulc, names, unbroken, words_for

_POWER = ("classify", "mosaic", "stack .nc", "stack .zarr", "stack .tif")
_IMAGE_MB = 96
_LEAST_CAPABLE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""Root without its power over permissions; it may still read its own files."""


def power_cuts(inputs: Inputs, trials: int, chance: random.Random) -> Iterator[Row]:
    """A row for each command: snapshots at moments when something had just reached the image."""
    for name in _POWER:
        words, output = inputs.writers()[name]
        base = inputs.folder / f"power-{name.replace(' ', '')}"
        expected, left, _ = unbroken(words, output, base)
        row = Row("power", name)
        while row.tried < trials:  # a run of few writes has few states to be cut in
            for snapshot in _snapshots(base, words_for(words, output), trials - row.tried, chance):
                held, seen = _after(snapshot, base / "disk", words_for(words, output), output, (expected, left))
                row.count(held=held, seen=seen)
                snapshot.unlink()
        yield row


def _snapshots(base: Path, words: list[str], trials: int, chance: random.Random) -> list[Path]:
    """Copies of the image while a command runs, so many of all that were found different, by chance."""
    image, disk = base / "image", base / "disk"
    disk.mkdir(exist_ok=True)
    image.unlink(missing_ok=True)
    subprocess.run(["truncate", "-s", f"{_IMAGE_MB}M", image], check=True)
    subprocess.run(["mkfs.ext4", "-qF", image], check=True)
    kept: list[Path] = []
    with _mounted(image, disk) as device:
        os.sync()
        process = subprocess.Popen(command(words), cwd=disk, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seen, last = 0, _written(device)
        while process.poll() is None:
            if _written(device) == last:
                time.sleep(0.002)
                continue
            process.send_signal(signal.SIGSTOP)
            last, seen = _copied(image, base / f"snapshot{seen}", device), seen + 1
            process.send_signal(signal.SIGCONT)
            _keep(kept, base / f"snapshot{seen - 1}", seen, trials, chance)
    return kept


def _keep(kept: list[Path], new: Path, seen: int, most: int, chance: random.Random) -> None:
    """Reservoir sampling: every snapshot is kept with the same chance."""
    place = chance.randrange(seen)
    if len(kept) < most:
        kept.append(new)
    elif place < most:
        kept[place].unlink()
        kept[place] = new
    else:
        new.unlink()


def _copied(image: Path, target: Path, device: str) -> int:
    """Copy the image between two writes of the loop device: a cut leaves what was written, in its order."""
    while True:
        before = _written(device)
        subprocess.run(["cp", "--sparse=always", image, target], check=True)
        if _written(device) == before:
            return before


def _after(
    snapshot: Path, disk: Path, words: list[str], output: str, unbroken_run: tuple[str, list[str]]
) -> tuple[bool, str]:
    """Whether an output is whole or absent, and what the cut left hinders nobody: the same command ends with nothing else."""
    expected, left = unbroken_run
    with _mounted(snapshot, disk):
        there = names(disk)
        present = (disk / output).exists()
        if present and (content(disk / output) != expected or there == left):
            return there == left, "whole" if there == left else f"broken: {there}"
        ended = lulc([*words, *(["--overwrite"] if present else [])], disk)
        equal = ended.code == 0 and content(disk / output) == expected and names(disk) == left
        state = "whole, something beside it" if present else f"absent, {'something' if there else 'nothing'} left"
        return equal, f"{state}, then equal" if equal else f"{there} -> {ended.code}, {names(disk)}"


@contextmanager
def _mounted(image: Path, disk: Path) -> Iterator[str]:
    """Name of the loop device; the journal is committed each second."""
    subprocess.run(["mount", "-o", "loop,commit=1", image, disk], check=True)
    source = subprocess.run(["findmnt", "-no", "SOURCE", disk], check=True, capture_output=True, text=True)
    try:
        yield source.stdout.strip().rpartition("/")[2]
    finally:
        subprocess.run(["umount", disk], check=True)


def _written(device: str) -> int:
    """Writes that the loop device has ended."""
    return int(Path(f"/sys/block/{device}/stat").read_text().split()[4])


def read_only(inputs: Inputs, _trials: int, _chance: random.Random) -> Iterator[Row]:
    """A row for each kind of folder: all commands that write are refused in a line, sooner than they would work."""
    inputs.points_of()
    for case, prefix in (("folder without permission", _LEAST_CAPABLE), ("disk mounted read-only", [])):
        row = Row("readonly", case)
        folder = inputs.folder / f"readonly-{case.split()[0]}"
        folder.mkdir()
        with _unwritable(folder, mounted=not prefix):
            for name, (words, output) in inputs.all_writers().items():
                ended = lulc(words_for(words, str(folder / output)), inputs.folder, prefix=prefix)
                held = ended.code == 5 and ended.in_one_line and not names(folder)
                row.count(held=held, seen="" if held else f"{name}: exit {ended.code} {' / '.join(ended.lines)[-300:]}")
                row.longest(ended.seconds, name)
        shutil.rmtree(folder, ignore_errors=True)
        yield row


@contextmanager
def _unwritable(folder: Path, *, mounted: bool) -> Iterator[None]:
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], check=True)
    else:
        folder.chmod(0o555)
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)
        else:
            folder.chmod(0o755)
