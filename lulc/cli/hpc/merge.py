"""`lulc hpc merge`."""

from functools import partial
from pathlib import Path

import click

from lulc.cli.hpc.arguments import plan_argument
from lulc.cli.params.values import Ranges
from lulc.cli.terminal.console import Console, with_console


@click.command()
@plan_argument
@click.option(
    "--scene", "scenes", type=Ranges(), metavar="0,2-4", help="Only these scenes, by their number in PLAN, from 0."
)
@with_console()
def merge(plan: Path, scenes: tuple[int, ...] | None, console: Console) -> None:
    """Publish the map of each scene of PLAN whose shards are done; then their parts are removed.

    Each map equals that of lulc classify byte for byte. Scenes that lack shards are refused, each shard with its reason;
    the others are published all the same.
    """
    from lulc.hpc.plan import read_plan
    from lulc.hpc.shards import merge_scenes

    plan = plan.absolute()
    for output in merge_scenes(read_plan(plan), plan, scenes):
        console.show(partial(dict, output=str(output)), partial("{}: published".format, output))
