"""`lulc report`."""

from pathlib import Path

import click

from lulc.cli.console import Console, with_console


@click.command()
@click.argument("map_path", metavar="MAP", type=click.Path(path_type=Path))
@click.argument("folder", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--title", metavar="TEXT", help="Heading of the report; the map's file name unless given.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@with_console()
def report(map_path: Path, folder: Path, *, title: str | None, overwrite: bool, console: Console) -> None:
    """Write what a MAP holds to the folder OUT: areas as counted, confidence, provenance and a picture."""
    from lulc.tasks.describe.map_report import report_map

    result = report_map(map_path, folder, title=title, overwrite=overwrite)
    files = f"{folder}/report.md, report.json, map.png; areas are as counted, which is no estimate of area"
    console.show(result.to_json, lambda: "\n".join([*result.table(), *result.clouds_lines(), files]))
