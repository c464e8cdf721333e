"""Documents that somebody else wrote: TOML or JSON in, a frozen model out. An unknown key is refused with the nearest known one."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from lulc.errors import ConfigError, did_you_mean, raised_as
from lulc.resources import config_path, read_regular

Model = TypeVar("Model", bound=BaseModel)

_MOST_TOML_BYTES = 4 << 20
_DEEPEST = 100
"""Levels of lists and tables. Deeper documents would end Python's stack here, or in whatever walks through them later."""

_BOM = "\ufeff"


_PYDANTIC = re.compile(r"^(Input|String|Tuple|List|Dictionary) should ")

_LONGEST = 60
"""Characters of a value that a message quotes."""


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


def parse_config(model: type[Model], table: object, name: str, example: str = "") -> Model:
    """Check a parsed table against its schema.

    Args:
        model: Schema of the table.
        table: As parsed from TOML or JSON.
        name: Name of the table in error messages.
        example: A table that is right, for people who have never seen one; ends each message.

    Raises:
        ConfigError: A key is unknown (the nearest known one is named) or missing, or a value is out of range.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problem, remedy = _complaint(model, error, table)
        raise ConfigError(f"{name}: {problem}", f"{remedy}; {example}" if example else remedy) from error


_KINDS = {
    "bool": "must be true or false",
    "dict": "must be a table",
    "float": "must be a number",
    "int": "must be a whole number",
    "list": "must be a list",
    "model": "must be a table",
    "path": "must be a path",
    "string": "must be a text",
    "tuple": "must be a list",
}
"""What TOML and JSON call the types of pydantic's `..._type` and `..._parsing` errors."""


def _complaint(model: type[BaseModel], error: ValidationError, table: object) -> tuple[str, str]:
    """Problem and remedy of the first error."""
    first = error.errors()[0]
    key_path, row = ".".join(str(part) for part in first["loc"]), _row(table, first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys(model, [str(part) for part in first["loc"][:-1]])
        return f"there is no key {key_path}{row}", did_you_mean(str(first["loc"][-1]), known)
    if first["type"] == "missing":
        return f"{key_path} is missing{row}", "add it"
    kind, _, what = first["type"].partition("_")
    message = _KINDS.get(kind, "") if what in ("type", "parsing", "from_float", "attributes_type") else ""
    message = message or _PYDANTIC.sub("must ", first["msg"].removeprefix("Value error, "))
    shown = f" = {_short(first['input'])}" if isinstance(first["input"], str | int | float | bool) else ""
    prefix = f"{key_path}{shown}{row}: " if key_path else ""
    return prefix + message, "correct that value"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _row(table: object, path: Sequence[int | str]) -> str:
    """The name of the row of a list that a path leads into, such as ` (of 'water')`; empty when it has none."""
    for place, part in enumerate(path):
        if isinstance(part, int) and isinstance(table, list | tuple) and part < len(table):
            row = table[part]
            name = row.get("name") if isinstance(row, dict) and path[place + 1 :] != ("name",) else None
            return f" (of {_short(name)})" if isinstance(name, str) else ""
        table = table.get(part) if isinstance(table, dict) else None
    return ""


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


def read_toml(kind: str, name: str | Path) -> dict[str, Any]:
    """Parse a TOML file, given by path or by the name of a shipped one.

    Args:
        kind: Sub-folder of `configs/`, such as `legends`.
        name: `dynamic-world` for a shipped file, or a path ending in `.toml`.

    Raises:
        ConfigError: There is no such file, or it is not valid TOML.
    """
    return parse_toml(config_path(kind, name))


def parse_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        ConfigError: There is no such file, or it is not valid TOML.
    """
    missing = raised_as(ConfigError, f"{path} cannot be read", "give the path of a TOML file", OSError)
    with raised_as(ConfigError, f"{path} is not valid TOML", "correct that file", ValueError), missing:
        return parse_toml_text(read_regular(path, _MOST_TOML_BYTES))


def parse_json(content: str | bytes) -> Any:  # noqa: ANN401 - whatever the document holds
    """Parse a JSON document.

    Args:
        content: Text, or its bytes in UTF-8 (with or without a byte order mark), UTF-16 or UTF-32.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return _shallow(json.loads(content.removeprefix(_BOM) if isinstance(content, str) else content))
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError as error:
        raise _not_text(error) from error


def parse_toml_text(content: str | bytes) -> dict[str, Any]:
    """Parse a TOML document.

    Args:
        content: Text, or its bytes in UTF-8; a byte order mark and the line ends of Windows are accepted.

    Raises:
        ValueError: It is not UTF-8, not TOML, or nested too deeply.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_text(error) from error
    try:
        table: dict[str, Any] = _shallow(tomllib.loads(text.removeprefix(_BOM)))
    except RecursionError:
        raise _too_deep() from None
    return table


def _shallow(document: Any) -> Any:  # noqa: ANN401
    """The document, when it is not nested too deeply; looked at level by level, so its depth costs no stack."""
    level = [document]
    for _ in range(_DEEPEST):
        level = [part for value in level for part in _parts(value) if isinstance(part, dict | list)]
        if not level:
            return document
    raise _too_deep()


def _parts(value: Any) -> Any:  # noqa: ANN401
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _not_text(error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"line {error.object.count(10, 0, error.start) + 1} is not UTF-8 text: save the file as UTF-8")


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {_DEEPEST} levels deep")
