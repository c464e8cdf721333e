"""`lulc patches explain`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.errors import UsageError
from lulc.explain.options import ExplainOptions, ExplainSceneOptions

_OF_SCENES = ("offset", "quantification", "window")


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_argument
@model_options(patch=ExplainOptions, scene=ExplainSceneOptions)
@with_console()
def explain(
    inputs: tuple[Path, ...],
    output: Path,
    patch: ExplainOptions,
    scene: ExplainSceneOptions,
    console: Console,
) -> None:
    """Show which pixels of INPUT spoke for a class: the picture OUT.png, and OUT.tif where INPUT is georeferenced.

    INPUT is one patch for a patch model. For a model of `lulc classify` it is a scene, and what is explained are the
    pixels of the window that the model gives the class.
    """
    from lulc.model.bundle import card_kind

    if card_kind(patch.model) != "patches":
        from lulc.explain.scene import explain_scene

        found = explain_scene(inputs, output, scene)
    else:
        _refuse_scenes(inputs, scene)
        from lulc.explain.patch import explain_patch

        found = explain_patch(inputs[0], output, patch)
    console.show(found.to_json, found.to_text)


def _refuse_scenes(inputs: tuple[Path, ...], options: ExplainSceneOptions) -> None:
    """What only a model of scenes can take."""
    for name in _OF_SCENES:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} is for scenes, and {options.model} is a patch model", "leave it out")
    if len(inputs) > 1:
        problem = f"{options.model} is a patch model, {len(inputs)} inputs were given"
        raise UsageError(problem, "explain one patch at a time")
