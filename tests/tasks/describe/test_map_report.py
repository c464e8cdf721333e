"""`lulc report`: numbers against a plain count, and nothing of the user overwritten."""

import json

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import InputError, StorageError
from lulc.io.product.bands import CLOUDS
from lulc.tasks.describe.info import describe
from lulc.tasks.describe.map_report import FILES, report_map
from tests.support.product_samples import LEGEND, grid_of, pixels, write

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


@pytest.fixture
def flagged(tmp_path):
    """A map with blocks of clouds and shadows, and its bands."""
    data = pixels(300, 400, seed=6)
    blocks = np.random.default_rng(6).choice(3, (15, 20), p=(0.7, 0.2, 0.1))
    sky = np.where(data[0] == 255, 255, np.kron(blocks, np.ones((20, 20), int)))
    both = np.concatenate([data, sky[None].astype(np.uint8)])
    write(tmp_path / "map.tif", both, activations="uint8", extra=[CLOUDS])
    return tmp_path / "map.tif", both


def test_a_report_counts_clouds_apart(flagged, tmp_path):
    path, data = flagged
    report = report_map(path, tmp_path / "out")
    classes, sky = data[0], data[-1]
    valid = classes != 255
    for entry, (code, name) in zip(report.clouds, [(1, "cloud"), (2, "shadow")], strict=True):
        assert (entry.code, entry.name, entry.pixels) == (code, name, (sky == code).sum())
        assert entry.hectares == pytest.approx((sky == code).sum() * PIXEL_HA)
        assert entry.share == pytest.approx((sky == code).sum() / valid.sum())
    expected = [((sky > 0) & (classes == code)).sum() / (classes == code).sum() for code in range(1, 10)]
    assert report.flagged == pytest.approx(tuple(expected))
    assert sum(entry.pixels for entry in report.classes) == valid.sum()
    cloud, shadow = report.clouds
    line = f"Flagged: {cloud.hectares:,.1f} ha, {cloud.share:.2%} cloud; {shadow.hectares:,.1f} ha, {shadow.share:.2%} shadow."
    text = (tmp_path / "out" / "report.md").read_text()
    assert f"{line} Areas count flagged pixels as the class" in text
    assert f"{expected[0]:.2%} |" in text
    run = CliRunner().invoke(cli, ["report", str(path), str(tmp_path / "other")])
    assert line in run.stdout.splitlines()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["clouds"][0]["name"] == "cloud"


def test_a_map_that_flags_nothing_is_reported_without(product, tmp_path):
    report = report_map(product[0], tmp_path / "out")
    assert (report.clouds, report.flagged, report.flagged_lines()) == ((), (None,) * 9, [])
    assert "lagged" not in (tmp_path / "out" / "report.md").read_text()


def test_clouds_of_a_map_without_a_place_have_no_hectares(tmp_path):
    data = pixels(60, 80, activations="none")
    sky = np.where(data == 255, 255, 1).astype(np.uint8)
    write(tmp_path / "map.tif", np.concatenate([data, sky]), extra=[CLOUDS], grid=grid_of(60, 80, crs=None))
    report = report_map(tmp_path / "map.tif", tmp_path / "out")
    assert report.flagged_lines() == ["Flagged: 100.00% cloud; 0.00% shadow."]


def test_info_tells_clouds_and_a_damaged_band(flagged, monkeypatch):
    path, data = flagged
    valid = (data[0] != 255).sum()
    found = describe([path])
    shares = {name: round((data[-1] == code).sum() / valid, 4) for code, name in ((1, "cloud"), (2, "shadow"))}
    assert found.facts["flagged"] == shares
    assert f"cloud {shares['cloud']:.10g}, shadow {shares['shadow']:.10g}" in found.to_text()
    assert found.problems == ()
    with monkeypatch.context() as patch:
        patch.setattr("lulc.tasks.describe.product_check._MOST_COUNTED", 1000)
        assert "flagged" not in describe([path]).facts
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        target.write(np.full((1, 300, 400), 7, np.uint8), [11])
    assert "the band clouds holds what lulc does not write" in describe([path]).problems
    with pytest.raises(InputError, match="band clouds of"):
        report_map(path, path.parent / "out")
