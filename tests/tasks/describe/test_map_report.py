"""`lulc report`: numbers against a plain count, and nothing of the user overwritten."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import InputError, StorageError
from lulc.tasks.describe.map_report import FILES, report_map
from tests.support.product_samples import LEGEND, pixels, write

PIXEL_HA = 0.01


@pytest.fixture
def product(tmp_path):
    data = pixels(300, 400, seed=6)
    write(tmp_path / "map.tif", data)
    return tmp_path / "map.tif", data


def test_a_report_counts_what_the_map_holds(product, tmp_path):
    path, data = product
    report = report_map(path, tmp_path / "out" / "deep")
    valid = data[0] != 255
    for position, (entry, sure) in enumerate(zip(report.classes, report.confidence, strict=True), start=1):
        here = data[0] == position
        assert entry.pixels == here.sum()
        assert entry.hectares == pytest.approx(here.sum() * PIXEL_HA)
        expected = data[1:, here].max(axis=0).mean() * 0.004 if here.any() else None
        assert sure == (expected if expected is None else pytest.approx(expected, rel=1e-5))
    assert report.valid_share == pytest.approx(valid.mean())
    stored = json.loads((tmp_path / "out" / "deep" / "report.json").read_text())
    assert [entry["name"] for entry in stored["classes"]] == list(LEGEND.names)
    text = (tmp_path / "out" / "deep" / "report.md").read_text()
    assert text.startswith("# map.tif\n")
    assert "as counted" in text
    assert f"{int((data[0] == 1).sum()):,d}" in text


def test_a_report_has_the_title_that_is_asked_for(product, tmp_path):
    path, _ = product
    run = CliRunner().invoke(cli, ["report", str(path), str(tmp_path / "out"), "--title", " Bouconne,\n2021\x1b\udcff"])
    assert run.exit_code == 0, run.output
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.startswith("# Bouconne, 2021\n")
    assert "map.tif" in text
    assert json.loads((tmp_path / "out" / "report.json").read_text())["title"] == "Bouconne, 2021"


def test_classes_alone_have_no_confidence(tmp_path):
    write(tmp_path / "map.tif", pixels(100, 100, activations="none"))
    assert report_map(tmp_path / "map.tif", tmp_path / "out").confidence == (None,) * len(LEGEND)


def test_the_command_refuses_and_replaces(product, tmp_path):
    path, _ = product
    run = CliRunner().invoke(cli, ["report", str(path), str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    assert "no estimate of area" in run.output
    before = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    assert CliRunner().invoke(cli, ["report", str(path), str(tmp_path / "out")]).exit_code == StorageError.exit_code
    assert CliRunner().invoke(cli, ["report", str(path), str(tmp_path / "out"), "--overwrite", "--json"]).exit_code == 0
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == before
    scene = tmp_path / "scene.tif"
    scene.write_bytes(np.zeros(10, np.uint8).tobytes())
    assert CliRunner().invoke(cli, ["report", str(scene), str(tmp_path / "no")]).exit_code == InputError.exit_code
    assert not (tmp_path / "no").exists()
