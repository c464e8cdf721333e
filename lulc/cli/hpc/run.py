"""`lulc hpc run`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lulc.cli.hpc.arguments import plan_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.run import running

if TYPE_CHECKING:
    from lulc.hpc.shard import ShardReport


@click.command()
@plan_argument
@click.argument("shard", metavar="SHARD", type=int)
@with_console()
def run(plan: Path, shard: int, console: Console) -> None:
    """Run shard number SHARD of PLAN: what a job does.

    Finished chunks are kept beside the map, in OUT.parts/; stopped or killed, the same command goes on from them. A
    failure leaves its reason in one line for lulc hpc status.
    """
    with running() as early:  # a job may be told to stop while torch is still being loaded
        from lulc.hpc.plan import read_plan
        from lulc.hpc.shards import run_planned

        early.check()
    with console.progress() as report:
        done = run_planned(read_plan(plan), plan, shard, progress=report)
    console.show(lambda: done.to_json() if done else None, partial(_text, shard, done))


def _text(shard: int, done: "ShardReport | None") -> str:
    if done is None:
        return f"shard {shard}: its scene has been merged already"
    resumed = f", {done.resumed} of them by an earlier run" if done.resumed else ""
    return f"shard {shard}: {done.chunks} chunks done{resumed}; {done.megapixels:.2f} Mpx in {done.seconds:.1f} s"
