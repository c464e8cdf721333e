"""The files of a bundle, in a folder or a zip archive; sizes are checked before anything is read."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lulc.errors import ModelError, raised_as
from lulc.resources import open_regular, pretrained_dir

CARD = "card.json"
WEIGHTS = "model.safetensors"

_MAX_ZIP_RATIO = 100
_PLAIN = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Others may ask for gigabytes of memory by a number in a header."""


def locate(model: str | Path) -> Path:
    """Path of a bundle given by path, or by the name of a shipped one.

    Raises:
        ModelError: There is no such bundle.
    """
    shipped = pretrained_dir() / str(model)
    for path in (Path(model), shipped):
        if os.path.lexists(path / CARD) or (path.is_file() and zipfile.is_zipfile(path)):
            return path
    names = ", ".join(sorted(path.parent.name for path in pretrained_dir().glob(f"*/{CARD}"))) or "none"
    raise ModelError(
        f"no model bundle {str(model)!r}", f"give a folder or zip with {CARD} and {WEIGHTS}, or one of: {names}"
    )


def has_member(path: Path, name: str) -> bool:
    """True when a located bundle holds a file of that name."""
    if not path.is_file():
        return os.path.lexists(path / name)
    with zipfile.ZipFile(path) as archive:
        return any(member.rpartition("/")[2] == name for member in archive.namelist())


@contextmanager
def opened_member(path: Path, name: str, limit: int) -> Iterator[IO[bytes]]:
    """Open a file of a located bundle.

    Args:
        path: From `locate`.
        name: Name of the file.
        limit: Most bytes that it may hold.

    Raises:
        ModelError: It is not there, no regular file, larger than the limit, or cannot be read.
    """
    causes = (OSError, KeyError, zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error)
    with raised_as(ModelError, f"{path}: cannot read {name}", "fetch the bundle again", *causes):
        if not path.is_file():
            with os.fdopen(open_regular(path / name, limit), "rb") as file:
                yield file
            return
        with zipfile.ZipFile(path) as archive, archive.open(_zip_member(archive, path, name, limit)) as member:
            yield member


def read_member(path: Path, name: str, limit: int) -> bytes:
    """Read a file of a located bundle.

    Raises:
        ModelError: As `opened_member`.
    """
    with opened_member(path, name, limit) as file:
        return file.read(limit)


def read_checked(path: Path, name: str, digest: str, limit: int) -> bytes:
    """Read a file of a located bundle, checked against the SHA-256 that its card states.

    Raises:
        ModelError: As `opened_member`, or it is another file.
    """
    content = read_member(path, name, limit)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(f"{path}: {name} is not the file that {CARD} describes", "fetch the bundle again")
    return content


def _zip_member(archive: zipfile.ZipFile, path: Path, name: str, limit: int) -> zipfile.ZipInfo:
    found = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == name]
    if len(found) != 1:
        raise ModelError(
            f"{path}: holds {len(found)} files named {name}", f"a bundle holds one {CARD} and one {WEIGHTS}"
        )
    size, packed = found[0].file_size, found[0].compress_size
    if size > limit or size > _MAX_ZIP_RATIO * max(packed, 1):
        raise ModelError(f"{path}: {name} would unpack to {size} bytes", "fetch the bundle again")
    if found[0].compress_type not in _PLAIN:
        raise ModelError(f"{path}: {name} is packed in an unusual way", "pack it with deflate")
    return found[0]
