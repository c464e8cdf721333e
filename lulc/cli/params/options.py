"""Options of commands, made from the fields of options models, and those that several commands share."""

from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from lulc.cli.params.values import AutoOr, Bytes, Names, Numbers, ScenePath, parsed_settings, split_pairs
from lulc.options import Option, Options

Command = TypeVar("Command", bound=Callable[..., Any])
Chosen = TypeVar("Chosen", bound=Options)

_BOUNDS = {"ge", "gt", "le", "lt"}

scene_arguments = click.argument("inputs", metavar="SCENE...", nargs=-1, required=True, type=ScenePath(path_type=Path))
output_argument = click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
config_argument = click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))


def model_options(*, without: Collection[str] = (), **models: type[Options]) -> Callable[[Command], Callable[..., Any]]:
    """Give a command an option for each field of a model, and the checked options as one object.

    Args:
        without: Fields that the command does not offer.
        models: By the argument that the command gets the object as. Models may share fields.
    """
    fields: dict[str, FieldInfo] = {}
    for model in models.values():
        for name, field in model.model_fields.items():
            if name not in without and _on_command_line(field).offered:
                fields.setdefault(name, field)

    def decorate(command: Command) -> Callable[..., Any]:
        @wraps(command)
        def run(**given: Any) -> Any:  # noqa: ANN401 - whatever the command takes and returns
            chosen = {name: given.pop(name) for name in fields}
            objects = {
                argument: checked(model, {name: chosen[name] for name in model.model_fields if name in chosen})
                for argument, model in models.items()
            }
            return command(**given, **objects)

        for name, field in reversed(fields.items()):
            run = _click_option(name, field)(run)
        return run

    return decorate


def checked(model: type[Chosen], options: dict[str, Any]) -> Chosen:
    """Options as the object that a command takes; those not given keep its defaults.

    Raises:
        click.UsageError: A value is out of range.
    """
    try:
        return model(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        flag = f"{_flag(name, model.model_fields[name])}: " if name else ""
        raise click.UsageError(flag + first["msg"].removeprefix("Value error, ")) from error


def given_options(names: Collection[str]) -> list[str]:
    """Flags of those options of the running command that stand on its command line, of some names."""
    context = click.get_current_context()
    return [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]


def _on_command_line(field: FieldInfo) -> Option:
    """How a field stands on the command line."""
    return next((mark for mark in field.metadata if isinstance(mark, Option)), Option())


def _flag(name: str, field: FieldInfo) -> str:
    return _on_command_line(field).flag or f"--{name.replace('_', '-')}"


def _click_option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    option, flag = _on_command_line(field), _flag(name, field)
    if field.default is True:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    help_text = f"{field.description} [default: {option.unset}]" if option.unset else field.description
    default = _default(field, option)
    return click.option(
        *([option.short] if option.short else []),
        flag,
        name,
        metavar=option.metavar,
        help=help_text,
        required=field.is_required(),
        show_default=default is not None and default is not False,
        **({} if default is None else {"default": default}),  # a default of None would stand for a required value
        **_value(field, option),
    )


def _default(field: FieldInfo, option: Option) -> Any:  # noqa: ANN401 - as it stands on a command line
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if default is None:
        return "auto" if option.auto else None
    if option.size:
        return Bytes.text(default)
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or None
    return default if default not in ("", {}) else None


def _value(field: FieldInfo, option: Option) -> dict[str, Any]:
    """What click has to know of the values of an option: their type, and whether it may be repeated."""
    kind = _without_none(field.annotation)
    inner = get_args(kind)
    if kind is bool:
        return {"is_flag": True}
    if get_origin(kind) is dict:
        return {"multiple": True, "callback": split_pairs if inner[1] is str else parsed_settings}
    if get_origin(kind) is not tuple:
        single = _single(kind, field, option)
        return {"type": AutoOr(single) if option.auto else single}
    if option.repeat:
        return {"multiple": True, "type": _single(_without_none(inner[0]), field, option)}
    return {"type": Names() if inner[-1] is Ellipsis else Numbers(inner[0], len(inner))}


def _without_none(annotation: Any) -> Any:  # noqa: ANN401 - whatever annotates a field
    """The type of a value that is given; of text or path, text."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    return next(kind for kind in get_args(annotation) if kind is not NoneType)


def _single(kind: Any, field: FieldInfo, option: Option) -> click.ParamType[Any]:  # noqa: ANN401
    if option.size:
        return Bytes()
    if option.text:
        return click.STRING
    if get_origin(kind) is Literal:
        return click.Choice([choice for choice in get_args(kind) if choice])
    if kind is Path:
        return (ScenePath if option.web else click.Path)(path_type=Path)
    if kind in (int, float):
        return _number(kind, {name: getattr(mark, name) for mark in field.metadata for name in _BOUNDS & {*dir(mark)}})
    return click.STRING


def _number(kind: type, bounds: dict[str, Any]) -> click.ParamType[Any]:
    if not bounds:
        return click.INT if kind is int else click.FLOAT
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    of_kind = click.IntRange if kind is int else click.FloatRange
    return of_kind(min=low, max=high, min_open="gt" in bounds, max_open="lt" in bounds)
