"""`lulc calibrate`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.accuracy.options import CalibrateOptions


@click.command()
@click.argument("subject", metavar="MAP|MODEL", type=click.Path(path_type=Path))
@click.argument("reference", metavar="REFERENCE", type=click.Path(path_type=Path))
@output_argument
@model_options(options=CalibrateOptions)
@with_console()
def calibrate(subject: Path, reference: Path, output: Path, *, options: CalibrateOptions, console: Console) -> None:
    """Fit a model's temperature and prediction sets on labelled pixels, and write them to the JSON file OUT.

    REFERENCE labels pixels of a MAP: points of `lulc sample` with labels, a raster, or polygons; for a MODEL it is the
    folder of a training set. `lulc classify --calibration OUT` then uses them, with `--sets` for sets of classes.
    """
    from lulc.tasks.accuracy.calibrate import calibrate as fit

    report = fit(subject, reference, output, options)
    console.show(report.to_json, report.to_text)
