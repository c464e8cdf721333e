"""`lulc hpc render`."""

from pathlib import Path

import click

from lulc.cli.hpc.arguments import plan_argument, site_option
from lulc.cli.terminal.console import Console, with_console


@click.command()
@plan_argument
@site_option
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the scripts. [default: PLAN's .run folder]"
)
@with_console(as_json=False)
def render(plan: Path, site: str, out: Path | None, console: Console) -> None:
    """Write the job scripts of PLAN: an array job of shards, an array job of merges, and a script that submits both."""
    from lulc.hpc.plan import notes_folder, read_plan
    from lulc.hpc.site import load_site
    from lulc.hpc.slurm import write_scripts

    plan = plan.absolute()
    folder = write_scripts(read_plan(plan), plan, load_site(site), (out or notes_folder(plan)).absolute())
    console.say(lambda: f"{folder / 'submit.sh'} submits {folder / 'shards.sbatch'} and {folder / 'merge.sbatch'}")
