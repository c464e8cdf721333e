"""`lulc mosaic`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lulc.cli.params.options import model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.mosaic.options import MosaicOptions

if TYPE_CHECKING:
    from lulc.tasks.mosaic.mosaic import MosaicReport

_MEGA = 1e6


@click.command()
@click.argument("maps", metavar="MAP...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_argument
@model_options(options=MosaicOptions)
@click.option("--seams", is_flag=True, help="Measure how much classes change at scene borders, and beside them.")
@with_console()
def mosaic(maps: tuple[Path, ...], output: Path, *, options: MosaicOptions, seams: bool, console: Console) -> None:
    """Merge MAPs of scenes that overlap, in any CRS, into one seamless product OUT.

    OUT has the bands of a map, then `source` (which MAP counts most) and `confidence`; OUT.sources.csv lists the maps.
    A pixel that a MAP flags in its band `clouds` counts only where no other MAP shows it clear; OUT has the band too.
    """
    from lulc.tasks.mosaic.mosaic import mosaic as write_mosaic

    with console.progress() as report:
        result = write_mosaic(maps, output, options, seams=seams, progress=report)
    console.show(result.to_json, partial(_text, result))


def _text(report: "MosaicReport") -> str:
    from lulc.io.product.clouds import shares_text

    size = f"{report.width} x {report.height} px in {report.crs[:60]}, {report.output_bytes / _MEGA:.1f} MB"
    lines = [
        f"{report.output}: {len(report.maps)} maps, {size}, {report.valid_share:.1%} with data",
        f"took {report.seconds:.1f} s, {report.peak_bytes / _MEGA:.0f} MB of memory; maps in {report.sources_csv}",
        "class                        pixels      hectares   share   (as counted, which is no estimate of area)",
    ]
    for entry in report.classes:
        hectares = "?" if entry.hectares is None else f"{entry.hectares:,.1f}"
        lines.append(f"{entry.name:<20.20} {entry.pixels:>14,d} {hectares:>13} {entry.share:>7.2%}")
    if report.clouds:
        lines.append(f"under {shares_text(report.clouds)}")
    if report.seams is not None:
        found = report.seams
        percents = (found.across_percent, found.near_percent, found.elsewhere_percent)
        texts = ["none" if percent is None else f"{percent:.2f} %" for percent in percents]
        lines.append(
            f"neighbours that differ: {texts[0]} across scene borders, {texts[1]} within 64 px, {texts[2]} elsewhere"
        )
    return "\n".join([*lines, *(f"warning: {warning}" for warning in report.warnings)])
