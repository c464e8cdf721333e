"""`lulc info`."""

import json
from pathlib import Path

import click

from lulc.cli.options import ScenePath, bands_option, json_option, offset_option, quantification_option


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=ScenePath(path_type=Path))
@bands_option
@offset_option
@quantification_option
@json_option
def info(
    paths: tuple[Path, ...],
    bands: tuple[str, ...] | None,
    offset: float | None,
    quantification: float | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
) -> None:
    """Say what a scene, a product, a model, a training set or a set of patches is, and what would be wrong with it.

    Several files are taken as the bands of one scene.
    """
    from lulc.tasks.describe.info import describe

    found = describe(paths, bands=bands, offset=offset, quantification=quantification)
    click.echo(json.dumps(found.to_json()) if as_json else found.to_text())
