"""Console output: results on stdout, warnings and progress on stderr, as much as -v and -q ask for."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeVar

import click

from lulc.cli.terminal.progress import Report, Unit, shown
from lulc.errors import LulcError

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


class Console:
    """Console of a command.

    Args:
        verbose: How often more was asked for.
        quiet: How often less was asked for.
        as_json: Results are for programs.
    """

    def __init__(self, verbose: int, quiet: int, *, as_json: bool) -> None:
        self.verbose, self.quiet, self.as_json = bool(verbose), bool(quiet), as_json
        level = logging.WARNING + 10 * (quiet - verbose)
        handler = logging.StreamHandler(sys.stderr)
        handler.addFilter(OfGdalOnce())
        logging.basicConfig(level=max(level, logging.DEBUG), format="lulc: %(message)s", handlers=[handler])
        logging.getLogger("rasterio").setLevel(max(level, logging.WARNING))

    def show(self, table: Callable[[], Any], text: Callable[[], str]) -> None:
        """Print a result: as one line of JSON, or as text unless less was asked for."""
        if self.as_json:
            click.echo(json.dumps(table()))
        else:
            self.say(text)

    def say(self, text: Callable[[], str]) -> None:
        """Print text, unless less was asked for."""
        if not self.quiet:
            click.echo(text().removesuffix("\n"))

    def refused(self, error: LulcError) -> None:
        """Say what one of many inputs was refused for."""
        click.echo(f"lulc: {error}", err=True)

    def progress(self, unit: Unit = "px") -> AbstractContextManager[Report]:
        """A function that shows progress."""
        return shown(unit, quiet=self.quiet)


class OfGdalOnce(logging.Filter):
    """Lets through what GDAL says of a file once: it says so for every handle, and each thread has its own."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a message of GDAL that was printed before."""
        if not record.name.startswith("rasterio"):
            return True
        said = record.getMessage()
        first = said not in self._said
        self._said.add(said)
        return first


def with_console(*, as_json: bool = True) -> Callable[[Command], Callable[..., Any]]:
    """Give a command -v, -q and --json, and the `console` that follows from them."""

    def decorate(command: Command) -> Callable[..., Any]:
        @wraps(command)
        def run(verbose: int, quiet: int, as_json: bool = False, **given: Any) -> Any:  # noqa: ANN401, FBT001, FBT002
            return command(**given, console=Console(verbose, quiet, as_json=as_json))

        run = click.option("-v", "--verbose", count=True, help="Say more; repeat for debugging.")(run)
        run = click.option("-q", "--quiet", count=True, help="Say less; repeat for errors only.")(run)
        return json_option(run) if as_json else run

    return decorate
