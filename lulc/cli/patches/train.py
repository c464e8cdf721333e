"""`lulc patches train`."""

from functools import partial
from pathlib import Path

import click

from lulc.cli.params.options import config_argument, model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.cli.train import run_training
from lulc.patches.options import PatchTrainOptions


@click.command()
@config_argument
@output_argument
@model_options(options=PatchTrainOptions)
@with_console()
def train(config: Path, output: Path, options: PatchTrainOptions, console: Console) -> None:
    """Train a patch classifier by CONFIG and leave a model bundle in OUT.

    CONFIG is a TOML file, or the name of a shipped one: eurosat-rgb, eurosat-ms, cnn6, resnet50, wide_resnet50_2.
    Patches lie in one folder per class, in a folder or a zip.
    """
    from lulc.patches.learn.settings import recipe
    from lulc.patches.learn.train import train_patches

    settings = recipe(config, options.data, options.changes, output.name)
    run_training(partial(train_patches, settings, output), options, console)
