import pytest

from lulc.config import read_toml
from lulc.errors import ConfigError
from lulc.resources import configs_dir, pretrained_dir, shipped_names


def test_shipped_files_are_found():
    assert configs_dir().is_dir()
    assert "dynamic-world" in shipped_names("legends")
    assert pretrained_dir().parent.name == "model"


@pytest.mark.parametrize("kind", ["legends", "sensors", "stacks"])
def test_every_shipped_file_parses(kind):
    names = shipped_names(kind)
    assert names
    assert all(read_toml(kind, name) for name in names)


def test_unknown_name_lists_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"one of: .*dynamic-world"):
        read_toml("legends", "nothing")


def test_bad_toml_names_the_line(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("a = 1\nb = \n")
    with pytest.raises(ConfigError, match="line 2"):
        read_toml("legends", path)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_toml("legends", path)


def test_a_folder_instead_of_a_file(tmp_path):
    path = tmp_path / "folder.toml"
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml("legends", path)
