"""docs/reference.md: arguments, options and exit codes of every command, as the commands themselves know them.

`make docs` writes the page; a test holds it to the commands.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from lulc.cli.main import cli
from lulc.errors import EXIT_CODES

_HEAD = """# Commands and options

Made by `make docs` from the commands themselves; do not edit. `lulc COMMAND --help` says the same.
"""
_STATED = re.compile(r"(?P<text>.*) \[default: (?P<default>.*)\]")
"""The help of an option whose default is no value but has to be described."""


def reference() -> str:
    """The page, as Markdown."""
    codes = [("code", "meaning"), *((str(code), meaning) for code, meaning in EXIT_CODES.items())]
    sections = [_section(name, command) for name, command in commands()]
    return "\n".join([_HEAD, *sections, f"## Exit codes\n\n{_table(codes)}"])


def commands(group: click.Group = cli, prefix: str = "lulc") -> Iterator[tuple[str, click.Command]]:
    """Every command by its full name; those of a group follow it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{prefix} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    options = [
        _row(option, context) for option in command.params if isinstance(option, click.Option) and not option.hidden
    ]
    parts = [f"## {name}", f"    {usage}", inspect.cleandoc(command.help or "")]
    if options:
        parts.append(_table([("option", "default", ""), *options]))
    return "\n\n".join(parts).rstrip() + "\n"


def _row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    record, extra = option.get_help_record(context), option.get_help_extra(context)
    assert record is not None
    help_text = option.help or ""
    stated = _STATED.fullmatch(help_text)
    text, default = (stated["text"], stated["default"]) if stated else (help_text, extra.get("default", ""))
    limits = f" (`{extra['range']}`)" if "range" in extra else ""
    return f"`{record[0]}`", extra.get("required", default), text + limits


def _table(rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
