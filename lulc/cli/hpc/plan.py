"""`lulc hpc plan`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lulc.cli.params.options import model_options
from lulc.cli.terminal.console import Console, with_console
from lulc.hpc.options import PlanOptions
from lulc.tasks.classify.options import ClassifyOptions

if TYPE_CHECKING:
    from lulc.hpc.plan import ShardPlan


@click.command()
@click.argument("scenes", metavar="[SCENE]...", nargs=-1, type=click.Path(path_type=Path))
@click.argument("plan", metavar="PLAN", type=click.Path(path_type=Path))
@model_options(cut=PlanOptions, options=ClassifyOptions, without=("resume", "dates"))
@with_console()
def plan(scenes: tuple[Path, ...], plan: Path, *, cut: PlanOptions, options: ClassifyOptions, console: Console) -> None:
    """Cut each SCENE into shards and write PLAN, a JSON file that says everything: scenes, maps, options, shards.

    A shard is a range of a scene's chunks. What lulc would choose on each machine for itself (device, precision, threads,
    window) is chosen here, once for all: give --threads as many as a job has CPUs.
    """
    from lulc.hpc.plan import make_plan, write_plan
    from lulc.io.files.outputs import made_folder
    from lulc.tasks.classify.scene_list import listed_scenes

    groups = [(scene,) for scene in scenes] + (listed_scenes(cut.listed) if cut.listed else [])
    if not groups:
        raise click.UsageError("name a SCENE, or a file of scenes with --list")
    with made_folder(cut.out):
        made = make_plan(groups, cut.out, options, cut.shard_chunks)
        write_plan(made, plan, overwrite=options.overwrite)
    console.show(partial(_facts, made, plan), partial(_text, made, plan))


def _facts(made: "ShardPlan", path: Path) -> dict[str, Any]:
    shards = made.shards
    return {
        "plan": str(path),
        "scenes": len(made.scenes),
        "shards": len(shards),
        "chunks": sum(len(shard.chunks) for shard in shards),
        "largest_shard": max(len(shard.chunks) for shard in shards),
        "device": made.options.device,
        "precision": made.options.precision,
        "threads": made.options.threads,
    }


def _text(made: "ShardPlan", path: Path) -> str:
    facts = _facts(made, path)
    return (
        f"{path}: {facts['scenes']} scenes, {facts['shards']} shards of at most {facts['largest_shard']} chunks, "
        f"{facts['device']} {facts['precision']}, {facts['threads']} threads"
    )
