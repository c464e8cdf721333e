"""What `make` needs to know of a region: reads its TOML file and prints variables and rules.

python pipelines/region.py configs/regions/x.toml [--make PROCESS]

What is due (pipelines/targets.py) is forced: `TARGET: FORCE`. Folders are made only for a make that says its process
number; one that makes nothing, as with -n, does not.
"""

import argparse
import csv
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from one_make import claim
from pydantic import Field
from step_options import Options, options_of
from targets import Target

from lulc.config import Table, read_config
from lulc.errors import ConfigError, LulcError

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("fetch", "stack", "classify", "mosaic")
_FOLDERS = ("recipes/stacks", "recipes/maps", "stacks", "maps")
_MADE = ("stacks", "maps", "report", "recipes")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_NOT_FOR_MAKE = re.compile(r"[\s:#%$;|&<>()'\"*?\[\]\\~=!`]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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


def main(path: Path, make: int | None) -> list[str]:
    """Rules for make.

    Args:
        path: The region file.
        make: Process number of the make that will make it; None makes no folder.

    Raises:
        LulcError: The file is refused.
    """
    region = read_config(Region, path)
    _check_text(region.model_dump(), path)
    base = path.parent.resolve()
    _check_names([region.name], path)
    out = (base / region.out).resolve() if region.out else ROOT / "region" / region.name
    if _NOT_FOR_MAKE.search(str(out)):
        raise ConfigError(f"make cannot handle the path {out}", "name an `out` without spaces and special characters")
    options = {step: options_of(path, step, getattr(region, step) or {}) for step in STEPS if _asked(region, step)}
    catalog = _catalog(region.fetch, base) if region.fetch is not None else ""
    tiles = _given(region, path)
    named = [file for step in options.values() for file in step.files]
    _check_inputs([*named, *(scene for scenes in tiles.values() for scene in scenes)], out)
    _check_folders(out)

    targets, fetches = [], False
    if region.fetch is not None:
        tiles, fetched = _fetched(out / "scenes", catalog, options["fetch"])
        targets.append(fetched)
        fetches = fetched.is_due(out)
        if not tiles and not fetches:
            raise ConfigError(
                f"{path}: no scene was found to fetch", f"change [fetch]; to ask once more, delete {fetched.files[0]}"
            )
    if not fetches:
        targets += _targets(region.name, out, options, tiles)
    lines = list(_rules(region.name, out, options, catalog, {} if fetches else tiles))
    lines += [f"FETCH := {'due' if fetches else ''}"]
    for target in targets:
        lines += [f"SIGNED.{target.name} := {target.signature}"]
        lines += [f"{target.files[0]}: FORCE"] if target.is_due(out) else []
    if make:
        for folder in _FOLDERS:
            (out / folder).mkdir(parents=True, exist_ok=True)
        claim(out / "recipes", make)
    return lines


def _asked(region: Region, step: str) -> bool:
    return step != "fetch" or region.fetch is not None


def _rules(
    name: str, out: Path, options: dict[str, Options], catalog: str, tiles: dict[str, list[Path]]
) -> Iterator[str]:
    yield f"NAME := {name}"
    yield f"override OUT := {out}"
    yield f"CATALOG := {_quoted(catalog) if catalog else ''}"
    yield f"ITEMS := {out / 'scenes' / 'items.csv' if catalog else ''}"
    for step, chosen in options.items():
        yield f"{step.upper()}_OPTIONS := {' '.join(map(_quoted, chosen.words))}"
    yield f"TILES := {' '.join(tiles)}"
    for tile, (first, *others) in tiles.items():
        words = [_quoted(str(first)), *(f"--fill {_quoted(str(other))}" for other in others)]
        yield f"SCENES.{tile} := {' '.join(words)}"


def _targets(name: str, out: Path, options: dict[str, Options], tiles: dict[str, list[Path]]) -> Iterator[Target]:
    stack, classify, mosaic = options["stack"], options["classify"], options["mosaic"]
    for tile, scenes in tiles.items():
        yield Target(f"stacks/{tile}", (out / "stacks" / f"{tile}.tif",), stack.words, (*scenes, *stack.files))
        yield _map(f"maps/{tile}", out / "maps" / f"{tile}.tif", classify.words, classify.files)
    words, sources = (*mosaic.words, *tiles), out / "mosaic.tif.sources.csv"
    yield _map("mosaic", out / "mosaic.tif", words, mosaic.files, sources)
    report = tuple(out / "report" / file for file in ("report.md", "report.json", "map.png"))
    yield Target("report", report, (name,))


def _map(name: str, path: Path, words: tuple[str, ...], inputs: tuple[Path, ...], *more: Path) -> Target:
    beside = (path.with_suffix(".qml"), path.with_name(f"{path.name}.aux.xml"))
    return Target(name, (path, *more), words, inputs, beside)


def _given(region: Region, path: Path) -> dict[str, list[Path]]:
    """Scenes of each tile by its name, as far as the region file names them."""
    given = [(tile.name, tile.scenes) for tile in region.tile]
    given += [(Path(scene).name.split(".")[0], (scene,)) for scene in region.scenes]
    if (region.fetch is None) == (not given):
        raise ConfigError(
            f"{path}: there are no scenes, or both scenes and [fetch]", "give scenes, [[tile]] or [fetch]"
        )
    _check_names([name for name, _ in given], path)
    base = path.parent.resolve()
    tiles = {name: [base / scene for scene in scenes] for name, scenes in given}
    for scene in (scene for scenes in tiles.values() for scene in scenes):
        if not scene.exists():
            raise ConfigError(f"{path}: there is no scene {scene}", "correct its path")
    if any(not scenes for scenes in tiles.values()):
        raise ConfigError(f"{path}: a tile has no scenes", "give it at least one")
    return tiles


def _fetched(folder: Path, catalog: str, options: Options) -> tuple[dict[str, list[Path]], Target]:
    """Fetched scenes by Sentinel-2 tile, those with least cloud first, and what has to be there for them to be whole.

    The recipe removes items.csv before it fetches, so the list holds what was found by the last fetch and nothing else.
    """
    listing = folder / "items.csv"
    tiles: dict[str, list[Path]] = {}
    try:
        items = list(csv.DictReader(listing.read_text(encoding="utf-8").splitlines())) if listing.is_file() else []
        for row in sorted(items, key=lambda row: (float(row["cloud"] or 0), row["date"], row["id"])):
            tiles.setdefault(row["tile"] or Path(row["file"]).stem, []).append(folder / row["file"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{listing} is no list of fetched items", "remove it") from error
    _check_names(tiles, listing)
    files = [scene for scenes in tiles.values() for scene in scenes]
    if not items and folder.is_dir():  # what lies there is somebody else's, unless a fetch was begun
        files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    root = () if "://" in catalog else (Path(catalog),)
    target = Target("fetch", (listing, *files), (catalog, *options.words), (*root, *options.files))
    return dict(sorted(tiles.items())), target


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


def _check_names(names: Iterable[str], path: Path) -> None:
    known: set[str] = set()
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{path}: {name!r} cannot name a file of the region", "use up to 100 letters, digits, - and _"
            )
        if name in known:
            raise ConfigError(f"{path}: two tiles are named {name}", "name them in [[tile]]")
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
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # names as they are, whatever the locale
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("region", type=Path)
    parser.add_argument("--make", type=int)
    given = parser.parse_args()
    try:
        print("\n".join(main(given.region, given.make)))
    except LulcError as refusal:
        sys.exit(f"lulc: {refusal}")
    except OSError as failure:
        sys.exit(f"lulc: {failure.filename}: {failure.strerror}")
