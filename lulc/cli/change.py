"""`lulc change`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.change.options import ChangeOptions, ChangeReportOptions


@click.command()
@click.argument("before", metavar="BEFORE", type=click.Path(path_type=Path))
@click.argument("after", metavar="AFTER", type=click.Path(path_type=Path))
@output_argument
@model_options(options=ChangeOptions, extra=ChangeReportOptions)
@with_console()
def change(
    before: Path,
    after: Path,
    output: Path,
    options: ChangeOptions,
    extra: ChangeReportOptions,
    console: Console,
) -> None:
    """Map what became what between two maps of one place, BEFORE and AFTER, into OUT.

    Both are maps of `lulc classify`, `lulc mosaic` or `lulc patches predict --grid` with activations and one legend. OUT has a class for every pair of
    classes, and the probability of change, the confidence, and the class before and after. Of two maps without activations, such as rasters of classes
    with --legend, labels alone are compared: OUT has no probabilities then.
    """
    from lulc.tasks.change.change import map_change

    with console.progress() as report:
        done = map_change(before, after, output, options, **dict(extra), progress=report)
    console.show(done.to_json, done.to_markdown)
