import json

import click
import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from lulc.cli.sample import sample
from lulc.errors import ConfigError, LulcError, UsageError
from lulc.io.labels.points import read_points
from lulc.legend import load_legend

LEGEND = load_legend("dynamic-world")


@pytest.fixture
def product(tmp_path):
    """A map with much water, some trees and three pixels of shrub."""
    codes = np.random.default_rng(0).choice(np.uint8([1, 2]), (100, 120), p=[0.8, 0.2])
    codes[0, :3] = 6
    path = tmp_path / "map.tif"
    profile = {"crs": "EPSG:32633", "transform": Affine(10, 0, 350_000.0, 0, -10, 5_070_000.0), "nodata": 255}
    with rasterio.open(path, "w", driver="GTiff", count=1, height=100, width=120, dtype="uint8", **profile) as raster:
        raster.write(codes, 1)
        raster.update_tags(LULC_LEGEND=json.dumps(LEGEND.to_table()))
    return path


def run(*arguments):
    return CliRunner().invoke(sample, [str(argument) for argument in arguments])


class TestDone:
    def test_text(self, product, tmp_path):
        result = run(product, tmp_path / "points.gpkg")
        assert result.exit_code == 0, result.output
        assert "stratified random, seed 0" in result.output
        assert f"lulc evaluate {product} {tmp_path / 'points.gpkg'}" in result.output

    def test_json_is_one_object(self, product, tmp_path):
        table = json.loads(run(product, tmp_path / "points.csv", "--total", "200", "--json").stdout)
        points = {entry["name"]: entry["points"] for entry in table["strata"]}
        assert (table["points"], points["shrub & scrub"], points["built"]) == (200, 3, 0)
        assert points["trees"] == 50

    def test_quiet(self, product, tmp_path):
        assert run(product, tmp_path / "points.csv", "-q").output == ""

    def test_options_reach_the_design(self, product, tmp_path):
        run(product, tmp_path / "points.csv", "--target-se", "0.05", "--min-per-class", "5", "--seed", "7")
        design = read_points(tmp_path / "points.csv").design
        assert design.seed == 7
        assert [entry.points for entry in design.strata][5] == 3
        assert design.points < 50

    def test_overwrite(self, product, tmp_path):
        (tmp_path / "points.csv").write_text("old")
        assert isinstance(run(product, tmp_path / "points.csv").exception, LulcError)
        assert run(product, tmp_path / "points.csv", "--overwrite").exit_code == 0

    @pytest.mark.parametrize(
        ("text", "fewer"),
        [("0.99", True), ("water=0.99", True), ("water = 0.99, trees=0.98", True), ("0.6,built=0.9", False)],
    )
    def test_expected(self, product, tmp_path, text, fewer):
        usual = json.loads(run(product, tmp_path / "usual.csv", "--json").stdout)["points"]
        result = run(product, tmp_path / "points.csv", "--expected", text, "--json")
        assert (json.loads(result.stdout)["points"] < usual) == fewer

    def test_names_with_commas(self, product, tmp_path):
        result = run(product, tmp_path / "points.csv", "--expected", "0.8,beaches, dunes, sands=0.9")
        assert isinstance(result.exception, ConfigError)
        assert "'beaches, dunes, sands'" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--expected", "often"],
        ["--expected", "water="],
        ["--expected", ""],
        ["--expected", "0.9.1"],
        ["--expected", "1.5"],
        ["--expected", "0.9 0.8"],
        ["--target-se", "0"],
        ["--target-se", "nan"],
        ["--total", "0"],
        ["--min-per-class", "1"],
        ["--seed", "-1"],
    ],
)
def test_values_that_cannot_be(product, tmp_path, arguments):
    result = run(product, tmp_path / "points.csv", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"]


def test_refusals_name_a_remedy(product, tmp_path):
    result = run(product, tmp_path / "points.csv", "--total", "60")
    assert isinstance(result.exception, UsageError)
    assert "ask for 103 or more" in str(result.exception)


def test_every_option_has_help():
    assert all(parameter.help for parameter in sample.params if isinstance(parameter, click.Option))
