import json
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from lulc.cli.main import cli

PLACE = Affine(10, 0, 350_000.0, 0, -10, 5_070_000.0)
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")


def scene_file(path, bands=BANDS, *, seed=0, hole=None, **changes):
    pixels = np.random.default_rng(seed).integers(200, 6000, (len(bands), 200, 300)).astype(np.uint16)
    if hole is not None:
        pixels[:, *hole] = 0
    profile = {"driver": "GTiff", "dtype": "uint16", "nodata": 0, "crs": "EPSG:32633", "transform": PLACE, **changes}
    with rasterio.open(path, "w", count=len(bands), height=200, width=300, **profile) as raster:
        raster.write(pixels)
        raster.descriptions = bands
        raster.update_tags(REFLECTANCE_SCALE="10000")
    return path


@pytest.fixture
def scene(tmp_path):
    return scene_file(tmp_path / "scene.tif", hole=np.s_[:50, :60])


def run(*arguments):
    return CliRunner().invoke(cli, ["stack", *map(str, arguments)])


def channels(path):
    with rasterio.open(path) as raster:
        return raster.descriptions, raster.read()


class TestDone:
    def test_preset(self, scene, tmp_path):
        result = run(scene, tmp_path / "out.tif", "--preset", "stack14")
        assert result.exit_code == 0, result.output
        names, pixels = channels(tmp_path / "out.tif")
        assert names == (*BANDS, "NDVI", "NDTI", "NDBI", "NDMI", "NDSI")
        assert np.isnan(pixels[:, :50, :60]).all()
        assert "95.00% of the pixels" in result.output

    def test_selection(self, scene, tmp_path):
        result = run(scene, tmp_path / "out.tif", "--select", "b08, b04", "--indices", "ndvi")
        assert result.exit_code == 0, result.output
        assert channels(tmp_path / "out.tif")[0] == ("B08", "B04", "NDVI")

    @pytest.mark.parametrize("suffix", ["tif", "nc", "zarr"])
    def test_json_is_one_object_on_stdout(self, scene, tmp_path, suffix):
        result = run(scene, tmp_path / f"out.{suffix}", "--select", "B04", "--json")
        report = json.loads(result.stdout)
        assert report["channels"] == ["B04"]
        assert report["valid_pixels"] == 200 * 300 - 50 * 60
        assert report["output"] == str(tmp_path / f"out.{suffix}")

    def test_quiet(self, scene, tmp_path):
        assert run(scene, tmp_path / "out.tif", "-q").output == ""

    def test_fill_twice(self, scene, tmp_path):
        second = scene_file(tmp_path / "second.tif", seed=1, hole=np.s_[:, 30:])
        third = scene_file(tmp_path / "third.tif", seed=2)
        result = run(scene, tmp_path / "out.tif", "--select", "B04", "--fill", second, "--fill", third, "--json")
        shares = json.loads(result.stdout)["sources"]
        assert [share["pixels"] for share in shares] == [57_000, 1500, 1500]
        names, pixels = channels(tmp_path / "out.tif")
        assert names == ("B04", "source")
        assert np.unique(pixels[1]).tolist() == [1, 2, 3]

    @pytest.mark.parametrize(("offset", "shift"), [("auto", 0.0), ("0", 0.0), ("-100", -0.01)])
    def test_offset(self, scene, tmp_path, offset, shift):
        result = run(scene, tmp_path / "out.tif", "--select", "B04", "--offset", offset)
        assert result.exit_code == 0, result.output
        raw = channels(scene)[1][2, 100:] / 1e4
        np.testing.assert_allclose(channels(tmp_path / "out.tif")[1][0, 100:], raw + shift, atol=1e-6)

    def test_quantification(self, scene, tmp_path):
        run(scene, tmp_path / "out.tif", "--select", "B04", "--quantification", "20000")
        raw = channels(scene)[1][2, 100:] / 2e4
        np.testing.assert_allclose(channels(tmp_path / "out.tif")[1][0, 100:], raw, atol=1e-6)

    def test_names(self, tmp_path):
        path = scene_file(tmp_path / "unnamed.tif", ("", ""))
        assert run(path, tmp_path / "out.tif", "-b", "B08,B04", "--indices", "NDVI").exit_code == 0
        assert channels(tmp_path / "out.tif")[0] == ("B08", "B04", "NDVI")


REFUSALS = {
    "unknown suffix": (["{scene}", "{folder}/out.png"], 2),
    "no output folder": (["{scene}", "{folder}/nowhere/out.tif"], 5),
    "output exists": (["{scene}", "{folder}/old.tif"], 5),
    "output is the input": (["{scene}", "{scene}", "--overwrite"], 2),
    "preset and selection": (["{scene}", "{folder}/out.tif", "--preset", "stack14", "--select", "B04"], 2),
    "unknown preset": (["{scene}", "{folder}/out.tif", "--preset", "stack15"], 4),
    "unknown index": (["{scene}", "{folder}/out.tif", "--indices", "NDVO"], 4),
    "band not there": (["{scene}", "{folder}/out.tif", "--select", "B8A"], 3),
    "no such scene": (["{folder}/absent.tif", "{folder}/out.tif"], 3),
    "no raster": (["{folder}/text.tif", "{folder}/out.tif"], 3),
    "all nodata": (["{folder}/empty.tif", "{folder}/out.tif", "--require-data"], 3),
    "grids that do not meet": (["{scene}", "{folder}/out.tif", "--fill", "{folder}/far.tif"], 3),
    "an empty name": (["{scene}", "{folder}/out.tif", "--select", "B04,,B08"], 2),
    "chunk": (["{scene}", "{folder}/out.tif", "--chunk", "300"], 2),
    "offset that is no number": (["{scene}", "{folder}/out.tif", "--offset", "often"], 2),
    "quantification 0": (["{scene}", "{folder}/out.tif", "--quantification", "0"], 2),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_one_line_with_an_exit_code_and_leave_nothing(scene, tmp_path, case):
    (tmp_path / "old.tif").write_bytes(b"old")
    (tmp_path / "text.tif").write_text("no raster")
    scene_file(tmp_path / "empty.tif", hole=np.s_[:, :])
    scene_file(tmp_path / "far.tif", transform=Affine(10, 0, 750_000, 0, -10, 5e6))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    arguments, code = REFUSALS[case]
    result = run(*(text.format(scene=scene, folder=tmp_path) for text in arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try ")) and line]
    assert len(lines) == 1, result.stderr
    assert result.stdout == ""
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.process
def test_a_folder_that_may_not_be_written(scene, tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("mounts a read-only disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", disk], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        result = run(scene, disk / "out.tif")
    finally:
        subprocess.run(["umount", disk], check=True)
    assert result.exit_code == 5
    assert len(result.stderr.splitlines()) == 1


def test_help_names_every_option():
    text = run("--help").output
    for name in (
        "--preset",
        "--select",
        "--indices",
        "--bands",
        "--offset",
        "--quantification",
        "--fill",
        "--overwrite",
        "--json",
    ):
        assert name in text
