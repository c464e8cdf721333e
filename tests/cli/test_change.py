"""`lulc change` on the command line."""

import json
import subprocess
import sys
import time

import click
import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

from lulc.cli.change import change
from lulc.cli.main import cli
from lulc.tasks.change.change import map_change
from tests.support.change_samples import product, shares, write_pair


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("maps"))


def run(*arguments):
    return CliRunner().invoke(cli, ["change", *map(str, arguments)])


def test_text(maps, tmp_path):
    result = run(*maps, tmp_path / "change.tif")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "# Change from before.tif to after.tif\n\n**5.0 of 600.0 ha changed (0.83%), as counted**"
    )
    assert "## As counted, hectares" in result.stdout
    assert "## Expected, hectares" in result.stdout
    assert "lulc sample" in result.stdout


def test_json_says_which_areas_are_which(maps, tmp_path):
    table = json.loads(run(*maps, tmp_path / "change.tif", "--json", "--mmu", "0", "--change-rate", "0.02").stdout)
    assert table["as_counted"]["changed_ha"] == pytest.approx(5.24)
    assert table["as_counted"]["meaning"].startswith("as counted")
    assert table["expected"]["meaning"].startswith("expected")
    assert table["adjusted"] is None
    assert (table["change_rate"], table["mmu"], table["threshold"]) == (0.02, 0, 0.5)
    lake = table["as_counted"]["classes"][0]
    assert lake["net_ha"] == pytest.approx(lake["gain_ha"] - lake["loss_ha"])
    assert lake["after_ha"] == pytest.approx(lake["before_ha"] + lake["net_ha"])


def test_folder(maps, tmp_path):
    arguments = (*maps, tmp_path / "change.tif", "--out", tmp_path / "out", "-q")
    assert run(*arguments).output == ""
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["change.png", "matrix.csv", "report.json", "report.md"]
    picture = matplotlib.image.imread(tmp_path / "out" / "change.png")
    assert min(picture.shape[:2]) > 300
    lines = (tmp_path / "out" / "matrix.csv").read_text().splitlines()
    assert lines[0] == "before,after,pixels,counted_ha,expected_ha,adjusted_ha,adjusted_low_ha,adjusted_high_ha"
    pixels = [int(line.split(",")[2]) for line in lines[1:]]
    assert sum(pixels) == 200 * 300
    result = run(*arguments)
    assert result.exit_code == 5
    assert run(*arguments, "--overwrite").exit_code == 0


REFUSALS = {
    "one map": (["{before}", "{before}", "{out}"], 2),
    "threshold": (["{before}", "{after}", "{out}", "--threshold", "0"], 2),
    "change rate": (["{before}", "{after}", "{out}", "--change-rate", "0.6"], 2),
    "mmu": (["{before}", "{after}", "{out}", "--mmu", "-1"], 2),
    "mmu not a number": (["{before}", "{after}", "{out}", "--mmu", "nan"], 2),
    "creation option": (["{before}", "{after}", "{out}", "--co", "COMPRESS=LZMA"], 2),
    "the map under a name of its report": (["{before}", "{after}", "{folder}/report.json", "--out", "{folder}"], 2),
    "no such map": (["{before}", "absent.tif", "{out}"], 3),
    "no such points": (["{before}", "{after}", "{out}", "--reference", "absent.csv"], 3),
    "no such legend": (["{before}", "{after}", "{out}", "--to", "corinne-1"], 4),
    "no crosswalk": (["{before}", "{after}", "{out}", "--to", "corine-1"], 4),
    "no such folder": (["{before}", "{after}", "{out}/change.tif"], 5),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_one_line_with_an_exit_code(maps, tmp_path, case):
    arguments, code = REFUSALS[case]
    names = {"before": maps[0], "after": maps[1], "out": tmp_path / "change.tif", "folder": tmp_path}
    result = run(*(text.format(**names) for text in arguments))
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try ")) and line]
    assert len(lines) == 1, result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.process
@pytest.mark.kill
def test_killed_the_same_command_ends_with_the_same_bytes(tmp_path):
    steps = shares(1100, 1100)
    product(tmp_path / "before.tif", steps)
    product(tmp_path / "after.tif", np.roll(steps, 9, axis=1))
    pair = tmp_path / "before.tif", tmp_path / "after.tif"
    map_change(*pair, tmp_path / "whole.tif")
    out = tmp_path / "change.tif"
    process = subprocess.Popen([sys.executable, "-m", "lulc", "change", *pair, out, "-q"])
    while not list(tmp_path.glob("change.tif.lulc/chunk*.tiles")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not out.exists()
    assert map_change(*pair, out).resumed_chunks >= 1
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not (tmp_path / "change.tif.lulc").exists()


def test_every_option_has_help():
    assert all(parameter.help for parameter in change.params if isinstance(parameter, click.Option))
