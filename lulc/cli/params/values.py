"""Values of options as they stand on a command line, and what they become."""

import math
import os
from typing import Any

import click

from lulc.io.files.http import web_address, web_path

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
        if not (number >= 1 and math.isfinite(number)):  # NaN too
            self.fail(f"{value!r} is not a positive size", param, ctx)
        return int(number)

    @staticmethod
    def text(number: int) -> str:
        """A number of bytes as it stands on a command line."""
        unit = next((unit for unit in reversed(_UNITS) if number >= _UNITS[unit]), "")
        return f"{number / _UNITS.get(unit, 1):g}{unit}"


class AutoOr(click.ParamType[Any]):
    """`auto`, which becomes None, or a number."""

    def __init__(self, number: click.ParamType[Any]) -> None:
        self._number = number
        self.name = f"auto|{number.name.replace(' range', '')}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """None or the number; fails with a usage error."""
        return None if value in (None, "auto") else self._number.convert(value, param, ctx)


class Names(click.ParamType[tuple[str, ...]]):
    """Names such as `B02,B03`."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ANN401
        """Parse the text; fails with a usage error."""
        names = tuple(name.strip() for name in str(value).split(","))
        if not all(names):
            self.fail(f"{value!r} has an empty name; write {param.metavar if param else 'B02,B03,...'}", param, ctx)
        return names


class Numbers(click.ParamType[tuple[float, ...]]):
    """So many numbers, such as `1,2.5,3,4`.

    Args:
        number: Type of each.
        count: How many.
    """

    name = "numbers"

    def __init__(self, number: type[float], count: int) -> None:
        self._number, self._count = number, count

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:  # noqa: ANN401
        """Parse the text; fails with a usage error."""
        try:
            numbers = tuple(self._number(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != self._count:
            shape = f", as {param.metavar}" if param is not None and param.metavar else ""
            self.fail(f"{value!r}: write {self._count} numbers with commas between them{shape}", param, ctx)
        return numbers


class Ranges(click.ParamType[tuple[int, ...]]):
    """Whole numbers such as `3,7,10-12`."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:  # noqa: ANN401
        """Parse the text; fails with a usage error."""
        numbers: list[int] = []
        for part in str(value).split(","):
            first, _, last = part.strip().partition("-")
            if not first.isdigit() or not (last or first).isdigit():
                self.fail(f"{value!r}: write numbers such as 3,7,10-12", param, ctx)
            numbers += range(int(first), int(last or first) + 1)
        return tuple(numbers)


class ScenePath(click.Path):
    """A path, or a URL that is kept to the last character."""

    def convert(
        self, value: str | os.PathLike[str], parameter: click.Parameter | None, context: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """What the user gave, as a path."""
        text = os.fspath(value)
        return web_path(text) if web_address(text) else super().convert(value, parameter, context)


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
    from lulc.config import parse_toml_text

    changes = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals):
            raise click.BadParameter(f"{text!r}: write KEY=VALUE, such as fit.steps=500")
        try:
            parsed = parse_toml_text(f"value = {value}")["value"]
        except ValueError:
            parsed = value.strip()
        changes[key.strip().replace(".", "__")] = parsed
    return changes
