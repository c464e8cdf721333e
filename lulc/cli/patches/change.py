"""`lulc patches change`."""

import json
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import (
    bands_option,
    checked,
    creation_option,
    json_option,
    offset_option,
    overwrite_option,
    quantification_option,
    verbosity_options,
)
from lulc.cli.progress import progress
from lulc.errors import UsageError

_OF_MAPS = ("cell", "step", "to", "crosswalk", "mmu")


def _gone(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise UsageError(
            "--min-confidence is now --threshold, with another measure",
            "give --threshold P, the probability of change that lulc change uses",
        )


@click.command()
@click.argument("before", metavar="BEFORE", type=click.Path(path_type=Path))
@click.argument("after", metavar="AFTER", type=click.Path(path_type=Path))
@click.argument("output", metavar="[OUT.tif]", required=False, type=click.Path(path_type=Path))
@click.option("--model", metavar="NAME|PATH", help="A patch model. [default: eurosat-rgb]")
@click.option("--cell", type=click.IntRange(8, 2048), help="Side of a cell, pixels. [default: the model's patches]")
@click.option("--step", type=click.IntRange(1), help="Distance of cells, pixels. [default: --cell]")
@click.option(
    "--threshold", type=float, metavar="P", help="Probability of change from which a cell is changed. [default: 0.8]"
)
@click.option(
    "--change-rate",
    type=float,
    metavar="R",
    help="Share of the ground that is expected to change, 0.001 to 0.4: the prior. [default: 0.05]",
)
@click.option(
    "--mmu",
    type=float,
    metavar="HECTARES",
    help="Minimum mapping unit: smaller patches of change are none. At most 1024 cells. [default: 0]",
)
@click.option("--to", metavar="NAME|PATH", help="Compare in another legend: activations are summed.")
@click.option(
    "--crosswalk", metavar="PATH", help="How the classes of the model become those of --to. [default: the shipped one]"
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write report.json, report.md, matrix.csv and change.png there.",
)
@click.option("--min-confidence", hidden=True, expose_value=False, callback=_gone, help="Replaced by --threshold.")
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
@creation_option
@overwrite_option
@json_option
@verbosity_options
def change(
    before: Path,
    after: Path,
    output: Path | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **given: Any,  # noqa: ANN401 - fields of `PatchChangeOptions`
) -> None:
    """Map what became what between the cells of two scenes, BEFORE and AFTER, into OUT.tif; or compare two patches.

    Scenes lie on one grid, or overlap on grids of one CRS and pixel size. OUT.tif is a change map like that of
    `lulc change`, with a pixel per cell. Without OUT.tif both are single patches.
    """
    from lulc.patches.change import PatchChangeOptions, compare_patches, compare_scenes

    set_verbosity(verbose, quiet)
    options = checked(PatchChangeOptions, given)
    if output is None:
        unfit = ["--out"] * (out is not None) + [f"--{name}" for name in _OF_MAPS if given[name] is not None]
        if unfit:
            raise UsageError(f"{unfit[0]} belongs to a map", "leave it out, or give OUT.tif")
        patches = compare_patches(before, after, options)
        said, table = patches.to_text() + "\n", patches.to_json()
    else:
        with progress(bool(quiet)) as report:
            done = compare_scenes(before, after, output, options, folder=out, progress=report)
        said, table = done.to_markdown(), done.to_json()
    if as_json:
        click.echo(json.dumps(table))
    elif not quiet:
        click.echo(said, nl=False)
