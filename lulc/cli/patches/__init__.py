"""`lulc patches`: classify small images as wholes."""

import click

from lulc.cli.lazy import LazyGroup

_COMMANDS = {
    "bands": "Train on single bands and combinations, and say which tell the classes apart.",
    "change": "Compare the classes of two dates of one place.",
    "evaluate": "Say how well a patch model tells labelled patches apart.",
    "explain": "Show which pixels spoke for a class.",
    "predict": "Say what patches show, or classify every cell of a scene.",
    "train": "Train a patch classifier on class folders; leaves a model bundle.",
}


@click.group(cls=LazyGroup, listed=_COMMANDS, package="lulc.cli.patches")
def patches() -> None:
    """Classify small images as wholes: train, evaluate, predict, explain, compare."""
