"""Paths as the library takes them: text or a path object, one or several."""

import os
from collections.abc import Iterable
from pathlib import Path

from lulc.io.files.http import web_path

AnyPath = str | os.PathLike[str]
"""A path or, for inputs, a URL."""

AnyPaths = AnyPath | Iterable[AnyPath]
"""One path or several."""


def as_path(given: AnyPath) -> Path:
    """A path as an object; a URL stays one (`lulc.io.files.http.web_address`).

    Raises:
        TypeError: It is neither text nor a path.
    """
    return web_path(os.fspath(given))


def as_paths(given: AnyPaths) -> tuple[Path, ...]:
    """One path or several as objects: `"a.tif"` is one path, not five letters.

    Raises:
        TypeError: One is neither text nor a path.
    """
    if isinstance(given, str | os.PathLike):
        return (as_path(given),)
    return tuple(map(as_path, given))
