"""`lulc prepare`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument, scene_arguments
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.dataset.options import PrepareOptions


@click.command()
@scene_arguments
@output_argument
@click.option(
    "--labels",
    required=True,
    multiple=True,
    metavar="RASTER|VECTOR|DIR",
    type=click.Path(path_type=Path),
    help="Label raster on any grid, polygons (.gpkg, .geojson, .shp), or folder of masks when SCENE is a folder of chips (.tif, .img, .nc, .npy, .jpg, .png); once for all scenes, or once for each.",
)
@model_options(options=PrepareOptions)
@with_console()
def prepare(
    inputs: tuple[Path, ...], output: Path, labels: tuple[Path, ...], options: PrepareOptions, console: Console
) -> None:
    """Cut SCENE... and their labels into chips, split them by place, and write the training set OUT.

    Each SCENE is a scene of its own. The report in OUT says what each split holds, and what was left out and why.
    """
    from lulc.tasks.dataset.prepare import prepare as write_set

    with console.progress() as report:
        result = write_set(inputs, labels, output, options, progress=report)
    console.show(result.to_json, result.to_text)
