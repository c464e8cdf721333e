"""A report is written whole or not at all, with report.json last, and never over what is not a former report."""

import json
from pathlib import Path

import numpy as np
import pytest

from lulc.errors import StorageError
from lulc.io.files.atomic import write_whole
from lulc.io.report.writer import check_report, plain, write_report
from tests.support.full_disk import full_disk


class Found:
    """A report of one number."""

    def __init__(self, text="# Found\n", number=1.5):
        self.text, self.number = text, number

    def to_json(self):
        return {"number": self.number}

    def to_markdown(self):
        return self.text


def writing(content):
    return lambda path: write_whole(path, content)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_file_is_written_and_the_numbers_last(tmp_path):
    folder = tmp_path / "a" / "b"
    there = []

    def picture(path):
        there.append(sorted(contents(folder)))
        write_whole(path, b"picture")

    written = write_report(Found(), folder, {"a.png": picture, "b.csv": writing(b"table")})
    assert there == [[]]
    assert [path.name for path in written] == ["a.png", "b.csv", "report.md", "report.json"]
    assert contents(folder) == {
        "a.png": b"picture",
        "b.csv": b"table",
        "report.md": b"# Found\n",
        "report.json": b'{\n "number": 1.5\n}\n',
    }


@pytest.mark.parametrize("name", ["report.json", "report.md", "a.png", "b.png"])
def test_a_former_report_stays_unless_told(tmp_path, name):
    (tmp_path / name).write_text("mine")
    others = {"a.png": writing(b"new"), "b.png": None}
    for refused in (
        lambda: check_report(tmp_path, others),
        lambda: write_report(Found(), tmp_path, others),
    ):
        with pytest.raises(StorageError, match=f"{name} exists; use --overwrite"):
            refused()
    assert contents(tmp_path) == {name: b"mine"}
    write_report(Found(), tmp_path, others, overwrite=True)
    assert sorted(contents(tmp_path)) == ["a.png", "report.json", "report.md"]
    assert b"mine" not in contents(tmp_path).values()


def test_what_is_not_of_a_report_stays(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    write_report(Found(), tmp_path, {}, overwrite=True)
    assert contents(tmp_path)["mine.txt"] == b"mine"


def test_a_folder_that_was_made_goes_when_nothing_could_be_written(tmp_path):
    def failing(path: Path):
        raise StorageError("no", "yes")

    with pytest.raises(StorageError):
        write_report(Found(), tmp_path / "a" / "b", {"a.png": failing})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path):
    with (
        full_disk(".report.json.*/report.json"),
        pytest.raises(StorageError, match=r"disk is full while writing .*report\.json"),
    ):
        write_report(Found(), tmp_path, {})
    assert sorted(contents(tmp_path)) == ["report.md"]


def test_names_that_are_no_text_are_escaped(tmp_path):
    write_report(Found("# \udcff\n"), tmp_path, {})
    assert (tmp_path / "report.md").read_text() == "# \\udcff\n"


def test_numbers_that_json_lacks():
    table = {
        "array": np.array([[1.0, np.nan]]),
        "scalar": np.int64(3),
        "pair": (np.float64(np.inf), "text"),
        "deep": {"none": None, "value": float("nan"), "flag": True},
    }
    expected = {"array": [[1.0, None]], "scalar": 3, "pair": [None, "text"]}
    assert plain(table) == expected | {"deep": {"none": None, "value": None, "flag": True}}
    assert json.dumps(plain(table), allow_nan=False)
