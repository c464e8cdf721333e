"""Every option that takes a number, of every command: what is no finite number is refused by name before any work."""

import click
import pytest
from click.testing import CliRunner

from lulc.cli.main import cli

NUMBERS = {"FloatRange", "FloatParamType", "IntRange", "IntParamType", "AutoOr", "Bytes", "Numbers", "Ranges"}
WRONG = ("nan", "inf", "-inf", "1e999", "NaN")
TEXTS = [
    (("sample",), "--expected"),
    (("sample",), "--expected=water="),
    (("fetch",), "--area=1,2,3,"),
]
"""Options whose texts hold numbers; the wrong one is put behind."""


def commands(command, path=()):
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), (*path, name))


ALL = dict(commands(cli))
OPTIONS = [
    (path, option.opts[-1])
    for path, command in ALL.items()
    for option in command.params
    if isinstance(option, click.Option)
    and type(option.type).__name__ in NUMBERS
    and not (option.is_flag or option.count)
]


def required(command, but):
    """Something for each argument and each option that must be given."""
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield "x.tif" if parameter.type.name != "choice" else parameter.type.choices[0]
        elif parameter.required and parameter.opts[-1] != but:
            yield f"{parameter.opts[-1]}=x"


def answer(path, given, option, folder, monkeypatch):
    monkeypatch.chdir(folder)
    # What is wrong with a number is told before anything else: the files are not there.
    return CliRunner().invoke(cli, [*path, given, *required(ALL[path], option)])


def test_there_are_such_options():
    assert len(OPTIONS) > 70
    assert {path[0] for path, _ in OPTIONS} >= {
        "classify",
        "stack",
        "prepare",
        "mosaic",
        "serve",
        "patches",
        "hpc",
        "fetch",
    }


@pytest.mark.parametrize(
    ("path", "option"), OPTIONS, ids=lambda value: "-".join(value) if isinstance(value, tuple) else value
)
def test_no_number_is_refused_by_name(path, option, tmp_path, monkeypatch):
    for wrong in WRONG:
        ended = answer(path, f"{option}={wrong}", option, tmp_path, monkeypatch)
        assert isinstance(ended.exception, SystemExit), (wrong, ended.exception)
        assert ended.exit_code == 2, (wrong, ended.output)
        assert option.strip("-") in ended.output, (wrong, ended.output)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("path", "text"), TEXTS)
def test_numbers_in_texts_are_finite_too(path, text, tmp_path, monkeypatch):
    option = text.split("=")[0]
    for wrong in WRONG:
        ended = answer(path, f"{text}{'' if '=' in text else '='}{wrong}", option, tmp_path, monkeypatch)
        assert isinstance(ended.exception, SystemExit), (wrong, ended.exception)
        assert ended.exit_code in (2, 3), (wrong, ended.output)
        assert option.strip("-") in ended.output, (wrong, ended.output)
        assert not list(tmp_path.iterdir())


@pytest.mark.torch
@pytest.mark.parametrize("key", ["fit.learning_rate", "augment.haze", "fit.ema", "loss.beta"])
@pytest.mark.parametrize("wrong", ["nan", "inf", "-inf"])
def test_keys_of_a_configuration_are_finite(key, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(cli, ["train", "unet", "out", "--data", "none", "--set", f"{key}={wrong}"])
    assert (ended.exit_code, ended.output.count("\n")) == (4, 1), ended.output
    assert key in ended.output


@pytest.mark.parametrize(
    ("path", "option"),
    [
        (("change",), "--mmu"),
        (("patches", "change"), "--mmu"),
        (("mosaic",), "--resolution"),
        (("classify",), "--offset"),
        (("classify",), "--quantification"),
        (("classify",), "--halo"),
        (("stack",), "--fill-quantification"),
    ],
)
@pytest.mark.parametrize("wrong", ["1e308", "9" * 300], ids=["float", "digits"])
def test_numbers_of_no_size_that_is_meant_are_refused_in_short(path, option, wrong, tmp_path, monkeypatch):
    ended = answer(path, f"{option}={wrong}", option, tmp_path, monkeypatch)
    assert ended.exit_code == 2, ended.output
    assert option in ended.output
    assert "9" * 60 not in ended.output


def test_a_quantification_of_nearly_nothing_is_refused(tmp_path, monkeypatch):
    ended = answer(("classify",), "--quantification=1e-320", "--quantification", tmp_path, monkeypatch)
    assert ended.exit_code == 2
