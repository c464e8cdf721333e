"""Configuration: unknown keys refused with the nearest name, values named, files located."""

import pytest
from pydantic import Field

from lulc.config import Table, parse_config, parse_json, read_config
from lulc.errors import ConfigError


class Inner(Table):
    steps: int = Field(default=3, ge=1)
    rate: float = 1e-3


class Outer(Table):
    name: str
    fit: Inner = Inner()
    parts: tuple[Inner, ...] = ()


def test_a_file_is_read(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('name = "x"\n[fit]\nsteps = 7\n')
    assert read_config(Outer, file) == Outer(name="x", fit=Inner(steps=7))


def test_changes_replace_keys_and_none_does_not(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('name = "x"\n')
    assert read_config(Outer, file, fit__steps=9, name=None) == Outer(name="x", fit=Inner(steps=9))


def test_a_change_below_a_value_is_refused(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('name = "x"\n')
    with pytest.raises(ConfigError, match=r"name is a value, not a table: there is no name\.steps"):
        read_config(Outer, file, name__steps=9)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "x", "fit": {"stesp": 1}}, r"no key fit\.stesp; did you mean 'steps'"),
        ({"nam": "x"}, "name is missing|no key nam"),
        ({"name": "x", "fit": {"steps": 0}}, r"fit\.steps = 0"),
        ({"name": 3}, "name = 3"),
        ({"name": "x", "parts": [{"stesp": 1}]}, r"no key parts\.0\.stesp; did you mean 'steps'"),
    ],
)
def test_what_is_wrong_is_named(table, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(Outer, table, "file")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_are_finite(tmp_path, number):
    file = tmp_path / "a.toml"
    file.write_text(f'name = "x"\n[fit]\nrate = {number}\n')
    with pytest.raises(ConfigError, match=r"fit\.rate = .*finite"):
        read_config(Outer, file)


NESTED = 10_000


@pytest.mark.parametrize(
    "text", ["[" * NESTED + "]" * NESTED, '{"a":' * NESTED + "1" + "}" * NESTED, "[" * 101 + "]" * 101, "[" * NESTED]
)
@pytest.mark.parametrize("kind", [str, str.encode])
def test_json_that_is_nested_deeply_or_cut_is_a_value_error(text, kind):
    with pytest.raises(ValueError, match=r"nested more than 100 levels deep|Expecting value"):
        parse_json(kind(text))


def test_json_of_a_hundred_levels_is_read():
    found = parse_json("[" * 100 + "]" * 100)
    for _ in range(99):
        (found,) = found
    assert found == []


def test_json_that_is_no_text_names_the_line():
    with pytest.raises(ValueError, match="line 2 is not UTF-8 text: save the file as UTF-8"):
        parse_json('{"a": 1,\n"é": 2}'.encode("latin-1"))


@pytest.mark.parametrize("value", ["[" * NESTED + "]" * NESTED, "{a=" * NESTED + "1" + "}" * NESTED])
def test_toml_that_is_nested_deeply_is_one_line(tmp_path, value):
    (tmp_path / "a.toml").write_text(f"name = {value}")
    with pytest.raises(
        ConfigError, match=r"a\.toml is not valid TOML: it is nested more than 100 levels deep; correct"
    ):
        read_config(Outer, tmp_path / "a.toml")


def test_marks_and_line_ends_of_windows_are_read(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfname = 'x'\r\n[fit]\r\nsteps = 7\r\n")
    assert read_config(Outer, tmp_path / "a.toml").fit.steps == 7


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "file: must be a table"),
        (None, "file: must be a table"),
        ({"name": ["x"]}, "file: name: must be a text"),
        ({"name": "x", "fit": [{}]}, "file: fit: must be a table"),
        ({"name": "x", "fit": {"steps": 1.5}}, r"file: fit\.steps = 1\.5: must be a whole number"),
        ({"name": "x", "fit": {"steps": "y"}}, r"file: fit\.steps = 'y': must be a whole number"),
        ({"name": "x", "fit": {"rate": []}}, r"file: fit\.rate: must be a number"),
        ({"name": "x", "parts": {}}, "file: parts: must be a list"),
        ({"name": "x", "fit": {"steps": 0}}, r"fit\.steps = 0: must be greater than or equal to 1"),
        ({"name": "x" * 500, "fit": 3, "more": "y" * 500}, r"fit = 3: must be a table"),
    ],
)
def test_types_are_called_as_the_file_calls_them(table, message):
    with pytest.raises(ConfigError, match=message) as found:
        parse_config(Outer, table, "file")
    assert len(str(found.value)) < 200


def test_an_example_ends_the_message():
    with pytest.raises(ConfigError, match='name is missing; add it; such as name = "x"'):
        parse_config(Outer, {}, "file", 'such as name = "x"')


@pytest.mark.parametrize(("content", "message"), [(b"name = ", "not valid TOML"), (b"\xff", "not valid TOML")])
def test_not_toml(tmp_path, content, message):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_config(Outer, tmp_path / "a.toml")


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(Outer, tmp_path / "a.toml")
