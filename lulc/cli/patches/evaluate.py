"""`lulc patches evaluate`."""

import json
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import bands_option, json_option, overwrite_option, verbosity_options
from lulc.cli.progress import progress


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train", "all"]),
    default="test",
    show_default=True,
    help="Patches to try: those that the model's own split lists so, or all of DATA.",
)
@click.option(
    "--split-file", metavar="CSV", type=click.Path(path_type=Path), help="A split.csv in place of the model's own."
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write report.json, report.md, predictions.csv and pictures there.",
)
@bands_option
@click.option(
    "--turns", is_flag=True, help="Average over the eight turns and mirror images: surer, eight times the work."
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where the network runs.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Of the network.",
)
@overwrite_option
@json_option
@verbosity_options
def evaluate(
    model: Path,
    data: Path,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - arguments of `evaluate_patches`
) -> None:
    """Try MODEL on the labelled patches of DATA, by default on those that it was neither trained nor chosen on.

    MODEL is the folder of a run, or the name of a shipped model. DATA is a folder or a zip with one folder per class,
    named as the model's classes.
    """
    from lulc.patches.study.evaluation import evaluate_patches

    set_verbosity(verbose, quiet)
    with progress(bool(quiet)) as told:
        report = evaluate_patches(model, data, progress=told, **options)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    elif not quiet:
        click.echo(report.to_text())
