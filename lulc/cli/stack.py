"""`lulc stack`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument, scene_arguments
from lulc.cli.terminal.console import Console, with_console
from lulc.cli.terminal.second_interrupt import ends_at_once
from lulc.tasks.stack.options import StackOptions


@click.command()
@scene_arguments
@output_argument
@model_options(options=StackOptions)
@with_console()
def stack(inputs: tuple[Path, ...], output: Path, options: StackOptions, console: Console) -> None:
    """Write bands and indices of a Sentinel-2 SCENE to OUT (.tif, .nc or .zarr) as float32 reflectance.

    Several inputs make one scene: one file per band, or a band mosaic and an index mosaic.
    """
    from lulc.tasks.stack.stack import stack as write_stack

    with ends_at_once(), console.progress() as report:
        result = write_stack(inputs, output, options, progress=report)
    console.show(result.to_json, result.to_text)
