"""Options of a command, made from a model."""

from pathlib import Path
from typing import Annotated, Literal, Self

import click
import pytest
from click.testing import CliRunner
from pydantic import Field, model_validator

from lulc.cli.params.options import model_options
from lulc.cli.params.values import Ranges
from lulc.io.files.http import web_path
from lulc.options import LIBRARY_ONLY, Bands, CreationOptions, Offset, Option, Options


class Drawing(Options):
    place: str = Field(description="Where.")
    paper_mm: Annotated[int, Option(flag="--paper")] = Field(default=297, ge=10, le=5000, description="Its side.")
    most: Annotated[int, Option(size=True, metavar="SIZE")] = Field(default=2 * 10**9, description="Most bytes.")
    share: float = Field(default=0.5, gt=0, lt=1, description="Some.")
    frame: Annotated[tuple[float, float] | None, Option(metavar="W,H", unset="none")] = Field(
        default=None, description="A frame."
    )
    colors: tuple[int, int, int] = Field(default=(1, 2, 3), description="Of the pens.")
    kind: Literal["", "pen", "ink"] = Field(default="", description="Kind.")
    fast: bool = Field(default=False, description="Hurry.")
    keep: bool = Field(default=True, description="Keep it.")
    other: Annotated[tuple[Path, ...], Option(repeat=True, web=True)] = Field(default=(), description="Others.")
    bands: Bands = None
    offset: Offset = None
    creation_options: CreationOptions = Field(default_factory=dict)
    inner: Annotated[int, LIBRARY_ONLY] = Field(default=7, le=9, description="Not for users.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.fast and self.kind == "ink":
            raise ValueError("--fast smears ink")
        return self


class Sheet(Options):
    place: str = Field(description="The same place.")
    rows: int = Field(default=1, description="Rows.")


def run(*arguments, without=()):
    got = {}

    @click.command()
    @model_options(drawing=Drawing, sheet=Sheet, without=without)
    def draw(drawing, sheet):
        got.update(drawing=drawing, sheet=sheet)

    result = CliRunner().invoke(draw, [*arguments])
    return result, got.get("drawing"), got.get("sheet")


def test_what_is_not_given_is_the_default():
    result, drawing, sheet = run("--place", "here")
    assert result.exit_code == 0, result.output
    assert drawing == Drawing(place="here")
    assert sheet == Sheet(place="here")


def test_values_become_what_the_fields_hold():
    words = "--place x --paper 420 --most 800M --share .25 --frame 2,3 --colors 4,5,6 --kind ink --no-keep"
    more = "--other a.tif --other https://h/b?c=//d -b B02,B03 --offset -1000 --co level=9 --co COMPRESS=NONE"
    _, drawing, _ = run(*words.split(), *more.split())
    assert drawing == Drawing(
        place="x",
        paper_mm=420,
        most=800_000_000,
        share=0.25,
        frame=(2, 3),
        colors=(4, 5, 6),
        kind="ink",
        keep=False,
        other=(Path("a.tif"), web_path("https://h/b?c=//d")),
        bands=("B02", "B03"),
        offset=-1000,
        creation_options={"LEVEL": "9", "COMPRESS": "NONE"},
    )


def test_auto_is_none():
    assert run("--place", "x", "--offset", "auto")[1].offset is None


@pytest.mark.parametrize(
    "line",
    [
        "--place TEXT Where. [required]",
        "--paper INTEGER RANGE Its side. [default: 297; 10<=x<=5000]",
        "--most SIZE Most bytes. [default: 2G]",
        "--share FLOAT RANGE Some. [default: 0.5; 0<x<1]",
        "--frame W,H A frame. [default: none]",
        "--colors NUMBERS Of the pens. [default: 1,2,3]",
        "--kind [pen|ink] Kind.",
        "--fast Hurry.",
        "--keep / --no-keep Keep it. [default: keep]",
        "-b, --bands B02,B03,... Names of",
        "--rows INTEGER Rows. [default: 1]",
    ],
)
def test_help_says_default_and_range(line):
    assert line in " ".join(run("--help")[0].output.split())


def test_a_field_of_the_library_is_no_option():
    assert run("--place", "x", "--inner", "3")[0].exit_code == 2


def test_a_field_can_be_left_out():
    assert run("--place", "x", "--fast", without=("fast",))[0].exit_code == 2
    assert run("--place", "x", without=("fast",))[1].fast is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "Missing option '--place'"),
        ("--place x --paper 9", "'--paper': 9 is not in the range"),
        ("--place x --share nan", "--share: Input should be"),
        ("--place x --most much", "write 800M or 2G"),
        ("--place x --most 0", "'0' is not a positive size"),
        ("--place x --most -2G", "'-2G' is not a positive size"),
        ("--place x --frame 1", "write 2 numbers with commas between them, as W,H"),
        ("--place x -b B02,,B03", "has an empty name"),
        ("--place x --co LEVEL", "write NAME=VALUE"),
        ("--place x --kind ink --fast", "--fast smears ink"),
    ],
)
def test_a_refusal_names_the_option(words, said):
    result, drawing, _ = run(*words.split())
    assert (result.exit_code, drawing) == (2, None)
    assert said in result.output


@pytest.mark.parametrize(
    ("text", "numbers"), [("3", (3,)), ("3,7,10-12", (3, 7, 10, 11, 12)), (" 1 , 2-2", (1, 2)), ("5-3", ())]
)
def test_ranges_of_numbers(text, numbers):
    assert Ranges().convert(text, None, None) == numbers


@pytest.mark.parametrize("text", ["", "a", "3,", "1-b", "-2"])
def test_what_is_no_range(text):
    with pytest.raises(click.BadParameter, match="write numbers such as 3,7,10-12"):
        Ranges().convert(text, None, None)
