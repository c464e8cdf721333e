"""Tables of options in a region file as command lines that their commands accept."""

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from lulc.errors import ConfigError
from lulc.nearest import did_you_mean
from lulc.resources import pretrained_dir, shipped_names

_MADE_BY_MAKE = {"overwrite", "json", "quiet", "verbose", "plan", "resume", "fill", "seams", "quicklook", "help"}
_ARGUMENTS = {
    "fetch": ("catalog", "folder"),
    "stack": ("in", "out"),
    "classify": ("in", "out"),
    "mosaic": ("in", "out"),
}
_BOX = re.compile(r"[-+0-9.eE]+(\s*,\s*[-+0-9.eE]+){3}")


@dataclass(frozen=True)
class Options:
    """A table of options as a command line, and the files that it names."""

    words: tuple[str, ...]
    files: tuple[Path, ...]


def options_of(path: Path, step: str, table: dict[str, Any]) -> Options:
    """A table of options as a command line that its command accepts.

    Raises:
        ConfigError: An option that is none, or a value that its command refuses.
    """
    command: click.Command = getattr(import_module(f"lulc.cli.{step}"), step)
    names = _option_names(command)
    words: list[str] = []
    files: list[Path] = []
    for key, value in table.items():
        if step == "fetch" and key == "catalog":
            continue
        place = f"{path}: [{step}] {key}"
        option = names.get(key.replace("_", "-"))
        if option is None:
            raise ConfigError(f"{path}: [{step}] has no option {key!r}", did_you_mean(key, names))
        flag = max(option.opts, key=len)
        if option.is_flag:
            if not isinstance(value, bool):
                raise ConfigError(f"{place} = {value!r}", "write true or false")
            words += [flag] if value else list(option.secondary_opts[:1])
            continue
        texts = _texts(value, place)
        for text in texts if option.multiple else [",".join(texts)]:
            there = _path(text, option, path.parent.resolve(), place)
            files += [there] if there else []
            words += [flag, str(there or text)]
    try:
        command.make_context(step, [*words, *_ARGUMENTS[step]])
    except click.UsageError as error:
        said = " ".join(error.format_message().split())
        raise ConfigError(f"{path}: [{step}] {said.rstrip('.')}", f"see lulc {step} --help") from error
    return Options(tuple(words), tuple(files))


def _option_names(command: click.Command) -> dict[str, click.Option]:
    """Options that a region file may give."""
    names = {}
    for option in command.params:
        if isinstance(option, click.Option):
            name = max(option.opts, key=len).removeprefix("--")
            if not {name, option.name or ""} & _MADE_BY_MAKE:
                names |= {(option.name or "").replace("_", "-"): option, name: option}
    return names


def _texts(value: object, place: str) -> list[str]:
    """A value, or the entries of a list, as they stand on a command line."""
    entries = value if isinstance(value, list) else [value]
    if any(isinstance(entry, bool | dict | list) for entry in entries):
        raise ConfigError(f"{place} = {value!r}", "write a number, a text or a list of them")
    return [str(entry) for entry in entries]


def _path(text: str, option: click.Option, base: Path, place: str) -> Path | None:
    """The file that a value names, counted from the folder of the region file; None when it names none.

    Raises:
        ConfigError: It should name a file, and there is none.
    """
    kinds = set(re.split(r"\W+", option.metavar or ""))
    if not (kinds & {"PATH", "FILE"} or isinstance(option.type, click.Path)):
        return None
    there = (base / text).resolve()
    fits = there.suffix == ".toml" if option.name == "preset" else bool(text)
    if fits and (there.is_file() or (there.is_dir() and option.name == "model")):
        return there
    shipped = {
        "model": [entry.name for entry in pretrained_dir().glob("*/")],
        "preset": shipped_names("stacks"),
    }.get(option.name or "", [])
    if text in shipped or (option.name == "area" and _BOX.fullmatch(text.strip())):
        return None
    raise ConfigError(f"{place}: there is no {there}", did_you_mean(text, shipped) if shipped else "correct its path")
