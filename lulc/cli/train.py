"""`lulc train`, and how both commands that train run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lulc.cli.params.options import config_argument, model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.training.options import TrainOptions

if TYPE_CHECKING:
    from lulc.patches.learn.trained import PatchTrainReport
    from lulc.training.scenes import TrainReport


@click.command()
@config_argument
@output_argument
@model_options(options=TrainOptions)
@with_console()
def train(config: Path, output: Path, options: TrainOptions, console: Console) -> None:
    """Train a network by CONFIG and leave a model bundle in OUT.

    CONFIG is a TOML file, or the name of a shipped one. Under torchrun all its processes train one model.
    """
    from lulc.config import read_config
    from lulc.resources import config_path
    from lulc.training.scenes import train_scenes
    from lulc.training.settings import TrainSettings

    settings = read_config(TrainSettings, config_path("train", config), data=options.data, **options.changes)
    run_training(partial(train_scenes, settings, output), options, console)


def run_training(
    train: "Callable[..., TrainReport | PatchTrainReport | None]", options: TrainOptions, console: Console
) -> None:
    """Train with progress and print the report, which the first process alone has."""
    with console.progress("step") as progress:
        chosen = options.model_dump(include={"resume", "overwrite", "tensorboard"})
        report = train(progress=progress, **chosen)
    if report is not None:
        console.show(report.to_json, report.to_text)
