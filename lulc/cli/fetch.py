"""`lulc fetch`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options
from lulc.cli.terminal.console import Console, with_console
from lulc.cli.terminal.second_interrupt import ends_at_once
from lulc.errors import StorageError
from lulc.tasks.fetch.options import FetchOptions


@click.command()
@click.argument("catalog", metavar="CATALOG")
@click.argument("folder", metavar="OUTDIR", type=click.Path(path_type=Path))
@model_options(options=FetchOptions)
@with_console()
def fetch(catalog: str, folder: Path, options: FetchOptions, console: Console) -> None:
    """Fetch Sentinel-2 scenes of an area from CATALOG, a STAC API or a static catalogue, one GeoTIFF each, into OUTDIR.

    Digital numbers stay as they are. Files that are there already are kept; OUTDIR/items.csv lists them all.
    """
    from lulc.tasks.fetch.fetch import fetch as fetch_items

    with ends_at_once(), console.progress() as report:
        result = fetch_items(catalog, folder, options, progress=report, refused=console.refused)
    console.show(result.to_json, result.to_text)
    if result.failures:
        click.get_current_context().exit(StorageError.exit_code)
