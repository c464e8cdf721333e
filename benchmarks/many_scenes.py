"""What a list of small scenes costs in one process, beside a command for each; prints Markdown.

python benchmarks/many_scenes.py [--scenes 20] [--side 256] [--rounds 3]

CPU seconds of the processes, start-up included, in turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from scenes import write_scene

BENCH = Path(__file__).parents[1] / "bench" / "many"


def cpu_of(*arguments: str) -> float:
    """CPU seconds of one run of `lulc classify`."""
    process = subprocess.Popen([sys.executable, "-m", "lulc", "classify", *arguments, "--overwrite", "-q"])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"classify failed with {status}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Write the scenes and measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("scenes", 20), ("side", 256), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    BENCH.mkdir(parents=True, exist_ok=True)
    scenes = [write_scene(BENCH / f"scene_{number}.tif", given.side, given.side) for number in range(given.scenes)]
    listed = BENCH / "scenes.txt"
    listed.write_text("".join(f"{scene}\n" for scene in scenes))
    one, each = [], []
    for _ in range(given.rounds):
        one.append(cpu_of("--list", str(listed), "--out", str(BENCH / "maps")))
        each.append(sum(cpu_of(str(scene), str(BENCH / "alone.tif")) for scene in scenes))
    ratio = statistics.median(first / second for first, second in zip(one, each, strict=True))
    print(f"\n{given.scenes} scenes of {given.side} x {given.side} px, load {os.getloadavg()[0]:.1f}\n")
    print("| one process, CPU s | a process each, CPU s | ratio |\n|---|---|---|")
    print(f"| {statistics.median(one):.1f} | {statistics.median(each):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
