"""What `make` needs to know of a region: reads its TOML file, writes OUT/region.mk, prints OUT.

python pipelines/region.py configs/regions/x.toml

Options of each step lie in files of their own (OUT/options/), written only when they change: a target that depends on
one is made again when, and only when, its options have changed.
"""

import csv
import re
import shlex
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from pydantic import Field

from lulc.config import Table, read_config
from lulc.errors import ConfigError, LulcError
from lulc.nearest import did_you_mean

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("fetch", "stack", "classify", "mosaic")
_MADE_BY_MAKE = {"overwrite", "json", "quiet", "verbose", "plan", "resume", "fill", "seams", "quicklook", "help"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NOT_FOR_MAKE = re.compile(r"[\s:#%$;|&<>()'\"*?\[\]\\~=!`]")


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


def main(path: Path) -> Path:
    """Write what make reads.

    Returns:
        Folder in which the region is made.

    Raises:
        LulcError: The file is refused.
    """
    region = read_config(Region, path)
    out = (path.parent / region.out).resolve() if region.out else ROOT / "region" / region.name
    _check_names([region.name])
    _check_path(out)
    options = {step: _options(path, step, getattr(region, step) or {}) for step in STEPS}
    tiles = _tiles(region, path.parent.resolve(), out)
    for folder in ("options", "scenes", "stacks", "maps"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for step in STEPS:
        _write(out / "options" / step, " ".join(options[step]) + "\n")
    _write(out / "region.mk", "\n".join(_rules(region, out, options, tiles, path.parent.resolve())) + "\n")
    return out


def _rules(
    region: Region, out: Path, options: dict[str, list[str]], tiles: dict[str, list[Path]], base: Path
) -> Iterable[str]:
    yield f"# made by pipelines/region.py from {region.name}; do not edit"
    if region.fetch is not None:
        yield f"CATALOG := {_quoted(_catalog(region.fetch, base))}"
        yield f"ITEMS := {out}/scenes/items.csv"
    for step in STEPS:
        yield f"{step.upper()}_OPTIONS := {' '.join(map(_quoted, options[step]))}"
    yield f"TILES := {' '.join(tiles)}"
    for name, (first, *others) in tiles.items():
        yield f"SCENES.{name} := {first} {' '.join(f'--fill {other}' for other in others)}".rstrip()
        yield f"{out}/stacks/{name}.tif: {' '.join(map(str, [first, *others]))}"
    model = _existing(region.classify.get("model"), base)
    if model is not None:
        files = sorted(path for path in model.iterdir() if path.is_file()) if model.is_dir() else [model]
        yield f"MODEL := {' '.join(map(str, files))}"


def _tiles(region: Region, base: Path, out: Path) -> dict[str, list[Path]]:
    """Scenes of each tile by its name."""
    given = [(tile.name, tile.scenes) for tile in region.tile]
    given += [(Path(scene).name.split(".")[0], (scene,)) for scene in region.scenes]
    if (region.fetch is None) == (not given):
        raise ConfigError(
            f"region {region.name} has no scenes, or both scenes and [fetch]", "give scenes, [[tile]] or [fetch]"
        )
    _check_names([name for name, _ in given])
    tiles = {name: [base / scene for scene in scenes] for name, scenes in given}
    for scene in (scene for scenes in tiles.values() for scene in scenes):
        _check_path(scene)
        if not scene.exists():
            raise ConfigError(f"region {region.name}: there is no scene {scene}", "correct its path")
    if any(not scenes for scenes in tiles.values()):
        raise ConfigError(f"region {region.name} has a tile without scenes", "give it at least one")
    return tiles or _fetched(out / "scenes")


def _fetched(folder: Path) -> dict[str, list[Path]]:
    """Fetched scenes by Sentinel-2 tile, those with least cloud first; empty before they are fetched."""
    listing = folder / "items.csv"
    if not listing.is_file():
        return {}
    with listing.open(encoding="utf-8", newline="") as file:
        items = [row for row in csv.DictReader(file) if (folder / row["file"]).is_file()]
    tiles: dict[str, list[Path]] = {}
    for row in sorted(items, key=lambda row: (float(row["cloud"] or 0), row["date"], row["id"])):
        tiles.setdefault(row["tile"] or row["id"], []).append(folder / row["file"])
    _check_names(tiles)
    return dict(sorted(tiles.items()))


def _options(path: Path, step: str, table: dict[str, Any]) -> list[str]:
    """A table of options as a command line; paths that exist beside the region file are made absolute."""
    command: click.Command = getattr(import_module(f"lulc.cli.{step}"), step)
    known = {option.name: option for option in command.params if isinstance(option, click.Option)}
    names = {(name or "").replace("_", "-"): option for name, option in known.items() if name not in _MADE_BY_MAKE}
    names |= {
        max(option.opts, key=len).removeprefix("--"): option
        for name, option in known.items()
        if name not in _MADE_BY_MAKE
    }
    words = []
    for key, value in table.items():
        if step == "fetch" and key == "catalog":
            continue
        option = names.get(key.replace("_", "-"))
        if option is None:
            raise ConfigError(f"{path}: [{step}] has no option {key!r}", did_you_mean(key, names))
        flag = max(option.opts, key=len)
        if option.is_flag:
            words += [flag] if value else list(option.secondary_opts[:1])
        elif option.multiple:
            words += [
                word
                for entry in (value if isinstance(value, list) else [value])
                for word in (flag, _text(entry, path.parent))
            ]
        else:
            words += [flag, ",".join(map(str, value)) if isinstance(value, list) else _text(value, path.parent)]
    return words


def _text(value: object, base: Path) -> str:
    there = _existing(value, base)
    return str(there) if there is not None else str(value)


def _existing(value: object, base: Path) -> Path | None:
    """A path relative to the region file, where there is one."""
    if not isinstance(value, str) or not re.search(r"[/.]", value):
        return None
    there = (base / value).resolve()
    return there if there.exists() else None


def _catalog(fetch: dict[str, Any], base: Path) -> str:
    if not isinstance(fetch.get("catalog"), str):
        raise ConfigError("[fetch] names no catalog", 'write catalog = "https://..." or the path of a catalog.json')
    return _text(fetch["catalog"], base)


def _quoted(word: str) -> str:
    return shlex.quote(word).replace("$", "$$").replace("#", r"\#")


def _check_names(names: Iterable[str]) -> None:
    known: set[str] = set()
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name a file of the region", "use letters, digits, - and _")
        if name in known:
            raise ConfigError(f"two tiles are named {name}", "name them in [[tile]]")
        known.add(name)


def _check_path(path: Path) -> None:
    if _NOT_FOR_MAKE.search(str(path)):
        raise ConfigError(f"make cannot handle the path {path}", "use one without spaces and special characters")


def _write(path: Path, text: str) -> None:
    """Leave the file and its time alone when nothing has changed."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("say which region: make -C pipelines REGION=configs/regions/x.toml")
    try:
        print(main(Path(sys.argv[1])))
    except (LulcError, OSError) as error:
        sys.exit(f"lulc: {error}")
