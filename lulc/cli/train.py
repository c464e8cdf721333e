"""`lulc train`."""

import json
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import changes_option, json_option, verbosity_options
from lulc.cli.progress import step_progress


@click.command()
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--data", metavar="SET", type=click.Path(path_type=Path), help="Training set, in place of the configuration's."
)
@changes_option
@click.option(
    "--resume", is_flag=True, help="Continue the run in OUT, as if it had never stopped; start it when there is none."
)
@click.option("--overwrite", is_flag=True, help="Replace the run in OUT.")
@click.option(
    "--tensorboard", metavar="DIR", type=click.Path(path_type=Path), help="Also write the history for TensorBoard."
)
@json_option
@verbosity_options
def train(
    config: Path,
    output: Path,
    data: Path | None,
    changes: dict[str, Any],
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - arguments of `train`
) -> None:
    """Train a network by CONFIG and leave a model bundle in OUT.

    CONFIG is a TOML file, or the name of a shipped one. Under torchrun all its processes train one model.
    """
    from lulc.config import read_config
    from lulc.resources import config_path
    from lulc.training.settings import TrainSettings
    from lulc.training.train import train as run_training

    set_verbosity(verbose, quiet)
    settings = read_config(TrainSettings, config_path("train", config), data=data, **changes)
    with step_progress(bool(quiet)) as report:
        result = run_training(settings, output, progress=report, **options)
    if result is None:
        return
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo(result.to_text())
