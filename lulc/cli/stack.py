"""`lulc stack`."""

import json
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import (
    AutoOr,
    ScenePath,
    bands_option,
    checked,
    json_option,
    offset_option,
    output_argument,
    overwrite_option,
    quantification_option,
    scene_arguments,
    split_names,
    verbosity_options,
)
from lulc.cli.progress import progress
from lulc.cli.second_interrupt import ends_at_once


@click.command()
@scene_arguments
@output_argument
@click.option(
    "--preset",
    metavar="NAME|PATH",
    help="Bands and indices by name: stack14, bands9, or a TOML file. Excludes --select and --indices.",
)
@click.option(
    "--select", callback=split_names, metavar="B02,B03,...", help="Bands to write. [default: all of the scene]"
)
@click.option(
    "--indices",
    callback=split_names,
    metavar="NDVI,...",
    help="Spectral indices to write. [default: those in the scene]",
)
@bands_option
@offset_option
@quantification_option
@click.option(
    "--fill",
    multiple=True,
    metavar="OTHER",
    type=ScenePath(path_type=Path),
    help="Take missing pixels from this scene, on any grid; repeat for more. Adds the channel `source`: 0 none, 1 SCENE, 2 the first OTHER, ...",
)
@click.option(
    "--fill-offset", type=AutoOr(click.FLOAT), default="auto", show_default=True, help="As --offset, for every OTHER."
)
@click.option(
    "--fill-quantification",
    type=AutoOr(click.FloatRange(min=0, min_open=True)),
    default="auto",
    show_default=True,
    help="As --quantification, for every OTHER.",
)
@click.option(
    "--composite",
    type=click.Choice(["first", "best", "median", "max-ndvi"]),
    default="first",
    show_default=True,
    help="How SCENE and every OTHER become one: the first that has the pixel, the order being as given, or (best) by share of clear pixels; the median of all dates; all bands from the date of the largest NDVI.",
)
@click.option(
    "--clouds",
    type=click.Choice(["none", "auto", "scl", "qa60", "model"]),
    default="none",
    show_default=True,
    help="Take pixels under clouds as missing, in every scene: by its band SCL or QA60 (auto: whichever it has), or by a network (pip install 'lulc[cloud]').",
)
@click.option(
    "--cloud-classes",
    callback=split_names,
    metavar="NAME|N,...",
    help="SCL classes to mask. [default: saturated,shadow,cloud-medium,cloud-high,cirrus = 1,3,8,9,10]",
)
@click.option(
    "--dilate", type=click.IntRange(0, 200), default=0, show_default=True, help="Grow clouds by N pixels, as a disc."
)
@click.option(
    "--chunk",
    type=click.IntRange(256, 8192),
    default=1024,
    show_default=True,
    help="Side of a window and of a NetCDF or Zarr chunk, in pixels; a multiple of 256.",
)
@overwrite_option
@json_option
@verbosity_options
def stack(
    inputs: tuple[Path, ...],
    output: Path,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - fields of StackOptions
) -> None:
    """Write bands and indices of a Sentinel-2 SCENE to OUT (.tif, .nc or .zarr) as float32 reflectance.

    Several inputs make one scene: one file per band, or a band mosaic and an index mosaic.
    """
    from lulc.tasks.stack.recipe import StackOptions
    from lulc.tasks.stack.stack import stack as write_stack

    set_verbosity(verbose, quiet)
    chosen = checked(StackOptions, options)
    with ends_at_once(), progress(bool(quiet)) as report:
        result = write_stack(inputs, output, chosen, progress=report)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo(result.to_text())
