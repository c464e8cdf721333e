"""`lulc mosaic`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import (
    checked,
    creation_option,
    json_option,
    output_argument,
    overwrite_option,
    split_numbers,
    verbosity_options,
)
from lulc.cli.progress import progress

if TYPE_CHECKING:
    from lulc.tasks.mosaic.mosaic import MosaicReport

_MEGA = 1e6


@click.command()
@click.argument("maps", metavar="MAP...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_argument
@click.option(
    "--method",
    type=click.Choice(["activations", "confidence", "first", "latest", "majority"]),
    default="activations",
    show_default=True,
    help="Average the activations, or choose among classes: the surest map, the first, the latest, or most maps.",
)
@click.option(
    "--feather",
    type=click.IntRange(0, 4096),
    default=128,
    show_default=True,
    help="Distance from its edge and holes over which a map fades in, pixels.",
)
@click.option("--crs", metavar="EPSG:N", help="CRS of the mosaic. [default: that of most pixels]")
@click.option(
    "--resolution",
    type=click.FloatRange(min=0, min_open=True),
    help="Side of a pixel, in units of the CRS. [default: that of the maps]",
)
@click.option(
    "--bounds",
    callback=split_numbers(4),
    metavar="W,S,E,N",
    help="Part to make, in the CRS of the mosaic. [default: all maps]",
)
@click.option(
    "--activations",
    type=click.Choice(["uint8", "float32", "none"]),
    default="uint8",
    show_default=True,
    help="How activations are stored; those of classes alone have none.",
)
@click.option("--seams", is_flag=True, help="Measure how much classes change at scene borders, and beside them.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Continue an interrupted mosaic.")
@creation_option
@overwrite_option
@json_option
@verbosity_options
def mosaic(
    maps: tuple[Path, ...],
    output: Path,
    seams: bool,  # noqa: FBT001 - click passes flags by name
    as_json: bool,  # noqa: FBT001
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - fields of MosaicOptions
) -> None:
    """Merge MAPs of scenes that overlap, in any CRS, into one seamless product OUT.

    OUT has the bands of a map, then `source` (which MAP counts most) and `confidence`; OUT.sources.csv lists the maps.
    """
    from lulc.tasks.mosaic.mosaic import mosaic as write_mosaic
    from lulc.tasks.mosaic.plan import MosaicOptions

    set_verbosity(verbose, quiet)
    chosen = checked(MosaicOptions, options)
    with progress(bool(quiet)) as report:
        result = write_mosaic(maps, output, chosen, seams=seams, progress=report)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo(_text(result))


def _text(report: "MosaicReport") -> str:
    size = f"{report.width} x {report.height} px in {report.crs[:60]}, {report.output_bytes / _MEGA:.1f} MB"
    lines = [
        f"{report.output}: {len(report.maps)} maps, {size}, {report.valid_share:.1%} with data",
        f"took {report.seconds:.1f} s, {report.peak_bytes / _MEGA:.0f} MB of memory; maps in {report.sources_csv}",
        "class                        pixels      hectares   share   (as counted, which is no estimate of area)",
    ]
    for entry in report.classes:
        hectares = "?" if entry.hectares is None else f"{entry.hectares:,.1f}"
        lines.append(f"{entry.name:<20.20} {entry.pixels:>14,d} {hectares:>13} {entry.share:>7.2%}")
    if report.seams is not None:
        found = report.seams
        shares = (found.across_percent, found.near_percent, found.elsewhere_percent)
        said = ["none" if share is None else f"{share:.2f} %" for share in shares]
        lines.append(
            f"neighbours that differ: {said[0]} across scene borders, {said[1]} within 64 px, {said[2]} elsewhere"
        )
    return "\n".join([*lines, *(f"warning: {warning}" for warning in report.warnings)])
