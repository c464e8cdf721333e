"""`lulc clean`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.clean.options import CleanOptions


@click.command()
@click.argument("map_", metavar="MAP", type=click.Path(path_type=Path))
@output_argument
@model_options(options=CleanOptions)
@with_console()
def clean(map_: Path, output: Path, options: CleanOptions, console: Console) -> None:
    """Clean a MAP into OUT: merge its classes, smooth it, remove patches below a minimum mapping unit, in this order.

    MAP is of `lulc classify`, `lulc mosaic` or `lulc patches predict --grid`. OUT has its bands. A minimum mapping unit changes classes alone: activations stay what the
    network said.
    """
    from lulc.tasks.clean.clean import clean as write_clean

    with console.progress() as report:
        done = write_clean(map_, output, options, progress=report)
    console.show(done.to_json, done.to_markdown)
