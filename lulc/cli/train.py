"""`lulc train`."""

from pathlib import Path
from typing import Any

import click

from lulc.cli.console import Console, speaking
from lulc.cli.options import changes_option


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
@speaking()
def train(
    config: Path,
    output: Path,
    data: Path | None,
    changes: dict[str, Any],
    console: Console,
    **options: Any,  # noqa: ANN401 - arguments of `train`
) -> None:
    """Train a network by CONFIG and leave a model bundle in OUT.

    CONFIG is a TOML file, or the name of a shipped one. Under torchrun all its processes train one model.
    """
    from lulc.config import read_config
    from lulc.resources import config_path
    from lulc.training.scenes import train_scenes
    from lulc.training.settings import TrainSettings

    settings = read_config(TrainSettings, config_path("train", config), data=data, **changes)
    with console.progress("step") as report:
        result = train_scenes(settings, output, progress=report, **options)
    if result is not None:
        console.show(result.to_json, result.to_text)
