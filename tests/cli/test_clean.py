"""`lulc clean` on the command line."""

import json
import subprocess
import sys
import time

import click
import numpy as np
import pytest
from click.testing import CliRunner

from lulc.cli.clean import clean
from lulc.cli.main import cli
from lulc.tasks.clean.clean import clean as write_clean
from lulc.tasks.clean.options import CleanOptions
from tests.support.change_samples import noisy, product, shares


@pytest.fixture(scope="module")
def map_(tmp_path_factory):
    return product(tmp_path_factory.mktemp("maps") / "map.tif", noisy(shares(), spread=25))


def run(*arguments):
    return CliRunner().invoke(cli, ["clean", *map(str, arguments)])


def test_text(map_, tmp_path):
    result = run(map_, tmp_path / "out.tif", "--mmu", "0.1ha")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"# {tmp_path / 'out.tif'}: {map_} cleaned\n\n**")
    assert "minimum mapping unit 0.1 ha, by activation, 8-connected" in result.stdout
    assert "patches below the unit are gone" in result.stdout
    assert "| lake " in result.stdout


def test_json(map_, tmp_path):
    table = json.loads(run(map_, tmp_path / "out.tif", "--mmu", "10px", "--connectivity", "4", "--json").stdout)
    assert table["small_patches"] == table["removed_patches"] > 10
    assert table["islands"] == 0
    assert table["changed_hectares"] == pytest.approx(table["changed_pixels"] * 0.01)
    assert sum(entry["pixels_before"] for entry in table["classes"]) == 200 * 300
    assert sum(entry["pixels_after"] for entry in table["classes"]) == 200 * 300
    assert table["output_bytes"] == (tmp_path / "out.tif").stat().st_size


def test_all_at_once(map_, tmp_path):
    options = [
        "--merge",
        "pine,oak=forest",
        "--smooth",
        "bayes",
        "--smooth-window",
        "3",
        "--smooth-strength",
        "2",
        "--mmu",
        "0.5",
    ]
    result = run(map_, tmp_path / "out.tif", *options)
    assert result.exit_code == 0, result.output
    said = (
        "merged pine,oak=forest, smoothed by bayes, window 3 px, strength 2, minimum mapping unit 0.5 ha, by activation"
    )
    assert said in result.stdout
    assert run(map_, tmp_path / "out.tif", *options, "-q").exit_code == 5
    assert run(map_, tmp_path / "out.tif", *options, "-q", "--overwrite").output == ""


REFUSALS = {
    "nothing to do": ([], 2, "nothing to do"),
    "no area": (["--mmu", "5km"], 2, "0.5ha or 10px"),
    "no area at all": (["--mmu", "0"], 2, "0.5ha or 10px"),
    "connectivity": (["--mmu", "1", "--connectivity", "6"], 2, "'6' is not one of '4', '8'"),
    "even window": (["--smooth", "bayes", "--smooth-window", "4"], 2, "no middle"),
    "wide window": (["--smooth", "bayes", "--smooth-window", "17"], 2, "3<=x<=15"),
    "strength": (["--smooth", "bayes", "--smooth-strength", "nan"], 2, "smooth-strength"),
    "another way to smooth": (["--smooth", "gauss"], 2, "gauss"),
    "both legends": (["--to", "corine-1", "--merge", "pine,oak=forest"], 2, "--to and --merge"),
    "a crosswalk to nowhere": (["--crosswalk", "walk.toml", "--mmu", "1"], 2, "--to NAME|PATH"),
    "no such class": (["--merge", "pin,oak=forest"], 2, "did you mean 'pine'?"),
    "creation option": (["--mmu", "1", "--co", "COMPRESS=LZMA"], 2, "COMPRESS"),
    "no such legend": (["--to", "corinne-1"], 4, "corine-1"),
    "no crosswalk": (["--to", "corine-1"], 4, "fine-to-corine-1"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_one_line_with_an_exit_code(map_, tmp_path, case):
    arguments, code, words = REFUSALS[case]
    result = run(map_, tmp_path / "out.tif", *arguments)
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try ")) and line]
    assert len(lines) == 1, result.stderr
    assert words in lines[0]
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "code"), [("absent.tif", 3), ("text.tif", 3)])
def test_what_is_no_map(tmp_path, name, code):
    (tmp_path / "text.tif").write_text("no map")
    result = run(tmp_path / name, tmp_path / "out.tif", "--mmu", "1")
    assert result.exit_code == code, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["text.tif"]


@pytest.mark.process
@pytest.mark.kill
def test_killed_the_same_command_ends_with_the_same_bytes(tmp_path):
    product(tmp_path / "map.tif", np.tile(noisy(shares(600, 1050), spread=25), (1, 1, 4)))
    write_clean(tmp_path / "map.tif", tmp_path / "whole.tif", CleanOptions(mmu="0.1ha"))
    out = tmp_path / "out.tif"
    process = subprocess.Popen(
        [sys.executable, "-m", "lulc", "clean", tmp_path / "map.tif", out, "--mmu", "0.1ha", "-q"]
    )
    while not list(tmp_path.glob("out.tif.lulc/chunk*.tiles")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not out.exists()
    assert write_clean(tmp_path / "map.tif", out, CleanOptions(mmu="0.1ha")).resumed_chunks >= 1
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not (tmp_path / "out.tif.lulc").exists()


def test_every_option_has_help():
    assert all(parameter.help for parameter in clean.params if isinstance(parameter, click.Option))
