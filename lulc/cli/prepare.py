"""`lulc prepare`."""

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
    output_argument,
    overwrite_option,
    quantification_option,
    scene_arguments,
    split_names,
    verbosity_options,
)
from lulc.cli.progress import progress


def _fractions(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        parts = tuple(float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: write 0.7,0.15,0.15") from error
    if len(parts) != 3:  # noqa: PLR2004 - train, val, test
        raise click.BadParameter(f"{value!r}: give three numbers, for train, val and test")
    return parts


@click.command()
@scene_arguments
@output_argument
@click.option(
    "--labels",
    required=True,
    multiple=True,
    metavar="RASTER|VECTOR|DIR",
    type=click.Path(path_type=Path),
    help="Label raster, polygons, or folder of masks when SCENE is a folder of chips; once for all scenes, or once for each.",
)
@click.option(
    "--legend", required=True, metavar="NAME|PATH", help="Legend of the labels, such as corine-3 or worldcover."
)
@click.option("--to", metavar="NAME|PATH", help="Legend of the training set. [default: that of the labels]")
@click.option("--crosswalk", metavar="PATH", help="Crosswalk between the two legends. [default: the shipped one]")
@click.option(
    "--label-kind",
    type=click.Choice(["auto", "codes", "colors", "shares"]),
    default="auto",
    show_default=True,
    help="How labels are coded: class codes, colours (RGB masks), or one band of shares per class (soft labels).",
)
@click.option("--attribute", metavar="COLUMN", help="Column of vector labels that holds the class.")
@click.option("--layer", metavar="NAME", help="Layer of vector labels.")
@click.option(
    "--tolerance",
    type=click.IntRange(0, 255),
    help="Largest difference per channel between a mask's colour and its class.",
)
@click.option(
    "--select",
    callback=split_names,
    metavar="B02,B03,...",
    help="Bands of the chips. [default: all of the first scene]",
)
@click.option("--indices", callback=split_names, metavar="NDVI,...", help="Spectral indices of the chips.")
@bands_option
@offset_option
@quantification_option
@click.option("--level", type=click.Choice(["L1C", "L2A"]), help="Product level of the scenes, when they do not say.")
@click.option("--chip", type=click.IntRange(16, 4096), default=256, show_default=True, help="Side of a chip, pixels.")
@click.option(
    "--block",
    type=click.FloatRange(1, 1e7),
    default=5120.0,
    show_default=True,
    help="Side of a block of ground that goes to one split as a whole, metres (pixels without georeference).",
)
@click.option(
    "--gap",
    type=click.FloatRange(0, 1e7),
    default=320.0,
    show_default=True,
    help="Least distance between labels of different splits, the same unit; nearer labels are masked.",
)
@click.option(
    "--fractions",
    default="0.7,0.15,0.15",
    show_default=True,
    callback=_fractions,
    help="Shares of training, validation and test.",
)
@click.option(
    "--min-labelled",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of a chip that must be labelled.",
)
@click.option(
    "--max-nodata",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of a chip that may be without data.",
)
@click.option(
    "--format",
    "files",
    type=click.Choice(["tif", "npy", "nc"]),
    default="tif",
    show_default=True,
    help="Format of the chips.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the split.")
@overwrite_option
@json_option
@verbosity_options
def prepare(
    inputs: tuple[Path, ...],
    output: Path,
    labels: tuple[Path, ...],
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - fields of PrepareOptions
) -> None:
    """Cut SCENE... and their labels into chips, split them by place, and write the training set OUT.

    Each SCENE is a scene of its own. The report in OUT says what each split holds, and what was left out and why.
    """
    from lulc.tasks.dataset.options import PrepareOptions
    from lulc.tasks.dataset.prepare import prepare as write_set

    set_verbosity(verbose, quiet)
    chosen = checked(PrepareOptions, options)
    with progress(bool(quiet)) as report:
        result = write_set(inputs, labels, output, chosen, progress=report)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo(result.to_text())
