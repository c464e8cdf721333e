"""`lulc polygons`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.polygons.options import PolygonsOptions


@click.command()
@click.argument("map_path", metavar="MAP", type=click.Path(path_type=Path))
@output_argument
@model_options(options=PolygonsOptions)
@with_console()
def polygons(map_path: Path, output: Path, options: PolygonsOptions, console: Console) -> None:
    """Write the patches of each class of a MAP as polygons.

    OUT is .gpkg or .parquet. Borders run along pixel edges, and neighbours share them: no gaps, no overlaps. Every polygon has
    code, name, area_ha (on the ground), pixels, confidence (mean activation of its class) and, where the map flags clouds, the share flagged.
    """
    from lulc.tasks.polygons.polygons import map_polygons

    with console.progress() as report:
        done = map_polygons(map_path, output, options, progress=report)
    console.show(done.to_json, done.to_text)
