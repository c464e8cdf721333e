"""Paths of the files that ship with lulc: `configs/` and the pretrained models."""

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
