"""Configuration: unknown keys refused with the nearest name, values named, files located."""

import pytest
from pydantic import Field

from lulc.config import Table, parse_config, read_config
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


@pytest.mark.parametrize(("content", "message"), [(b"name = ", "not valid TOML"), (b"\xff", "not valid TOML")])
def test_not_toml(tmp_path, content, message):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_config(Outer, tmp_path / "a.toml")


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(Outer, tmp_path / "a.toml")
