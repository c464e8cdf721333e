"""`lulc hpc merge`."""

import json
from pathlib import Path

import click

from lulc.cli.hpc.arguments import Numbers, plan_argument
from lulc.cli.main import set_verbosity
from lulc.cli.options import json_option, verbosity_options


@click.command()
@plan_argument
@click.option(
    "--scene", "scenes", type=Numbers(), metavar="0,2-4", help="Only these scenes, by their number in PLAN, from 0."
)
@json_option
@verbosity_options
def merge(
    plan: Path,
    scenes: tuple[int, ...] | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
) -> None:
    """Publish the map of each scene of PLAN whose shards are done; then their parts are removed.

    Each map equals that of lulc classify byte for byte. Scenes that lack shards are refused, each shard with its reason;
    the others are published all the same.
    """
    from lulc.hpc.plan import read_plan
    from lulc.hpc.shards import merge_scenes

    set_verbosity(verbose, quiet)
    plan = plan.absolute()
    for output in merge_scenes(read_plan(plan), plan, scenes):
        if not quiet and not as_json:
            click.echo(f"{output}: published")
        elif as_json:
            click.echo(json.dumps({"output": str(output)}))
