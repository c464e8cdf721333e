"""`lulc info`."""

import json
from pathlib import Path

import click

from lulc.cli.params.options import model_options
from lulc.cli.params.values import ScenePath
from lulc.cli.terminal.console import json_option
from lulc.options import SceneOptions


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=ScenePath(path_type=Path))
@model_options(options=SceneOptions)
@json_option
def info(paths: tuple[Path, ...], *, options: SceneOptions, as_json: bool) -> None:
    """Say what a scene, a product, a model, a training set or a set of patches is, and what would be wrong with it.

    Several files are taken as the bands of one scene.
    """
    from lulc.tasks.describe.info import describe

    found = describe(paths, **dict(options))
    click.echo(json.dumps(found.to_json()) if as_json else found.to_text())
