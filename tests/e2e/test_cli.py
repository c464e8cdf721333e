"""The command as a user calls it: bad input is one line and a documented exit code, and leaves nothing behind."""

import json
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from tests.support.command import lulc

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")


@pytest.fixture
def folder(tmp_path):
    """A folder with one small good scene."""
    write(tmp_path / "scene.tif")
    return tmp_path


def write(path, *, height=60, width=70, names=BANDS, dtype=np.uint16, value=None, **profile):
    rng = np.random.default_rng(0)
    pixels = rng.integers(100, 4000, (len(BANDS), height, width)).astype(dtype)
    if value is not None:
        pixels[:] = value
    place = {"crs": "EPSG:32631", "transform": from_origin(356040, 4835680, 10, 10), "nodata": 0} | profile
    with rasterio.open(
        path, "w", driver="GTiff", count=len(BANDS), height=height, width=width, dtype=pixels.dtype, **place
    ) as target:
        target.write(pixels)
        if names:
            target.descriptions = names
    return path


def test_classify_prints_areas_and_leaves_the_product(folder):
    asked = [folder / "scene.tif", folder / "map.tif", "--quicklook", folder / "map.png", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "lulc", "classify", *asked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert sum(entry["hectares"] for entry in report["classes"]) == pytest.approx(60 * 70 * 0.01)
    assert report["plan"]["exact"]
    assert {"read", "infer", "write", "publish"} <= set(report["stages"])
    assert 0 < report["start_up_s"] < report["seconds"]
    assert report["bound"] in {"read", "infer", "write"}
    assert {path.name for path in folder.iterdir()} == {
        "scene.tif",
        "map.tif",
        "map.tif.aux.xml",
        "map.qml",
        "map.png",
    }


def test_the_plan_is_json_too_and_writes_nothing(folder):
    done = lulc("classify", folder / "scene.tif", folder / "map.tif", "--plan", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cost_factor"] > 1
    assert not (folder / "map.tif").exists()


def test_bands_can_be_named(folder):
    write(folder / "plain.tif", names=None)
    done = lulc("classify", folder / "plain.tif", folder / "map.tif", "--bands", ",".join(BANDS))
    assert done.returncode == 0, done.stderr
    lulc("classify", folder / "scene.tif", folder / "named.tif")
    with rasterio.open(folder / "map.tif") as first, rasterio.open(folder / "named.tif") as second:
        assert (first.read() == second.read()).all()


def truncated(folder):
    content = write(folder / "cut.tif", height=400, width=400).read_bytes()
    (folder / "cut.tif").write_bytes(content[: len(content) // 2])
    return folder / "cut.tif"


def disguised(folder):
    (folder / "evil.tif").write_text(
        '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        "<SourceFilename>/etc/hostname</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return folder / "evil.tif"


CASES = {
    "missing file": (lambda folder: folder / "nothing.tif", [], 3, "no such file"),
    "truncated": (truncated, [], (3, 5), "cut.tif"),
    "wrong bands": (lambda folder: write(folder / "a.tif", names=("B01", *BANDS[1:])), [], 3, "lacks B02"),
    "no band names": (lambda folder: write(folder / "a.tif", names=None), [], 3, "--bands"),
    "too few names": (lambda folder: folder / "scene.tif", ["--bands", "B02,B03"], 3, "names 2 bands"),
    "all nodata": (lambda folder: write(folder / "a.tif", value=0), ["--require-data"], 3, "no valid pixel"),
    "no CRS": (lambda folder: write(folder / "a.tif", crs=None, transform=None), [], 3, "--allow-no-georef"),
    "complex": (lambda folder: write(folder / "a.tif", dtype=np.complex64, nodata=None), [], 3, "complex64"),
    "VRT named .tif": (disguised, [], 3, "point elsewhere"),
    "unknown model": (lambda folder: folder / "scene.tif", ["--model", "nothing"], 4, "no model bundle"),
    "window too small": (lambda folder: folder / "scene.tif", ["--window", "64"], 2, "--window"),
    "memory": (lambda folder: folder / "scene.tif", ["--max-memory", "1M"], 6, "--max-memory"),
    "no such device": (lambda folder: folder / "scene.tif", ["--device", "cuda:77"], 2, "--device cpu"),
    "creation option": (lambda folder: folder / "scene.tif", ["--co", "COMPRESS=RAR"], 2, "COMPRESS"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_the_right_code(folder, case):
    make, arguments, code, message = CASES[case]
    scene = make(folder)
    before = sorted(folder.iterdir())
    done = lulc("classify", scene, folder / "map.tif", *arguments)
    assert done.returncode in (code if isinstance(code, tuple) else (code,)), done.stderr
    assert message in done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.iterdir()) == before


def test_an_existing_output_needs_overwrite(folder):
    (folder / "map.tif").write_text("mine")
    done = lulc("classify", folder / "scene.tif", folder / "map.tif")
    assert done.returncode == 5
    assert "--overwrite" in done.stderr
    assert (folder / "map.tif").read_text() == "mine"


def test_the_input_is_never_the_output(folder):
    before = (folder / "scene.tif").read_bytes()
    done = lulc("classify", folder / "scene.tif", folder / "scene.tif", "--overwrite")
    assert done.returncode == 2
    assert "is an input" in done.stderr
    assert (folder / "scene.tif").read_bytes() == before


def test_a_folder_that_is_not_there(folder):
    done = lulc("classify", folder / "scene.tif", folder / "no" / "map.tif")
    assert done.returncode == 5
    assert done.stderr.strip().count("\n") == 0


def test_a_full_disk_is_an_error_and_leaves_nothing(folder):
    import os

    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    small = folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], check=False).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        write(folder / "large.tif", height=600, width=700)
        done = lulc("classify", folder / "large.tif", small / "map.tif")
        assert done.returncode == 5, done.stderr
        assert "free" in done.stderr
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_usage_errors_come_from_click(folder):
    done = lulc("classify", folder / "scene.tif", folder / "map.tif", "--halo", "wide")
    assert done.returncode == 2
    assert "--halo" in done.stderr
    assert lulc("--help").returncode == 0
    assert "Exit codes" in lulc("--help").stdout
