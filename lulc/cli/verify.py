"""`lulc verify`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options
from lulc.cli.terminal.console import Console, with_console
from lulc.tasks.verify.options import VerifyOptions


@click.command()
@click.argument("map_path", metavar="MAP", type=click.Path(path_type=Path))
@model_options(options=VerifyOptions)
@with_console()
def verify(map_path: Path, *, options: VerifyOptions, console: Console) -> None:
    """Check what a MAP claims of itself, as far as it can be recomputed from its bytes and from what is at hand.

    The first contradiction is printed, and the exit code is 3.
    """
    from lulc.tasks.verify.verify import verify_map

    report = verify_map(map_path, options)
    console.show(report.to_json, report.to_text)
    if report.contradiction is not None:
        raise report.contradiction
