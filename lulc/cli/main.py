"""The `lulc` command: finds the sub-command, prints refusals as one line, ends with a documented exit code."""

import atexit
import gc
import os
import re
import sys
from importlib.metadata import version
from pathlib import Path

import click

from lulc.cli.lazy import LazyGroup
from lulc.errors import EXIT_CODES, FAILING_DISK, LimitError, LulcError, StorageError, lacks_memory
from lulc.io.files.names import undecodable
from lulc.io.files.storage import storage_error
from lulc.model.allocator import keep_freed_memory

atexit.register(gc.freeze)
"""The last collection of a process that has loaded torch takes half a second, and finds nothing that ending does not free."""

_COMMANDS = {
    "calibrate": "Fit a model's temperature and prediction sets on labelled pixels.",
    "change": "Map what became what between two maps of one place.",
    "classify": "Classify a scene into a land-cover map.",
    "clean": "Clean a map: merge classes, smooth, remove small patches.",
    "evaluate": "Say how well a map or a model agrees with a reference, how accurate its areas are, how robust a model is.",
    "export": "Write a model as ONNX or PT2, for other programs.",
    "fetch": "Fetch scenes of an area from a STAC API or catalogue.",
    "hpc": "Cut classifications into shards, run them as Slurm jobs, merge them.",
    "info": "Say what a scene, a product, a model, a training set or a set of patches is, and what is wrong with it.",
    "mosaic": "Merge maps of scenes that overlap into one seamless map.",
    "patches": "Classify small images as wholes: train, evaluate, predict, explain, compare.",
    "polygons": "Write the patches of each class of a map as polygons.",
    "prepare": "Cut scenes and labels into a training set, split by place.",
    "report": "Write what a map holds: areas as counted, confidence, a picture.",
    "sample": "Draw a stratified random sample of points to label, from a map.",
    "serve": "Show maps and classify on a local web page.",
    "stack": "Write bands and spectral indices of scenes as one file.",
    "train": "Train a network on a training set; leaves a model bundle.",
    "verify": "Check what a map claims of itself against its bytes, its scene and its model.",
}

_NETWORKS = {"calibrate", "classify", "evaluate", "hpc", "patches", "train", "verify"}
"""Commands that run networks in this process, which then keeps the memory that it frees."""


_MANY_DIGITS = re.compile(r"\d{60,}")

_NO_MEMORY = LimitError(
    "this needs more memory than there is", "free some, or ask for less: a smaller --window, --chunk, --batch or input"
)


class _Lulc(LazyGroup):
    """Turns `LulcError` into a line and an exit code."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(context, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo("lulc: stopped at once", err=True)
            context.exit(130)
        except BrokenPipeError:
            # The reader of our output has gone; nothing is left to say, not even by the interpreter's last flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(1)
        except click.UsageError as error:
            if not _MANY_DIGITS.search(error.format_message()):
                raise
            raise click.UsageError(_short(error.format_message()), error.ctx) from error
        except Exception as error:
            refusal = _refusal_of(error)
            if refusal is None:
                raise
            click.echo(_short(f"lulc: {refusal}"), err=True)
            context.exit(refusal.exit_code)


def _short(message: str) -> str:
    """A message without the hundreds of digits of a number that nobody meant."""
    return _MANY_DIGITS.sub(lambda found: f"{found[0][:6]}... ({len(found[0])} digits)", message)


def _refusal_of(error: Exception) -> LulcError | None:
    """What an error means to the user; None for a defect of lulc."""
    if lacks_memory(error) and not isinstance(error, LimitError):
        return _NO_MEMORY
    if isinstance(error, LulcError):
        return error
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return undecodable(os.fsencode(str(error.object)))
    if isinstance(error, OSError) and error.errno and isinstance(error.filename, str | bytes):
        return storage_error(error, Path(os.fsdecode(error.filename)))
    if isinstance(error, OSError) and error.errno in FAILING_DISK:
        return StorageError(f"a file cannot be read or written: {error.strerror}", "check the disks of this run")
    return None


@click.group(
    cls=_Lulc,
    listed=_COMMANDS,
    package="lulc.cli",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("lulc"), prog_name="lulc")
@click.pass_context
def cli(context: click.Context) -> None:
    """Land-cover maps from whole Sentinel-2 scenes."""
    os.environ.setdefault("CPL_LOG", os.devnull)  # what GDAL prints by itself; its errors still become lulc's
    if context.invoked_subcommand in _NETWORKS:
        keep_freed_memory()
