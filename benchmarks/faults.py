"""What faults do to `lulc`, and how often it held; prints Markdown. Linux; `power` and `readonly` need root.

python benchmarks/faults.py [--only power reads kills ...] [--trials 10] [--side 640] [--scene scene.tif] [--seed 1]

    power      snapshots of an ext4 image while commands write to it: the output is whole or absent, the same command ends
    reads      EIO from one read of an input on, for ever or twice: a line that names file, band and rows, or equal output
    kills      SIGKILL at random moments of `change` and `prepare`, then the same command again
    readonly   a folder without permission, and a disk mounted read-only: refused in a line, before the work
    cores      one core: equal bytes for equal --threads
    clocks     a monotonic clock ten days on, a wall clock that jumps by a day: no timeout fires, equal bytes
    uploads    slow bodies, slow heads and cut bodies to `lulc serve`: the page answers others, nothing is left

Each experiment makes its inputs from a synthetic scene, or from a given one with bands B02, B03, B04 and B08.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fault_disks
import fault_kills
import fault_machine
import fault_reads
import fault_uploads
from fault_inputs import Inputs, Row

EXPERIMENTS: dict[str, Callable[[Inputs, int, random.Random], Iterator[Row]]] = {
    "power": fault_disks.power_cuts,
    "reads": fault_reads.read_errors,
    "kills": fault_kills.kills,
    "readonly": fault_disks.read_only,
    "cores": fault_machine.one_core,
    "clocks": fault_machine.clocks,
    "uploads": fault_uploads.slow_uploads,
}


def main() -> None:
    """Make inputs, run the experiments, print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*EXPERIMENTS], default=[*EXPERIMENTS])
    parser.add_argument("--trials", type=int, default=10, help="of each case")
    parser.add_argument("--side", type=int, default=640, help="of the scenes, pixels")
    parser.add_argument("--scene", type=Path, help="cut the scenes from this one")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        inputs = Inputs(Path(place), options.scene and options.scene.resolve(), options.side)
        print("| experiment | case | tried | held | seen |\n|---|---|---|---|---|", flush=True)
        failed = 0
        for name in options.only:
            for row in EXPERIMENTS[name](inputs, options.trials, random.Random(options.seed)):  # noqa: S311
                print(row.line(), flush=True)
                failed += row.tried - row.held
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
