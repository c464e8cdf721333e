"""`lulc hpc submit`."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lulc.cli.hpc.arguments import plan_argument, site_option
from lulc.cli.params.values import Ranges
from lulc.cli.terminal.console import Console, with_console

if TYPE_CHECKING:
    from lulc.hpc.slurm import Submission


@click.command()
@plan_argument
@site_option
@click.option("--failed", is_flag=True, help="Only shards that were submitted before and are neither done nor queued.")
@click.option("--shards", type=Ranges(), metavar="3,7,10-12", help="Only these shards.")
@with_console()
def submit(plan: Path, *, site: str, failed: bool, shards: tuple[int, ...] | None, console: Console) -> None:
    """Submit the shards of PLAN that are neither done nor in the queue, and the merges of their scenes after them."""
    from lulc.hpc.plan import read_plan
    from lulc.hpc.site import load_site
    from lulc.hpc.slurm import submit as submit_to_slurm

    plan = plan.absolute()
    done = submit_to_slurm(read_plan(plan), plan, load_site(site), only=shards, failed=failed)
    console.show(partial(asdict, done), partial(_text, done, plan))


def _text(done: "Submission", plan: Path) -> str:
    from lulc.hpc.render import ranges

    if not done.scenes:
        return f"nothing is left to submit; lulc hpc status {plan} says what each shard has come to"
    shards = f"shards {ranges(done.shards)}: jobs {', '.join(done.jobs)}\n" if done.shards else ""
    return f"{shards}merges of scenes {ranges(done.scenes)}: jobs {', '.join(done.merges)}"
