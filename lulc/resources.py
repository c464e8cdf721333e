"""Files that ship with lulc (`configs/` and the pretrained models), and the reading of any regular file of bounded size."""

import errno
import os
import stat
from pathlib import Path

from lulc.errors import ConfigError, did_you_mean

_PACKAGE = Path(__file__).parent

SHIPPED_MODEL = "dw9-s2-10m"
"""Bundle of scenes used when `--model` is not given."""

SHIPPED_PATCH_MODEL = "eurosat-rgb"
"""Bundle of patches used when `--model` is not given."""


def configs_dir() -> Path:
    """Folder of the shipped TOML files: inside an installed wheel, else beside the package in a checkout."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def pretrained_dir() -> Path:
    """Folder with one sub-folder for each shipped model bundle."""
    return _PACKAGE / "model" / "pretrained"


def shipped_names(kind: str) -> list[str]:
    """Names of the shipped TOML files of one kind, such as `legends` or `sensors`."""
    return sorted(path.stem for path in (configs_dir() / kind).glob("*.toml"))


def config_path(kind: str, name: str | Path) -> Path:
    """Path of a TOML file, given by path or by the name of a shipped one.

    Raises:
        ConfigError: No shipped file has that name.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return path
    if str(name) not in shipped_names(kind):
        remedy = did_you_mean(str(name), shipped_names(kind))
        raise ConfigError(f"no {kind} file {name}", f"{remedy}, or give a path ending in .toml")
    return configs_dir() / kind / f"{name}.toml"


def open_regular(path: Path, limit: int | None = None) -> int:
    """Open a regular file for reading, also through a link; the caller closes the file descriptor.

    Args:
        path: The file.
        limit: Most bytes that it may hold.

    Raises:
        OSError: It cannot be opened, is no regular file, or is larger than that.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer opens at once
    status = os.fstat(handle)
    reason = "" if stat.S_ISREG(status.st_mode) else "it is no regular file"
    if not reason and limit is not None and status.st_size > limit:
        reason = f"it holds {status.st_size} bytes, at most {limit} are expected"
    if reason:
        os.close(handle)
        raise OSError(errno.EINVAL, reason, str(path))
    return handle


def read_regular(path: Path, limit: int) -> bytes:
    """Content of a regular file, whose size is checked before it is read.

    Args:
        path: The file.
        limit: Most bytes that it may hold.

    Raises:
        OSError: As `open_regular`; or it grew past the limit while it was read.
    """
    with os.fdopen(open_regular(path, limit), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EINVAL, f"it holds more than {limit} bytes", str(path))
    return content
