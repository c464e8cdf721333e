"""`lulc report`."""

import json
from pathlib import Path

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import json_option, overwrite_option, verbosity_options


@click.command()
@click.argument("map_path", metavar="MAP", type=click.Path(path_type=Path))
@click.argument("folder", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--title", metavar="TEXT", help="Heading of the report; the map's file name unless given.")
@overwrite_option
@json_option
@verbosity_options
def report(
    map_path: Path,
    folder: Path,
    title: str | None,
    overwrite: bool,  # noqa: FBT001 - click passes flags by name
    as_json: bool,  # noqa: FBT001
    verbose: int,
    quiet: int,
) -> None:
    """Write what a MAP holds to the folder OUT: areas as counted, confidence, provenance and a picture."""
    from lulc.tasks.describe.map_report import report_map

    set_verbosity(verbose, quiet)
    result = report_map(map_path, folder, title=title, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo("\n".join(result.table()))
        click.echo(f"{folder}/report.md, report.json, map.png; areas are as counted, which is no estimate of area")
