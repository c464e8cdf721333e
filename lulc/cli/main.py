"""The `lulc` command: finds the sub-command, prints refusals as one line, ends with a documented exit code."""

import logging
import os
import sys
from importlib import import_module
from importlib.metadata import version

import click

from lulc.errors import EXIT_CODES, LulcError

_COMMANDS = {
    "change": "Map what became what between two maps of one place.",
    "classify": "Classify a scene into a land-cover map.",
    "evaluate": "Say how well a map or a model agrees with a reference, or how accurate its areas are.",
    "fetch": "Fetch scenes of an area from a STAC API or catalogue.",
    "hpc": "Cut classifications into shards, run them as Slurm jobs, merge them.",
    "info": "Say what a scene, a product, a model, a training set or a set of patches is, and what is wrong with it.",
    "mosaic": "Merge maps of scenes that overlap into one seamless map.",
    "patches": "Classify small images as wholes: train, evaluate, predict, explain, compare.",
    "prepare": "Cut scenes and labels into a training set, split by place.",
    "report": "Write what a map holds: areas as counted, confidence, a picture.",
    "sample": "Draw a stratified random sample of points to label, from a map.",
    "serve": "Show maps and classify on a local web page.",
    "stack": "Write bands and spectral indices of scenes as one file.",
    "train": "Train a network on a training set; leaves a model bundle.",
}
"""Name and one-line help of each command; its module lulc/cli/NAME.py is imported when it is called."""


class _LazyGroup(click.Group):
    """Imports a command when it is called, and turns `LulcError` into a line and an exit code."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"lulc.cli.{name}"), name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        del context
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except LulcError as error:
            click.echo(f"lulc: {error}", err=True)
            context.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("lulc: stopped at once", err=True)
            context.exit(130)
        except BrokenPipeError:
            # The reader of our output has gone; nothing is left to say, not even by the interpreter's last flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(1)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("lulc"), prog_name="lulc")
def cli() -> None:
    """Land-cover maps from whole Sentinel-2 scenes."""


def set_verbosity(verbose: int, quiet: int) -> None:
    """Log to stderr: warnings by default, fewer with each -q, more with each -v."""
    level = logging.WARNING + 10 * (quiet - verbose)
    logging.basicConfig(level=max(level, logging.DEBUG), format="lulc: %(message)s", stream=sys.stderr)
    logging.getLogger("rasterio").setLevel(max(level, logging.WARNING))
