"""`lulc patches train`."""

from pathlib import Path
from typing import Any

import click

from lulc.cli.console import Console, speaking
from lulc.cli.options import changes_option


@click.command()
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--data",
    metavar="FOLDER|ZIP",
    type=click.Path(path_type=Path),
    help="Class folders, in place of the configuration's.",
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
    **options: Any,  # noqa: ANN401 - arguments of `train_patches`
) -> None:
    """Train a patch classifier by CONFIG and leave a model bundle in OUT.

    CONFIG is a TOML file, or the name of a shipped one: eurosat-rgb, eurosat-ms, cnn6, resnet50, wide_resnet50_2.
    Patches lie in one folder per class, in a folder or a zip.
    """
    from lulc.patches.learn.settings import recipe
    from lulc.patches.learn.train import train_patches

    settings = recipe(config, data, changes, output.name)
    with console.progress("step") as report:
        result = train_patches(settings, output, progress=report, **options)
    if result is not None:
        console.show(result.to_json, result.to_text)
