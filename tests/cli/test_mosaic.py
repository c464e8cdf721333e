"""`lulc mosaic` as a command."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import UsageError
from lulc.tasks.mosaic.options import MosaicOptions
from lulc.tasks.mosaic.plan import plan_mosaic
from tests.support.product_samples import UTM, grid_of, pixels, write


def run(*arguments):
    return CliRunner().invoke(cli, ["mosaic", *map(str, arguments)])


@pytest.fixture
def maps(tmp_path):
    write(tmp_path / "a.tif", pixels(60, 80))
    write(tmp_path / "b.tif", pixels(60, 80, seed=1), grid=grid_of(60, 80, UTM.translation(400, 0) @ UTM))
    return tmp_path / "a.tif", tmp_path / "b.tif"


@pytest.mark.torch
def test_text_names_the_areas_and_json_the_maps(maps, tmp_path):
    done = run(*maps, tmp_path / "c.tif")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'c.tif'}: 2 maps, 120 x 60 px in EPSG:32631")
    assert lines[2].startswith("class ")
    assert "neighbours that differ" not in done.stdout
    done = run(*maps, tmp_path / "d.tif", "--seams")
    assert "neighbours that differ: " in done.stdout
    found = json.loads(run(*maps, tmp_path / "e.tif", "--json").stdout)
    assert (found["width"], found["height"], len(found["maps"]), found["seams"]) == (120, 60, 2, None)


@pytest.mark.torch
def test_maps_without_a_valid_pixel_are_refused(maps, tmp_path):
    write(tmp_path / "z.tif", np.full((10, 60, 80), 255, np.uint8))
    done = run(tmp_path / "z.tif", tmp_path / "c.tif")
    assert done.exit_code == 3, done.output
    assert "no map has a valid pixel there" in done.output
    assert not (tmp_path / "c.tif").exists()


def test_maps_far_apart_are_warned_of(maps, tmp_path, caplog):
    write(tmp_path / "z.tif", pixels(60, 80), grid=grid_of(60, 80, UTM.translation(300_000, 0) @ UTM))
    plan_mosaic([maps[0], tmp_path / "z.tif"], MosaicOptions())
    assert "are they of one region?" in caplog.text


def test_no_maps_and_too_many(maps, monkeypatch):
    assert run().exit_code == 2
    with pytest.raises(UsageError, match="no map is given"):
        plan_mosaic([], MosaicOptions())
    monkeypatch.setattr("lulc.tasks.mosaic.plan.SOURCES_A_BAND", 1)
    with pytest.raises(UsageError, match="2 maps are too many for one mosaic"):
        plan_mosaic(maps, MosaicOptions())
