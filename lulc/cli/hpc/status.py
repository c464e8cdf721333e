"""`lulc hpc status`."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lulc.cli.hpc.arguments import plan_argument
from lulc.cli.terminal.console import Console, with_console

if TYPE_CHECKING:
    from lulc.hpc.merges import MergeStatus
    from lulc.hpc.shards import ShardStatus


@click.command()
@plan_argument
@with_console()
def status(plan: Path, console: Console) -> None:
    """Say what each shard and each merge of PLAN has come to: chunks done, and why it failed."""
    from lulc.hpc.merges import merge_statuses
    from lulc.hpc.plan import read_plan
    from lulc.hpc.shards import shard_statuses
    from lulc.hpc.slurm import merge_logs, queue

    plan = plan.absolute()
    read = read_plan(plan)
    statuses = shard_statuses(read, plan, read.shards, queue(plan))
    merges = merge_statuses(read, plan, statuses, queue(plan, "merges"), merge_logs(plan))
    counts = Counter(status.state for status in statuses)
    if console.as_json:
        shards, scenes = ([status.to_json() for status in found] for found in (statuses, merges))
        click.echo(json.dumps({"counts": counts, "shards": shards, "merges": scenes}))
        return
    for entry in statuses:
        if console.verbose or not entry.finished:
            click.echo(_line(entry))
    click.echo(f"{len(statuses)} shards: {', '.join(f'{count} {state}' for state, count in counts.most_common())}")
    for merge in merges:
        if merge.state != "waiting":
            click.echo(_merge_line(merge))
    if merges and not console.quiet:
        click.echo(f"{len(merges)} scenes are complete and not merged yet; lulc hpc merge {plan} publishes them")


def _merge_line(entry: "MergeStatus") -> str:
    reason = f"  {entry.reason}" if entry.reason else ""
    log = f"; its log is {entry.log}" if entry.log and entry.state == "failed" else ""
    return f"merge {entry.scene:<5} {entry.state:<11} {Path(entry.output).name}{reason}{log}"


def _line(entry: "ShardStatus") -> str:
    reason = f"  {entry.reason}" if entry.reason else ""
    return f"shard {entry.shard:<5} {entry.state:<11} {entry.done:>4} of {entry.chunks} chunks  {Path(entry.output).name}{reason}"
