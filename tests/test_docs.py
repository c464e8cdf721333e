"""The documents are tested like code: every command is in the README, every option in the reference, every path exists."""

import re
from pathlib import Path

import click
import pytest
from reference import reference

from lulc.cli.main import cli
from lulc.errors import EXIT_CODES
from lulc.indices import INDICES
from lulc.options import Options

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/inputs.md", "docs/model.md"]


def commands(group=cli, prefix=""):
    """Every command by its full name; those of a group follow it."""
    context, found = click.Context(group), {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found[prefix + name] = command
        if isinstance(command, click.Group):
            found |= commands(command, f"{prefix}{name} ")
    return found


def options_models():
    """Every options model of a command; the commands are imported by then."""
    commands()
    found, new = set(), {Options}
    while new:
        new = {child for model in new for child in model.__subclasses__()} - found
        found |= new
    return sorted(found, key=lambda model: (model.__module__, model.__name__))


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_in_the_readme(name):
    assert f"lulc {name}" in README


def test_every_index_is_in_the_readme():
    listed = re.search(r"^Indices: ([\w, ]+)", README, re.MULTILINE)
    assert listed.group(1).strip().split(", ") == list(INDICES)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, max(parameter.opts, key=len))
        for name, command in commands().items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    ],
)
def test_every_option_is_in_the_reference(name, option):
    section = REFERENCE.partition(f"\n## lulc {name}\n")[2].partition("\n## ")[0]
    assert re.search(rf"^\| `(-\w, )?{option}[ `]", section, re.MULTILINE), f"lulc {name} {option}"


def test_the_reference_is_made_from_the_commands():
    assert reference() == REFERENCE, "make docs"


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_has_help(name):
    for parameter in commands()[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"lulc {name} {parameter.opts}"


@pytest.mark.parametrize("model", options_models(), ids=lambda model: f"{model.__module__}.{model.__name__}")
def test_every_field_of_an_options_model_is_described_once(model):
    assert [name for name, field in model.model_fields.items() if not field.description] == []
    assert "Attributes:" not in (model.__doc__ or "")


@pytest.mark.parametrize("code", sorted(EXIT_CODES))
def test_every_exit_code_is_in_the_readme(code):
    assert re.search(rf"^\| {code} \|", README, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_named_in_documents_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:lulc|configs|pipelines|tests|benchmarks|docs)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), f"{document} names {path}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_named_in_documents_exist(document):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)`", (ROOT / document).read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{document} names make {target}"
