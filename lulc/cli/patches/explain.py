"""`lulc patches explain`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import (
    bands_option,
    json_option,
    offset_option,
    output_argument,
    overwrite_option,
    quantification_option,
    verbosity_options,
)
from lulc.errors import UsageError

if TYPE_CHECKING:
    from lulc.explain.explanation import Explanation

_OF_SCENES = ("offset", "quantification", "window")


def _window(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, int, int, int] | None:
    """`ROW,COL,HEIGHT,WIDTH` as four numbers; None when not given."""
    if value is None:
        return None
    try:
        row, col, height, width = (int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: write ROW,COL,HEIGHT,WIDTH, such as 0,0,256,256") from error
    return row, col, height, width


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_argument
@click.option(
    "--model", metavar="NAME|PATH", help="A patch model, or a model of `lulc classify`. [default: eurosat-rgb]"
)
@click.option(
    "--class", "target", metavar="NAME", help="Class to explain. [default: the model's answer, or the most frequent]"
)
@click.option(
    "--layer",
    metavar="NAME",
    help="One layer to look at. [default: the network's last three sizes of maps; of scenes the decoder's end]",
)
@click.option(
    "--method",
    type=click.Choice(["grad-cam", "hirescam"]),
    default="grad-cam",
    show_default=True,
    help="hirescam weighs every place by itself: more faithful for regions of scenes.",
)
@click.option(
    "--window",
    callback=_window,
    metavar="ROW,COL,HEIGHT,WIDTH",
    help="Part of a scene, in pixels from 0. [default: the central square of at most 512]",
)
@bands_option
@offset_option
@quantification_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@overwrite_option
@json_option
@verbosity_options
def explain(
    inputs: tuple[Path, ...],
    output: Path,
    model: str | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - arguments of `explain_patch` and `explain_scene`
) -> None:
    """Show which pixels of INPUT spoke for a class: the picture OUT.png, and OUT.tif where INPUT is georeferenced.

    INPUT is one patch for a patch model. For a model of `lulc classify` it is a scene, and what is explained are the
    pixels of the window that the model gives the class.
    """
    from lulc.model.bundle import card_kind
    from lulc.patches.card import SHIPPED_PATCH_MODEL

    set_verbosity(verbose, quiet)
    chosen = model or SHIPPED_PATCH_MODEL
    of_patches = card_kind(chosen) == "patches"
    found = _patch(inputs, output, chosen, options) if of_patches else _scene(inputs, output, chosen, options)
    if as_json:
        click.echo(json.dumps(found.to_json()))
    elif not quiet:
        click.echo(found.to_text())


def _patch(inputs: tuple[Path, ...], output: Path, model: str, options: dict[str, Any]) -> "Explanation":
    from lulc.explain.patch import explain_patch

    for name in _OF_SCENES:
        if options.pop(name) is not None:
            raise UsageError(f"--{name} is for scenes, and {model} is a patch model", "leave it out")
    if len(inputs) > 1:
        raise UsageError(f"{model} is a patch model, {len(inputs)} inputs were given", "explain one patch at a time")
    return explain_patch(inputs[0], output, model=model, **options)


def _scene(inputs: tuple[Path, ...], output: Path, model: str, options: dict[str, Any]) -> "Explanation":
    from lulc.explain.scene import explain_scene

    return explain_scene(inputs, output, model=model, **options)
