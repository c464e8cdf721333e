"""`lulc change`."""

import json
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import (
    checked,
    creation_option,
    json_option,
    output_argument,
    overwrite_option,
    verbosity_options,
)
from lulc.cli.progress import progress


@click.command()
@click.argument("before", metavar="BEFORE", type=click.Path(path_type=Path))
@click.argument("after", metavar="AFTER", type=click.Path(path_type=Path))
@output_argument
@click.option("--to", metavar="NAME|PATH", help="Compare in another legend: activations are summed.")
@click.option(
    "--crosswalk", metavar="PATH", help="How the classes of the maps become those of --to. [default: the shipped one]"
)
@click.option(
    "--threshold",
    type=float,
    default=0.5,
    show_default=True,
    metavar="P",
    help="Probability of change from which a pixel is changed.",
)
@click.option(
    "--change-rate",
    type=float,
    default=0.05,
    show_default=True,
    metavar="R",
    help="Share of the ground that is expected to change, 0.001 to 0.4: the prior.",
)
@click.option(
    "--mmu",
    type=float,
    default=0.5,
    show_default=True,
    metavar="HECTARES",
    help="Minimum mapping unit: smaller patches of change are none; 0 keeps them all. At most 1024 pixels: 10.24 at 10 m.",
)
@click.option(
    "--reference",
    metavar="POINTS",
    type=click.Path(path_type=Path),
    help="Labelled points that `lulc sample` drew from this very change map: also report adjusted areas.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write report.json, report.md, matrix.csv and change.png there.",
)
@click.option(
    "--resume/--no-resume", default=True, show_default=True, help="Continue an interrupted run of the same job."
)
@creation_option
@overwrite_option
@json_option
@verbosity_options
def change(
    before: Path,
    after: Path,
    output: Path,
    reference: Path | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **given: Any,  # noqa: ANN401 - fields of ChangeOptions
) -> None:
    """Map what became what between two maps of one place, BEFORE and AFTER, into OUT.

    Both are maps of `lulc classify`, `lulc mosaic` or `lulc patches predict --grid` with activations and one legend. OUT has a class for every pair of
    classes, and the probability of change, the confidence, and the class before and after.
    """
    from lulc.tasks.change.change import ChangeOptions, map_change

    set_verbosity(verbose, quiet)
    options = checked(ChangeOptions, given)
    with progress(bool(quiet)) as report:
        done = map_change(before, after, output, options, reference=reference, folder=out, progress=report)
    if as_json:
        click.echo(json.dumps(done.to_json()))
    elif not quiet:
        click.echo(done.to_markdown(), nl=False)
