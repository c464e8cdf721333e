"""`lulc patches change`."""

import json
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import (
    bands_option,
    checked,
    json_option,
    offset_option,
    overwrite_option,
    quantification_option,
    verbosity_options,
)
from lulc.cli.progress import progress


@click.command()
@click.argument("before", metavar="BEFORE", type=click.Path(path_type=Path))
@click.argument("after", metavar="AFTER", type=click.Path(path_type=Path))
@click.argument("output", metavar="[OUT.tif]", required=False, type=click.Path(path_type=Path))
@click.option("--model", metavar="NAME|PATH", help="A patch model. [default: eurosat-rgb]")
@click.option("--cell", type=click.IntRange(8, 2048), help="Side of a cell, pixels. [default: the model's patches]")
@click.option("--step", type=click.IntRange(1), help="Distance of cells, pixels. [default: --cell]")
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="How probable it must be that the classes differ, for a cell to count as changed. [default: 0.8]",
)
@bands_option
@offset_option
@quantification_option
@click.option(
    "--turns", is_flag=True, help="Average over the eight turns and mirror images: surer, eight times the work."
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where the network runs.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Of the network.",
)
@overwrite_option
@json_option
@verbosity_options
def change(
    before: Path,
    after: Path,
    output: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - of `ChangeOptions`
) -> None:
    """Compare the classes of two dates of one place: two patches, or every cell of two scenes.

    Scenes lie on one grid, or overlap on grids of one CRS and pixel size; OUT.tif then has a pixel per cell: class and
    confidence of both dates, the probability that the classes differ, and whether the cell counts as changed.
    """
    from lulc.patches.change.change import ChangeOptions, compare_dates

    set_verbosity(verbose, quiet)
    with progress(bool(quiet)) as report:
        result = compare_dates(before, after, output, checked(ChangeOptions, options), progress=report)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo(result.to_text())
