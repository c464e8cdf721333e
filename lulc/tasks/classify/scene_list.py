"""Lists of scenes: which there are, and what their maps are called."""

from collections.abc import Sequence
from pathlib import Path

from lulc.errors import InputError, raised_as
from lulc.resources import read_regular

_MOST_LIST_BYTES = 1 << 26
"""Of a list of scenes: some hundred thousand of them."""


def listed_scenes(path: Path) -> list[tuple[Path, ...]]:
    """Read a list of scenes: one per line, the files of one scene separated by tabs; spaces around a name do not count.

    Raises:
        InputError: The file cannot be read.
    """
    with raised_as(InputError, f"{path} cannot be read", "give a text file with one scene a line", OSError, ValueError):
        lines = read_regular(path, _MOST_LIST_BYTES).decode("utf-8-sig").splitlines()
    named = [[name.strip() for name in line.split("\t") if name.strip()] for line in lines]
    return [tuple(map(Path, names)) for names in named if names]


def scene_name(path: Path) -> str:
    """Name of a scene without its endings: `S2A_...` for `S2A_....SAFE.zip`; that of a folder keeps other dots."""
    whole = name = path.resolve().name
    for ending in (".zip", ".SAFE", ".zarr"):
        name = name.removesuffix(ending)
    return name if name != whole or path.is_dir() else Path(name).stem


def map_of(inputs: Sequence[Path], folder: Path) -> Path:
    """Where the map of a scene goes: a file of the scene's name, for the first of several that are stacked."""
    return folder / f"{scene_name(inputs[0])}.tif"
