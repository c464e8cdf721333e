"""Output paths, checked before any work is done: what exists, what is an input, what cannot be written."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lulc.errors import StorageError, UsageError
from lulc.io.files.names import check_name
from lulc.io.files.storage import storage_errors

_OWN_FOLDERS = ("zarr.json", ".zgroup", ".zmetadata", "set.json")
"""A file by which a folder is known to be a Zarr group or a training set, which may be replaced."""

READ_WITH = (".msk", ".msk.ovr", ".ovr")
"""What GDAL reads with a raster of the same name: a mask, and smaller copies of its pixels."""


def check_target(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a target that cannot or must not be written, before any work is done.

    Raises:
        StorageError: It exists (and may not be replaced), its name is too long, or its folder is missing or not writable.
    """
    folder = target.parent
    check_name(target)
    if not folder.is_dir():
        raise StorageError(f"there is no folder {folder}", "create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"{folder} is not writable", "choose another folder")
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise StorageError(f"{target} is a device, a pipe or a socket", "it is not replaced; choose a file")
    _refuse_strays(target, overwrite=overwrite)
    if (target.exists() or target.is_symlink()) and not overwrite:
        raise StorageError(f"{target} exists", "use --overwrite to replace it")
    if target.is_dir() and not any((target / mark).is_file() for mark in _OWN_FOLDERS):
        raise StorageError(f"{target} is a folder of something else", "it is not replaced; choose another name")


def _refuse_strays(target: Path, *, overwrite: bool) -> None:
    """Refuse a new file whose pixels would be masked or replaced by what an old one has left beside it."""
    strays = [path for path in map(target.with_name, (f"{target.name}{end}" for end in READ_WITH)) if path.exists()]
    if strays and not overwrite and not target.exists():
        raise StorageError(f"{strays[0]} would be taken for a part of {target.name}", "move it, or use --overwrite")


def check_outputs(outputs: Sequence[Path], inputs: Iterable[Path], *, overwrite: bool = False) -> None:
    """Refuse files that cannot or must not be written, before any work is done.

    Raises:
        UsageError: One is an input, or two are the same.
        StorageError: As for `check_target`.
    """
    read = {Path(path).resolve() for path in inputs}
    for number, output in enumerate(outputs):
        if output.resolve() in read:
            raise UsageError(f"{output} is an input", "choose another name")
        if output.resolve() in {other.resolve() for other in outputs[:number]}:
            raise UsageError(f"{output} is given for two outputs", "choose another name for one")
        check_target(output, overwrite=overwrite)


def refuse_inputs(outputs: Iterable[Path], files: Sequence[Path]) -> None:
    """Refuse an output that is one of the files that an input turned out to be read from.

    Raises:
        UsageError: One is, under whatever name.
    """
    for output in outputs:
        if output.exists() and any(file.exists() and file.samefile(output) for file in files):
            raise UsageError(f"{output} is an input", "choose another name")


def refuse_repeated(inputs: Iterable[Path]) -> None:
    """Refuse a file that is given twice, under whatever name.

    Raises:
        UsageError: One is.
    """
    known: set[object] = set()
    for path in inputs:
        names: set[object] = {path.resolve()}
        with suppress(OSError):  # whoever opens it says why
            status = path.stat()
            names.add((status.st_dev, status.st_ino))  # of a hard link too
        if names & known:
            raise UsageError(f"{path} is given twice", "name each once")
        known |= names


def check_folder(folder: Path, names: Iterable[str], *, overwrite: bool = False) -> None:
    """Refuse a folder for some files that cannot or must not be written, before any work is done.

    Args:
        folder: Made later when it is not there.
        names: Files that will lie in it.
        overwrite: Replace those that are there.

    Raises:
        StorageError: It is a file, cannot be made or written, or holds one of the files.
    """
    for path in (folder, *folder.parents):
        check_name(path)
    there = next(path for path in (folder, *folder.parents, Path()) if path.exists())
    if not there.is_dir():
        raise StorageError(f"{there} is a file", "choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StorageError(f"{there} is not writable", "choose another folder")
    for name in names if folder.is_dir() else ():
        check_target(folder / name, overwrite=overwrite)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """A folder for outputs that are made later; one that was not there goes again when the block fails.

    Raises:
        StorageError: It cannot be made.
    """
    check_folder(folder, ())
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in new:
            with suppress(OSError):
                path.rmdir()
        raise
