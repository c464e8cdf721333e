import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.tasks.describe.info import shipped_features


def run(*arguments):
    return CliRunner().invoke(cli, ["info", *map(str, arguments)])


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.tif"
    pixels = np.random.default_rng(0).integers(300, 4000, (2, 100, 80)).astype(np.uint16)
    profile = {"crs": "EPSG:32633", "transform": Affine(10, 0, 350_000.0, 0, -10, 5_070_000.0), "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", count=2, height=100, width=80, dtype="uint16", **profile) as raster:
        raster.write(pixels)
        raster.descriptions = ("B04", "B08")
    return path


def test_text(scene):
    result = run(scene)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{scene}: scene\n")
    assert "EPSG:32633" in result.stdout


def test_json_is_one_object(scene):
    found = json.loads(run(scene, "--json").stdout)
    assert (found["kind"], found["height"], found["width"]) == ("scene", 100, 80)
    assert [row["band"] for row in found["bands"]] == ["B04", "B08"]
    assert len(found["problems"]) == len(shipped_features())


def test_options_reach_the_scene(scene):
    found = json.loads(run(scene, "--offset", "-1000", "--quantification", "5000", "-b", "B02,B03", "--json").stdout)
    assert (found["offset"], found["quantification"], found["radiometry_from"]) == (-1000, 5000, "option")
    assert [row["band"] for row in found["bands"]] == ["B02", "B03"]


@pytest.mark.parametrize(("name", "content"), [("absent.tif", None), ("text.tif", "no raster"), ("empty.tif", "")])
def test_refusals_are_one_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_text(content)
    result = run(tmp_path / name)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_no_path_is_a_usage_error():
    assert run().exit_code == 2
