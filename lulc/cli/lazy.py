"""Groups whose commands are imported when they are called, so that --help answers at once."""

from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows names and one-line help of its commands before it imports them.

    Args:
        listed: One-line help of each command, by its name.
        package: Package in which the module NAME holds the command NAME.
    """

    def __init__(self, *arguments: Any, listed: dict[str, str], package: str, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **settings)
        self._listed, self._package = listed, package

    def list_commands(self, _context: click.Context) -> list[str]:
        """Names, in their order."""
        return list(self._listed)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in self._listed:
            return None
        command: click.Command = getattr(import_module(f"{self._package}.{name}"), name)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._listed.items()))
