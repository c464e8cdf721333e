"""`lulc hpc`: shards of classifications on a cluster."""

import click

from lulc.cli.lazy import LazyGroup

_COMMANDS = {
    "plan": "Cut scenes into shards; leaves a plan.",
    "run": "Run one shard of a plan: what a job does.",
    "render": "Write the job scripts of a plan.",
    "submit": "Submit what is not done to Slurm.",
    "status": "Say what each shard has come to.",
    "merge": "Publish maps whose shards are done.",
}


@click.group(cls=LazyGroup, listed=_COMMANDS, package="lulc.cli.hpc")
def hpc() -> None:
    """Cut classifications into shards, run them as Slurm jobs, merge them."""
