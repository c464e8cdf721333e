"""Typed configuration: TOML in, a frozen model out. An unknown key is refused with the nearest known one."""

from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from lulc.errors import ConfigError, did_you_mean
from lulc.resources import parse_toml

Model = TypeVar("Model", bound=BaseModel)


class Table(BaseModel):
    """Base of every table of a configuration, card, plan or of options: frozen, unknown keys refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def read_config(model: type[Model], path: Path, **changes: Any) -> Model:  # noqa: ANN401 - any key of the file
    """Read and check a TOML configuration file.

    Args:
        model: Schema of the file.
        path: TOML file. Relative paths inside it are resolved by the schema, not here.
        changes: Values that replace those of the file: `train__steps=10` replaces `steps` of `[train]`.

    Raises:
        ConfigError: The file is missing or is not TOML, or a key is unknown or a value out of range.
    """
    table = parse_toml(path)
    for key, value in changes.items():
        if value is not None:
            _set(table, key.split("__"), value)
    return parse_config(model, table, str(path))


def parse_config(model: type[Model], table: dict[str, Any], name: str) -> Model:
    """Check a parsed table against its schema.

    Args:
        model: Schema of the table.
        table: As parsed from TOML or JSON.
        name: Name of the table in error messages.

    Raises:
        ConfigError: A key is unknown (the nearest known one is named) or missing, or a value is out of range.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise _config_error(model, error, name) from error


def _config_error(model: type[BaseModel], error: ValidationError, name: str) -> ConfigError:
    first = error.errors()[0]
    key_path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys(model, [str(part) for part in first["loc"][:-1]])
        return ConfigError(f"{name}: there is no key {key_path}", did_you_mean(str(first["loc"][-1]), known))
    if first["type"] == "missing":
        return ConfigError(f"{name}: {key_path} is missing", "add it")
    message = first["msg"].removeprefix("Value error, ")
    shown = f" = {first['input']!r}" if isinstance(first["input"], str | int | float | bool) else ""
    prefix = f"{key_path}{shown}: " if key_path else ""
    return ConfigError(f"{name}: {prefix}{message}", "correct that value")


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Keys of the table at `path` below `model`, through lists of tables; those of the last table that is known."""
    for part in path:
        field = model.model_fields.get(part)
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return list(model.model_fields)


def _set(table: dict[str, Any], path: list[str], value: Any) -> None:  # noqa: ANN401
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{part} is a value, not a table: there is no {'.'.join(path)}", "correct the key")
    table[path[-1]] = value
