"""`lulc export`."""

from pathlib import Path

import click

from lulc.cli.params.options import output_argument
from lulc.cli.terminal.console import Console, with_console


@click.command()
@click.argument("model", metavar="MODEL")
@output_argument
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@with_console()
def export(model: str, output: Path, *, overwrite: bool, console: Console) -> None:
    """Write a MODEL of `lulc classify` for other programs: OUT.onnx or OUT.pt2.

    Normalisation, temperature and softmax are inside: reflectance x 10000 goes in, probabilities come out, for tiles of any size.
    """
    from lulc.model.exchange.export import export_model

    report = export_model(model, output, overwrite=overwrite)
    console.show(report.to_json, report.to_text)
