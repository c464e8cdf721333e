"""Rasters that lead to other files: a file that a stranger made may not choose what else is opened on this machine."""

from pathlib import Path
from typing import Any

from lulc.errors import InputError

_BESIDE = ":::BASE:::"
"""How GDAL writes that overviews lie in a file beside the raster."""


def refuse_foreign_files(dataset: Any, path: Path) -> None:  # noqa: ANN401 - rasterio has no types
    """Refuse a raster whose overviews, mask or pixels are said to lie in a file that is not its own.

    To be called before anything else is asked of the dataset: GDAL opens what metadata name as overviews, wherever it
    lies, as soon as it is asked for files or overviews.

    Args:
        dataset: Just opened.
        path: What the user gave, for messages.

    Raises:
        InputError: It names another file.
    """
    overviews = [text for text in dataset.tags(ns="OVERVIEWS").values() if not text.startswith(_BESIDE)]
    if overviews:
        raise InputError(
            f"{path} names another file as its overviews, {overviews[0][:200]}", "remove that item of its metadata"
        )
    strays = [file for file in dataset.files if "://" not in file and not _belongs(Path(file), Path(dataset.name))]
    if strays:
        raise InputError(f"{path} points to another file, {strays[0]}", "give a file that holds its own pixels")


def _belongs(file: Path, path: Path) -> bool:
    """True for the file itself, what lies beside it under its name, and members of an archive."""
    inside = str(file).startswith("/vsizip/")
    return inside or (file.parent.resolve() == path.parent.resolve() and file.name.startswith(path.stem))
