"""`lulc patches change`."""

from pathlib import Path

import click

from lulc.cli.params.options import given_options, model_options
from lulc.cli.terminal.console import Console, with_console
from lulc.errors import UsageError
from lulc.patches.options import PatchChangeOptions

_OF_MAPS = {"out", "cell", "step", "to", "crosswalk", "mmu"}


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
@click.option("--min-confidence", hidden=True, expose_value=False, callback=_gone, help="Replaced by --threshold.")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write report.json, report.md, matrix.csv and change.png there.",
)
@model_options(without={"resume", "legend", "nodata", "labels"}, options=PatchChangeOptions)
@with_console()
def change(
    before: Path, after: Path, output: Path | None, out: Path | None, options: PatchChangeOptions, console: Console
) -> None:
    """Map what became what between the cells of two scenes, BEFORE and AFTER, into OUT.tif; or compare two patches.

    Scenes lie on one grid, or overlap on grids of one CRS and pixel size. OUT.tif is a change map like that of
    `lulc change`, with a pixel per cell. Without OUT.tif both are single patches.
    """
    from lulc.patches.change import compare_patches, compare_scenes

    if output is None:
        _refuse_map_options()
        patches = compare_patches(before, after, options)
        console.show(patches.to_json, patches.to_text)
        return
    with console.progress() as report:
        done = compare_scenes(before, after, output, options, folder=out, progress=report)
    console.show(done.to_json, done.to_markdown)


def _refuse_map_options() -> None:
    """An option that would do nothing was meant to do something."""
    unfit = given_options(_OF_MAPS)
    if unfit:
        raise UsageError(f"{unfit[0]} belongs to a map", "leave it out, or give OUT.tif")
