"""`lulc report`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.describe.options import ReportOptions


@click.command()
@click.argument("map_path", metavar="MAP", type=click.Path(path_type=Path))
@click.argument("folder", metavar="OUT", type=click.Path(path_type=Path))
@model_options(options=ReportOptions)
@with_console()
def report(map_path: Path, folder: Path, options: ReportOptions, console: Console) -> None:
    """Write what a MAP holds to the folder OUT: areas as counted, confidence, provenance and a picture.

    MAP is a map of lulc, or any raster of classes with --legend. With --zones also the areas inside polygons.
    """
    from lulc.tasks.describe.map_report import report_map

    result = report_map(map_path, folder, options)
    zones = ", zones.csv, zones.png" if result.zones else ""
    files = f"{folder}/report.md, report.json, map.png{zones}; areas are as counted, which is no estimate of area"
    notes = result.zones.notes() if result.zones else []
    console.show(result.to_json, lambda: "\n".join([*result.table(), *result.flagged_lines(), *notes, files]))
