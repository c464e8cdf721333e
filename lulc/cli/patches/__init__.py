"""`lulc patches`: classify small images as wholes."""

from importlib import import_module

import click

_COMMANDS = {
    "bands": "Train on single bands and combinations, and say which tell the classes apart.",
    "change": "Compare the classes of two dates of one place.",
    "evaluate": "Say how well a patch model tells labelled patches apart.",
    "explain": "Show which pixels spoke for a class.",
    "predict": "Say what patches show, or classify every cell of a scene.",
    "train": "Train a patch classifier on class folders; leaves a model bundle.",
}
"""Name and one-line help of each command; its module lulc/cli/patches/NAME.py is imported when it is called."""


class _LazyPatches(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"lulc.cli.patches.{name}"), name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        del context
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyPatches)
def patches() -> None:
    """Classify small images as wholes: train, evaluate, predict, explain, compare."""
