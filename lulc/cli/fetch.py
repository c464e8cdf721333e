"""`lulc fetch`."""

import json
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import checked, json_option, overwrite_option, split_names, verbosity_options
from lulc.cli.progress import progress
from lulc.cli.second_interrupt import ends_at_once
from lulc.errors import LulcError, StorageError


@click.command()
@click.argument("catalog", metavar="CATALOG")
@click.argument("folder", metavar="OUTDIR", type=click.Path(path_type=Path))
@click.option(
    "--area",
    required=True,
    metavar="FILE|W,S,E,N",
    help="Polygons (.geojson, .gpkg, .shp, .fgb; any CRS), or west,south,east,north in degrees. Scenes are clipped to its bounds on their own grid.",
)
@click.option(
    "--dates", required=True, metavar="FROM/TO", help="Such as 2021-05-01/2021-09-30, 2021-06-03, or 2021-05-01/.."
)
@click.option(
    "--max-cloud", type=click.FloatRange(0, 100), metavar="N", help="Largest cloud cover of an item, percent."
)
@click.option(
    "--collection",
    multiple=True,
    metavar="NAME",
    help="Collection to look in; repeat for more. [default: sentinel-2-l2a of an API, all of a static catalogue]",
)
@click.option(
    "--bands",
    callback=split_names,
    metavar="B02,...,SCL",
    help="Bands to fetch. [default: B02-B08, B8A, B11, B12 and SCL, as far as there]",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Fetch N items at most, those with least cloud.")
@click.option(
    "--refresh", is_flag=True, help="Fetch anew what is there of another area, other bands or a changed item."
)
@click.option("--plan", is_flag=True, help="List items and sizes; write nothing.")
@overwrite_option
@json_option
@verbosity_options
def fetch(
    catalog: str,
    folder: Path,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - fields of FetchOptions
) -> None:
    """Fetch Sentinel-2 scenes of an area from CATALOG, a STAC API or a static catalogue, one GeoTIFF each, into OUTDIR.

    Digital numbers stay as they are. Files that are there already are kept; OUTDIR/items.csv lists them all.
    """
    from lulc.tasks.fetch.fetch import FetchOptions
    from lulc.tasks.fetch.fetch import fetch as fetch_items

    set_verbosity(verbose, quiet)
    chosen = checked(FetchOptions, options)

    def refused(error: LulcError) -> None:
        click.echo(f"lulc: {error}", err=True)

    with ends_at_once(), progress(bool(quiet)) as report:
        result = fetch_items(catalog, folder, chosen, progress=report, refused=refused)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo(result.to_text())
    if result.failures:
        click.get_current_context().exit(StorageError.exit_code)
