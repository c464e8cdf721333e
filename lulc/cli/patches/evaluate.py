"""`lulc patches evaluate`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options
from lulc.cli.terminal.console import Console, with_console
from lulc.patches.options import PatchEvaluateOptions


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@model_options(options=PatchEvaluateOptions)
@with_console()
def evaluate(model: Path, data: Path, options: PatchEvaluateOptions, console: Console) -> None:
    """Try MODEL on the labelled patches of DATA, by default on those that it was neither trained nor chosen on.

    MODEL is the folder of a run, or the name of a shipped model. DATA is a folder or a zip with one folder per class,
    named as the model's classes.
    """
    from lulc.patches.study.evaluation import evaluate_patches

    with console.progress() as progress:
        report = evaluate_patches(model, data, options, progress=progress)
    console.show(report.to_json, report.to_text)
