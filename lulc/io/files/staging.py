"""Publishing by rename: an output appears under its name complete and on disk, or not at all."""

import glob
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rasterio.errors import RasterioError

from lulc.errors import StorageError, UsageError
from lulc.io.files.durable import free_bytes, megabytes, storage_error, storage_errors, sync_folder

_OWN_FOLDERS = ("zarr.json", ".zgroup", ".zmetadata", "set.json")
"""A file by which a folder is known to be a Zarr group or a training set, which may be replaced."""

_SIDECARS = (".aux.xml", ".ovr", ".msk")
"""What GDAL keeps beside a raster; of a former file they would give the new one wrong colours, statistics or pixels."""


@contextmanager
def staged(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A hidden path beside `target` to write to, moved onto it when the block ends well and removed otherwise.

    The path has the target's suffix and does not exist yet; the block makes a file or a folder there. It is flushed
    to disk before it is moved.

    Args:
        target: Where the output belongs.
        overwrite: Replace an existing file or Zarr folder.

    Raises:
        StorageError: The target exists, its folder is missing or not writable, or writing failed.
    """
    check_target(target, overwrite=overwrite)
    _remove_orphans(target)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    _remove(temporary)
    try:
        with _write_errors(target):
            yield temporary
            _flush(temporary)
            check_target(target, overwrite=overwrite)  # another process may have been faster
            replaced = target.is_file()
            _replace(temporary, target)
            for ending in _SIDECARS if replaced else ():
                target.with_name(target.name + ending).unlink(missing_ok=True)
    finally:
        _remove(temporary)


def _remove_orphans(target: Path) -> None:
    """Remove what killed processes left half written for the same target."""
    for path in target.parent.glob(f".{glob.escape(target.stem)}.*.partial{glob.escape(target.suffix)}"):
        number = path.name[len(target.stem) + 2 :].partition(".")[0]
        if number.isdigit() and _is_over(int(number)):
            _remove(path)


def _is_over(process: int) -> bool:
    """True when a process has surely ended, also when nobody has asked how (a zombie)."""
    if not Path("/proc/self").exists():
        return False
    try:
        state = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return state in {b"Z", b"X"}


@contextmanager
def _write_errors(target: Path) -> Iterator[None]:
    """Turn failures of the file system and of the format libraries into one StorageError that names the target."""
    try:
        yield
    except OSError as error:
        if not error.errno:
            raise _library_error(error, target) from error
        raise storage_error(error, target) from error
    except (RasterioError, RuntimeError) as error:
        raise _library_error(error, target) from error


def _library_error(error: Exception, target: Path) -> StorageError:
    first = error.__cause__ or error
    reason = " ".join(str(first).split()) or type(first).__name__
    return StorageError(
        f"cannot write {target}: {reason}",
        f"{megabytes(free_bytes(target))} are free there; make room and run the same command again",
    )


def check_target(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a target that cannot or must not be written, before any work is done.

    Raises:
        StorageError: It exists (and may not be replaced), or its folder is missing or not writable.
    """
    folder = target.parent
    if not folder.is_dir():
        raise StorageError(f"there is no folder {folder}", "create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"{folder} is not writable", "choose another folder")
    if (target.exists() or target.is_symlink()) and not overwrite:
        raise StorageError(f"{target} exists", "use --overwrite to replace it")
    if target.is_dir() and not any((target / mark).is_file() for mark in _OWN_FOLDERS):
        raise StorageError(f"{target} is a folder of something else", "it is not replaced; choose another name")


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


def check_folder(folder: Path, names: Iterable[str], *, overwrite: bool = False) -> None:
    """Refuse a folder for some files that cannot or must not be written, before any work is done.

    Args:
        folder: Made later when it is not there.
        names: Files that will lie in it.
        overwrite: Replace those that are there.

    Raises:
        StorageError: It is a file, cannot be made or written, or holds one of the files.
    """
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


def _replace(source: Path, target: Path) -> None:
    """Move a file or folder onto the target; an old folder is set aside first and comes back when that fails."""
    aside = target.with_name(f".{target.stem}.{os.getpid()}.old{target.suffix}")
    if not (target.is_dir() and source.is_dir()):
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder")
        os.replace(source, target)  # noqa: PTH105 - the atomic call, by its name
    else:
        target.rename(aside)
        try:
            source.rename(target)
        except OSError:
            aside.rename(target)
            raise
        _remove(aside)
    sync_folder(target.parent)


def _flush(path: Path) -> None:
    for inside in (*path.rglob("*"), path) if path.is_dir() else (path,):
        _flush_one(inside)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif path.exists():
        os.truncate(path, 0)  # HDF5 keeps a file open that it could not finish, and with it the space
        path.unlink()
