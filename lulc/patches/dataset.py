"""Patches in class folders: a folder or a zip archive whose sub-folders are named after their classes."""

import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lulc.errors import InputError, LimitError, StorageError, UsageError
from lulc.patches.image import MOST_BYTES, PatchImage, decode_image, read_image

IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
"""Files that count as patches."""

_MOST_PATCHES = 5_000_000
_LEAST_CLASSES, _MOST_CLASSES = 2, 250
_ZIP_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


@dataclass(frozen=True, slots=True)
class Patch:
    """One labelled patch.

    Attributes:
        name: `Class/file`, the same in a folder and in a zip archive.
        code: Class code, from 1, in the order of the set's classes.
    """

    name: str
    code: int


class PatchSet:
    """Labelled patches; made by `open_patch_set`.

    Attributes:
        path: Folder or zip archive.
        classes: Names of the class folders, sorted.
        patches: All patches, sorted by name.
    """

    def __init__(self, path: Path, root: str, files: Sequence[str], bands: Sequence[str] | None) -> None:
        self.path, self._root, self._bands = path, root, bands
        self._zip = zipfile.ZipFile(path) if path.is_file() else None
        names = sorted(file[len(root) :] for file in files)
        self.classes = tuple(sorted({name.partition("/")[0] for name in names}))
        codes = {name: code for code, name in enumerate(self.classes, 1)}
        self.patches = tuple(Patch(name, codes[name.partition("/")[0]]) for name in names)

    def read(self, patch: Patch) -> PatchImage:
        """Read the image of a patch; safe to call from several threads.

        Raises:
            InputError: The file is not an image or is damaged, or its bands are not known.
            LimitError: The image is larger than a patch may be.
            StorageError: The file cannot be read.
        """
        if self._zip is None:
            return read_image(self.path / self._root / patch.name, self._bands)
        name = f"{self.path}/{self._root}{patch.name}"
        try:
            size = self._zip.getinfo(self._root + patch.name).file_size
            if size > MOST_BYTES:
                raise LimitError(f"{name} would unpack to {size} bytes", "leave it out")
            data = self._zip.read(self._root + patch.name)
        except _ZIP_ERRORS as error:
            raise StorageError(f"{name} cannot be read: {error}", "fetch the archive again") from error
        return decode_image(data, name, self._bands)


def open_patch_set(path: Path, bands: Sequence[str] | None = None) -> PatchSet:
    """List the patches of a folder or zip archive of class folders; no patch is opened.

    The class folders may lie below others (`2750/Forest/...`), but all in one folder. Hidden files and files without an
    image's ending are skipped.

    Args:
        path: Folder or zip archive.
        bands: Names of the bands in order, when the files do not state them; or the one name of a known order.

    Raises:
        InputError: There are no patches, a class folder is empty, or class folders lie at several levels.
        LimitError: There are too many patches.
    """
    files, folders = _listed(path)
    images = [name for name in files if PurePosixPath(name).suffix.lower() in IMAGE_ENDINGS]
    if not images:
        raise InputError(
            f"{path} holds no JPEG, PNG or TIFF files in class folders", "give a folder or a zip with one per class"
        )
    if len(images) > _MOST_PATCHES:
        raise LimitError(f"{path} holds {len(images)} patches", f"lulc takes at most {_MOST_PATCHES}")
    roots = {_root(name) for name in images}
    if None in roots:
        outside = next(name for name in images if _root(name) is None)
        raise InputError(
            f"{path} holds patches outside class folders, such as {outside}", "put each into its class's folder"
        )
    if len(roots) > 1:
        first, second = sorted(str(root) for root in roots)[:2]
        raise InputError(
            f"{path}: class folders lie in {first or '.'} and in {second or '.'}", "put them into one folder"
        )
    root = str(roots.pop())
    full = {PurePosixPath(name).parent for name in images}
    empty = [folder for folder in folders if folder not in full and folder.parent == PurePosixPath(root or ".")]
    if empty:
        raise InputError(f"{path}: the class folder {empty[0].name} holds no patches", "fill it or remove it")
    if not _LEAST_CLASSES <= len(full) <= _MOST_CLASSES:
        count = "one class" if len(full) == 1 else f"{len(full)} classes"
        raise InputError(f"{path} holds {count}", f"give {_LEAST_CLASSES} to {_MOST_CLASSES} class folders")
    unreadable = next((name for name in images if not name.isprintable()), None)
    if unreadable is not None:
        raise InputError(f"{path} holds a name that is not plain text: {unreadable!r}", "rename it")
    return PatchSet(path, root, images, bands)


def check_outside(output: Path, data: Path) -> None:
    """Refuse an output inside the class folders, where it would later count as a patch.

    Raises:
        UsageError: The output lies there.
    """
    if data.is_dir() and output.resolve().is_relative_to(data.resolve()):
        raise UsageError(f"{output} lies inside the patches {data}", "choose another place")


def _listed(path: Path) -> tuple[list[str], list[PurePosixPath]]:
    """Files and folders below a folder or in a zip archive, without hidden ones."""
    if path.is_dir():
        found = sorted(path.rglob("*"))
        files = [entry.relative_to(path).as_posix() for entry in found if entry.is_file()]
        folders = [PurePosixPath(entry.relative_to(path).as_posix()) for entry in found if entry.is_dir()]
    elif path.is_file():
        files, folders = _zip_entries(path)
    else:
        raise InputError(f"there is no {path}", "check the path")
    return [name for name in files if _visible(PurePosixPath(name))], [name for name in folders if _visible(name)]


def _zip_entries(path: Path) -> tuple[list[str], list[PurePosixPath]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _ZIP_ERRORS as error:
        raise InputError(f"{path} is no zip archive: {error}", "give a folder or a zip of class folders") from error
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise InputError(f"{path} holds {twice} twice", "pack the archive again")
    folders = [PurePosixPath(name) for name in names if name.endswith("/")]
    return [name for name in names if not name.endswith("/")], folders


def _visible(name: PurePosixPath) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.parts)


def _root(name: str) -> str | None:
    """Path before the class folder, with its slash; None for a file outside any folder."""
    parts = name.split("/")
    return "".join(f"{part}/" for part in parts[:-2]) if len(parts) > 1 else None
