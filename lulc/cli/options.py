"""Options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lulc.io.files.http import web_address, web_path

Command = TypeVar("Command", bound=Callable[..., Any])
Options = TypeVar("Options")

_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Bytes(click.ParamType[int]):
    """A number of bytes such as `2G` or `800M`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Parse the text; fails with a usage error."""
        text = str(value).strip().upper().removesuffix("B")
        try:
            number = float(text[:-1]) * _UNITS[text[-1]] if text[-1:] in _UNITS else float(text)
        except ValueError:
            self.fail(f"{value!r} is not a size; write 800M or 2G", param, ctx)
        if number < 1:
            self.fail(f"{value!r} is not a positive size", param, ctx)
        return int(number)


class AutoOr(click.ParamType[Any]):
    """`auto`, which becomes None, or a number."""

    def __init__(self, number: click.ParamType[Any]) -> None:
        self._number = number
        self.name = f"auto|{number.name.replace(' range', '')}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """None or the number; fails with a usage error."""
        return None if value in (None, "auto") else self._number.convert(value, param, ctx)


def split_names(_context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """`B02,B03` as a tuple; None when not given."""
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise click.BadParameter(f"{value!r} has an empty name; write {parameter.metavar or 'B02,B03,...'}")
    return names


def split_numbers(count: int) -> Callable[[click.Context, click.Parameter, str | None], tuple[float, ...] | None]:
    """A callback that takes `1,2,3,4` as that many numbers; None when not given."""

    def split(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
        if value is None:
            return None
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            raise click.BadParameter(f"{value!r}: write {count} numbers with commas between them")
        return numbers

    return split


def split_pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping with upper-case names."""
    pairs = {}
    for value in values:
        name, equals, setting = value.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{value!r}: write NAME=VALUE")
        pairs[name.upper()] = setting
    return pairs


def parsed_settings(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE` texts as a mapping; values are TOML, or plain text."""
    import tomllib

    changes = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals):
            raise click.BadParameter(f"{text!r}: write KEY=VALUE, such as fit.steps=500")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value.strip()
        changes[key.strip().replace(".", "__")] = parsed
    return changes


class ScenePath(click.Path):
    """A path, or a URL that is kept to the last character."""

    def convert(
        self, value: str | os.PathLike[str], parameter: click.Parameter | None, context: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """What the user gave, as a path."""
        text = os.fspath(value)
        return web_path(text) if web_address(text) else super().convert(value, parameter, context)


scene_arguments = click.argument("inputs", metavar="SCENE...", nargs=-1, required=True, type=ScenePath(path_type=Path))
output_argument = click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
bands_option = click.option(
    "-b",
    "--bands",
    callback=split_names,
    metavar="B02,B03,...",
    help="Names of the input's bands, in their order, when the file does not say.",
)
offset_option = click.option(
    "--offset",
    type=AutoOr(click.FLOAT),
    default="auto",
    show_default=True,
    help="Added to digital numbers: auto (from metadata), 0, or -1000 (Sentinel-2 from processing baseline 04.00).",
)
quantification_option = click.option(
    "--quantification",
    type=AutoOr(click.FloatRange(min=0, min_open=True)),
    default="auto",
    show_default=True,
    help="Digital numbers per unit reflectance.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an existing output.")
creation_option = click.option(
    "--co",
    "creation_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=split_pairs,
    help="Creation option of the output, as in GDAL.",
)
changes_option = click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    callback=parsed_settings,
    help="Change a key of the configuration, such as fit.seed=1; repeat for more.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def verbosity_options(command: Command) -> Command:
    """Add -v and -q."""
    command = click.option("-v", "--verbose", count=True, help="Say more; repeat for debugging.")(command)
    return click.option("-q", "--quiet", count=True, help="Say less; repeat for errors only.")(command)


def checked(model: type[Options], options: dict[str, Any]) -> Options:
    """Options as the object that a command takes; those not given keep its defaults.

    Raises:
        click.UsageError: A value is out of range.
    """
    from pydantic import ValidationError

    try:
        return model(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = f"--{str(first['loc'][0]).replace('_', '-')}: " if first["loc"] else ""
        raise click.UsageError(place + first["msg"].removeprefix("Value error, ")) from error
