"""What `make` needs to know of a region: reads its TOML file and prints variables and rules.

python pipelines/region.py configs/regions/x.toml [--dry]

Every target has a record, OUT/recipes/TARGET: a hash of the options and the inputs that it was made with, where an input
counts by name, size and time. A target whose record says something else is made again (`TARGET: FORCE`). The record is
emptied before a target is made and written after, so it never claims what is not so; nothing but a recipe writes it, so
`make -n` leaves no trace.
"""

import csv
import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from pydantic import Field

from lulc.config import Table, read_config
from lulc.errors import ConfigError, LulcError
from lulc.nearest import did_you_mean
from lulc.resources import pretrained_dir, shipped_names

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("fetch", "stack", "classify", "mosaic")
_FOLDERS = ("recipes/stacks", "recipes/maps", "stacks", "maps")
_MADE = ("stacks", "maps", "report", "recipes")
_MADE_BY_MAKE = {"overwrite", "json", "quiet", "verbose", "plan", "resume", "fill", "seams", "quicklook", "help"}
_ARGUMENTS = {
    "fetch": ("catalog", "folder"),
    "stack": ("in", "out"),
    "classify": ("in", "out"),
    "mosaic": ("in", "out"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NOT_FOR_MAKE = re.compile(r"[\s:#%$;|&<>()'\"*?\[\]\\~=!`]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BOX = re.compile(r"[-+0-9.eE]+(\s*,\s*[-+0-9.eE]+){3}")


class Tile(Table):
    """Scenes of one place, which become one stack: the first, its holes filled from the others."""

    name: str
    scenes: tuple[str, ...]


class Region(Table):
    """A region file. Relative paths count from its folder.

    Attributes:
        name: Of the region.
        out: Where everything is made; None is region/NAME in the project's folder.
        scenes: Scenes of one tile each, named after their files.
        tile: Tiles of several scenes.
        fetch: `catalog`, and options of `lulc fetch`: scenes are then those found, one tile for each Sentinel-2 tile.
        stack: Options of `lulc stack`, without dashes.
        classify: Those of `lulc classify`.
        mosaic: Those of `lulc mosaic`.
    """

    name: str
    out: str | None = None
    scenes: tuple[str, ...] = ()
    tile: tuple[Tile, ...] = ()
    fetch: dict[str, Any] | None = None
    stack: dict[str, Any] = Field(default={})
    classify: dict[str, Any] = Field(default={})
    mosaic: dict[str, Any] = Field(default={})


@dataclass(frozen=True)
class Options:
    """A table of options as a command line, and the files that it names."""

    words: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Target:
    """Something that make makes.

    Attributes:
        name: Of its record.
        files: What is made; the first is what make looks at.
        words: Everything but files that decides it.
        inputs: Files and folders that decide it, but for those that make makes.
    """

    name: str
    files: tuple[Path, ...]
    words: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()

    @property
    def signature(self) -> str:
        """Differs when the target has to be made again."""
        seen = [(str(file), *_seen(file)) for path in self.inputs for file in _files(path)]
        return hashlib.sha256(json.dumps([self.words, seen]).encode()).hexdigest()

    def is_due(self, out: Path) -> bool:
        """True when it was made of something else, or not wholly.

        Raises:
            ConfigError: Its files are there, but make has not made them.
        """
        there = [file for file in self.files if file.exists()]
        try:
            recorded = (out / "recipes" / self.name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            if there:
                raise ConfigError(
                    f"{there[0]} is there, not made by this region", "move it away or give another `out`"
                ) from None
            return True
        return recorded != self.signature or len(there) < len(self.files)


def main(path: Path, *, dry: bool) -> list[str]:
    """Rules for make.

    Args:
        path: The region file.
        dry: Make no folder.

    Raises:
        LulcError: The file is refused.
    """
    region = read_config(Region, path)
    _check_text(region.model_dump(), path)
    base = path.parent.resolve()
    _check_names([region.name])
    out = (base / region.out).resolve() if region.out else ROOT / "region" / region.name
    if _NOT_FOR_MAKE.search(str(out)):
        raise ConfigError(f"make cannot handle the path {out}", "name an `out` without spaces and special characters")
    options = {step: _options(path, step, getattr(region, step) or {}) for step in STEPS if _asked(region, step)}
    catalog = _catalog(region.fetch, base) if region.fetch is not None else ""
    tiles = _given(region, base)
    named = [file for step in options.values() for file in step.files]
    _check_inputs([*named, *(scene for scenes in tiles.values() for scene in scenes)], out)
    _check_folders(out)

    targets, fetches = [], False
    if region.fetch is not None:
        tiles, fetched = _fetched(out / "scenes", catalog, options["fetch"])
        targets.append(fetched)
        fetches = fetched.is_due(out)
    if not fetches:
        targets += _targets(out, options, tiles)
    lines = list(_rules(out, options, catalog, {} if fetches else tiles))
    lines += [f"FETCH := {'due' if fetches else ''}"]
    for target in targets:
        lines += [f"SIGNED.{target.name} := {target.signature}"]
        lines += [f"{target.files[0]}: FORCE"] if target.is_due(out) else []
    for folder in () if dry else _FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
    return lines


def _asked(region: Region, step: str) -> bool:
    return step != "fetch" or region.fetch is not None


def _rules(out: Path, options: dict[str, Options], catalog: str, tiles: dict[str, list[Path]]) -> Iterator[str]:
    yield f"override OUT := {out}"
    yield f"CATALOG := {_quoted(catalog) if catalog else ''}"
    yield f"ITEMS := {out / 'scenes' / 'items.csv' if catalog else ''}"
    for step, chosen in options.items():
        yield f"{step.upper()}_OPTIONS := {' '.join(map(_quoted, chosen.words))}"
    yield f"TILES := {' '.join(tiles)}"
    for name, (first, *others) in tiles.items():
        words = [_quoted(str(first)), *(f"--fill {_quoted(str(other))}" for other in others)]
        yield f"SCENES.{name} := {' '.join(words)}"


def _targets(out: Path, options: dict[str, Options], tiles: dict[str, list[Path]]) -> Iterator[Target]:
    stack, classify, mosaic = options["stack"], options["classify"], options["mosaic"]
    for name, scenes in tiles.items():
        yield Target(f"stacks/{name}", (out / "stacks" / f"{name}.tif",), stack.words, (*scenes, *stack.files))
        yield Target(f"maps/{name}", (out / "maps" / f"{name}.tif",), classify.words, classify.files)
    files = (out / "mosaic.tif", out / "mosaic.tif.sources.csv")
    yield Target("mosaic", files, (*mosaic.words, *tiles), mosaic.files)
    yield Target("report", tuple(out / "report" / name for name in ("report.md", "report.json", "map.png")))


def _given(region: Region, base: Path) -> dict[str, list[Path]]:
    """Scenes of each tile by its name, as far as the region file names them."""
    given = [(tile.name, tile.scenes) for tile in region.tile]
    given += [(Path(scene).name.split(".")[0], (scene,)) for scene in region.scenes]
    if (region.fetch is None) == (not given):
        raise ConfigError(
            f"region {region.name} has no scenes, or both scenes and [fetch]", "give scenes, [[tile]] or [fetch]"
        )
    _check_names([name for name, _ in given])
    tiles = {name: [base / scene for scene in scenes] for name, scenes in given}
    for scene in (scene for scenes in tiles.values() for scene in scenes):
        if not scene.exists():
            raise ConfigError(f"region {region.name}: there is no scene {scene}", "correct its path")
    if any(not scenes for scenes in tiles.values()):
        raise ConfigError(f"region {region.name} has a tile without scenes", "give it at least one")
    return tiles


def _fetched(folder: Path, catalog: str, options: Options) -> tuple[dict[str, list[Path]], Target]:
    """Fetched scenes by Sentinel-2 tile, those with least cloud first, and what has to be there for them to be whole.

    The recipe removes items.csv before it fetches, so the list holds what was found by the last fetch and nothing else.
    """
    listing = folder / "items.csv"
    items = []
    if listing.is_file():
        with listing.open(encoding="utf-8", newline="") as file:
            items = list(csv.DictReader(file))
    tiles: dict[str, list[Path]] = {}
    try:
        for row in sorted(items, key=lambda row: (float(row["cloud"] or 0), row["date"], row["id"])):
            tiles.setdefault(row["tile"] or Path(row["file"]).stem, []).append(folder / row["file"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{listing} is no list of fetched items", "remove it") from error
    _check_names(tiles)
    files = [scene for scenes in tiles.values() for scene in scenes]
    if not items and folder.is_dir():  # what lies there is somebody else's, unless a fetch was begun
        files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    root = () if "://" in catalog else (Path(catalog),)
    target = Target("fetch", (listing, *files), (catalog, *options.words), (*root, *options.files))
    return dict(sorted(tiles.items())), target


def _options(path: Path, step: str, table: dict[str, Any]) -> Options:
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


def _catalog(fetch: dict[str, Any], base: Path) -> str:
    catalog = fetch.get("catalog")
    if not isinstance(catalog, str) or not catalog:
        raise ConfigError("[fetch] names no catalog", 'write catalog = "https://..." or the path of a catalog.json')
    if "://" in catalog:
        return catalog
    there = (base / catalog).resolve()
    if not there.is_file():
        raise ConfigError(f"[fetch] catalog: there is no {there}", "correct its path")
    return str(there)


def _files(path: Path) -> Iterator[Path]:
    """The file, or all files below the folder."""
    if not path.is_dir():
        yield path
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(names))


def _seen(file: Path) -> tuple[int, int]:
    """Size and time by which a changed file is known; of a link that leads nowhere, none."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _quoted(word: str) -> str:
    return shlex.quote(word).replace("$", "$$").replace("#", "$(HASH)")


def _check_text(value: object, path: Path) -> None:
    """Refuse what would end a line of a makefile."""
    if isinstance(value, str) and _CONTROL.search(value):
        raise ConfigError(f"{path}: {value!r} holds a line break or another control character", "write it without")
    if isinstance(value, dict):
        value = list(value.values())
    for entry in value if isinstance(value, list | tuple) else ():
        _check_text(entry, path)


def _check_names(names: Iterable[str]) -> None:
    known: set[str] = set()
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name a file of the region", "use letters, digits, - and _")
        if name in known:
            raise ConfigError(f"two tiles are named {name}", "name them in [[tile]]")
        known.add(name)


def _check_inputs(paths: Sequence[Path], out: Path) -> None:
    """Refuse what would be written over, and folders that would change as the region is made in them."""
    made = [out / name for name in (*_MADE, "mosaic.tif", "mosaic.tif.sources.csv")]
    places = [*made, *(place.resolve() for place in made)]
    for path in paths:
        for form in (Path(os.path.abspath(path)), path.resolve()):  # noqa: PTH100 - as named, links not followed
            if any(form.is_relative_to(place) for place in places):
                raise ConfigError(f"{path} lies where the region is made", "move it or give another `out`")
            if path.is_dir() and out.is_relative_to(form):
                raise ConfigError(f"`out` {out} lies in {path}, which the region is made of", "give another `out`")


def _check_folders(out: Path) -> None:
    for folder in (out, *(out / name for name in (*_FOLDERS, *_MADE))):
        for place in (folder, *folder.parents):
            if place.exists() and not place.is_dir():
                raise ConfigError(f"{place} is a file, where the region needs a folder", "give another `out`")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("say which region: make -C pipelines REGION=configs/regions/x.toml")
    try:
        print("\n".join(main(Path(sys.argv[1]), dry="--dry" in sys.argv[2:])))
    except LulcError as refusal:
        sys.exit(f"lulc: {refusal}")
    except OSError as failure:
        sys.exit(f"lulc: {failure.filename}: {failure.strerror}")
