import json

import pytest
from click.testing import CliRunner

from lulc.cli.main import cli
from tests.support.product_samples import names, pixels, write


@pytest.fixture
def product(tmp_path):
    write(tmp_path / "map.tif", pixels(60, 80))
    return tmp_path / "map.tif"


def run(*arguments):
    return CliRunner().invoke(cli, ["polygons", *map(str, arguments)])


def test_text_and_json(product, tmp_path):
    done = run(product, tmp_path / "out.gpkg", "--classes", "trees, water", "--min-ha", 0.02, "--simplify", 10)
    assert done.exit_code == 0, done.output
    assert f"polygons of {product}" in done.stdout
    assert "below 0.02 ha" in done.stdout
    told = json.loads(run(product, tmp_path / "other.parquet", "--json").stdout)
    assert told["polygons"] == sum(entry["polygons"] for entry in told["classes"])
    assert told["left_out"] == {"polygons": 0, "hectares": 0}
    assert len(told["classes"]) == 9


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["out.tif"], 2, "end it in .gpkg or .parquet"),
        (["out.gpkg", "--classes", "tree"], 2, "did you mean 'trees'?"),
        (["out.gpkg", "--min-ha", "-1"], 2, "--min-ha"),
        (["out.gpkg", "--simplify", "nan"], 2, "--simplify"),
        (["none/out.gpkg"], 5, "there is no folder"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(product, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    done = run("map.tif", *arguments)
    assert done.exit_code == code, done.output
    assert message in done.stderr.splitlines()[-1]
    assert names(tmp_path) == ["map.qml", "map.tif", "map.tif.aux.xml"]


def test_what_is_no_map(tmp_path):
    (tmp_path / "map.tif").write_bytes(b"no map")
    done = run(tmp_path / "map.tif", tmp_path / "out.gpkg")
    assert done.exit_code == 3
    assert len(done.stderr.splitlines()) == 1
    assert names(tmp_path) == ["map.tif"]
