"""Tables of options in a region file as command lines that their commands accept."""

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from lulc.config import parse_json
from lulc.errors import ConfigError, did_you_mean
from lulc.resources import SHIPPED_MODEL, config_path, pretrained_dir, shipped_names

_MADE_BY_MAKE = {
    "overwrite",
    "refresh",
    "json",
    "quiet",
    "verbose",
    "plan",
    "resume",
    "fill",
    "seams",
    "quicklook",
    "help",
}
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
        name = key.replace("_", "-")
        option = names.get(name)
        if option is None:
            raise ConfigError(
                f"{path}: [{step}] has no option {key!r}", did_you_mean(key, names.keys() - _MADE_BY_MAKE)
            )
        if name in _MADE_BY_MAKE:
            raise ConfigError(f"{place} is not for a region file", f"make decides it; lulc {step} takes it")
        flag = max(option.opts, key=len)
        if option.is_flag:
            if not isinstance(value, bool):
                raise ConfigError(f"{place} = {value!r}", "write true or false")
            words += [flag] if value else list(option.secondary_opts[:1])
            continue
        texts = _texts(value, place)
        for text in texts if option.multiple else [",".join(texts)]:
            word, named = _named(text, option, path.parent.resolve(), place)
            words += [flag, word]
            files += named
    try:
        command.make_context(step, [*words, *_ARGUMENTS[step]])
    except click.UsageError as error:
        said = " ".join(error.format_message().split())
        raise ConfigError(f"{path}: [{step}] {said.rstrip('.')}", f"see lulc {step} --help") from error
    if step == "classify" and "model" not in table:
        files.append(pretrained_dir() / SHIPPED_MODEL)
    return Options(tuple(words), tuple(files))


def _option_names(command: click.Command) -> dict[str, click.Option]:
    """Options of a command by their longest name, without dashes."""
    options = (option for option in command.params if isinstance(option, click.Option))
    return {max(option.opts, key=len).removeprefix("--"): option for option in options}


def _texts(value: object, place: str) -> list[str]:
    """A value, or the entries of a list, as they stand on a command line."""
    entries = value if isinstance(value, list) else [value]
    if any(isinstance(entry, bool | dict | list) for entry in entries):
        raise ConfigError(f"{place} = {value!r}", "write a number, a text or a list of them")
    return [str(entry) for entry in entries]


def _named(text: str, option: click.Option, base: Path, place: str) -> tuple[str, list[Path]]:
    """The word for a value, and the file that it names, counted from the folder of the region file, if it names one.

    Raises:
        ConfigError: It should name a file, and there is none that fits.
    """
    kinds = set(re.split(r"\W+", option.metavar or ""))
    if not (kinds & {"PATH", "FILE"} or isinstance(option.type, click.Path)):
        return text, []
    there = (base / text).resolve()
    fits = there.suffix == ".toml" if option.name == "preset" else bool(text)
    if fits and (there.is_file() or (there.is_dir() and option.name == "model")):
        return str(there), [there]
    shipped = _shipped(option.name)
    if text in shipped:
        return text, [shipped[text]]
    if option.name == "area" and _BOX.fullmatch(text.strip()):
        return text, []
    raise ConfigError(f"{place}: there is no {there}", did_you_mean(text, shipped) if shipped else "correct its path")


def _shipped(option: str | None) -> dict[str, Path]:
    """Files that come with lulc, by the name that an option knows them by."""
    if option == "preset":
        return {name: config_path("stacks", name) for name in shipped_names("stacks")}
    cards = pretrained_dir().glob("*/card.json") if option == "model" else []
    return {card.parent.name: card.parent for card in cards if not _is_for_patches(card)}


def _is_for_patches(card: Path) -> bool:
    return parse_json(card.read_bytes()).get("kind") == "patches"
