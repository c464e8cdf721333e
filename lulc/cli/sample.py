"""`lulc sample`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.accuracy.options import SampleOptions


@click.command()
@click.argument("map_path", metavar="MAP", type=click.Path(path_type=Path))
@output_argument
@model_options(options=SampleOptions)
@with_console()
def sample(map_path: Path, output: Path, options: SampleOptions, console: Console) -> None:
    """Draw points of a MAP to be labelled by eye or in the field: a random sample inside each class.

    OUT is .gpkg, .geojson or .csv. Fill in its column `reference`, then `lulc evaluate MAP OUT` estimates accuracy and
    areas. Label without looking at the column `map_class`.
    """
    from lulc.tasks.accuracy.sample import sample_map

    with console.progress() as report:
        result = sample_map(map_path, output, options, progress=report)
    console.show(result.to_json, result.to_text)
