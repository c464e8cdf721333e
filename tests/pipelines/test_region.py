"""A region by `make`: real pixels in two UTM zones; what is made, what is made again, and kills."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

from lulc.io.product_reader import open_product

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from region_samples import BANDS, write_region
from stac_items import real_pixels, write_item

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

REGION = """
name = "zones"
out = "made"
scenes = ["scene1.tif", "scene3.tif"]

[stack]
preset = "bands9"

[mosaic]
crs = "EPSG:32631"
feather = 40
"""


def command(folder, *arguments):
    return [
        "make",
        "-C",
        str(ROOT / "pipelines"),
        f"REGION={folder / 'region.toml'}",
        f"PYTHON={sys.executable}",
        *arguments,
    ]


def make(folder, *arguments):
    return subprocess.run(command(folder, *arguments), capture_output=True, text=True, check=False)


def steps(said):
    """What make runs, in order: the command and the name of what it makes."""
    lines = [line.split(" -m lulc ")[1].split() for line in said.splitlines() if " -m lulc " in line]
    return [
        (words[0], next(word for word in words[:0:-1] if "/made" in word).rpartition("/made/")[2]) for words in lines
    ]


def contents(folder):
    """Everything that was made, byte for byte; region.mk holds paths.

    A process killed just after it has published leaves its work folder, which nothing reads any more.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "region.mk"]
    return {path.relative_to(folder): path.read_bytes() for path in files if not path.parent.name.endswith(".lulc")}


@pytest.fixture(scope="module")
def region(data, tmp_path_factory):
    """A folder with two overlapping scenes of two zones and a region file, built once."""
    folder = tmp_path_factory.mktemp("region")
    with rasterio.open(data / "scenes" / "aber_s2_20210527_10band.tif") as source:
        order = [source.descriptions.index(name) + 1 for name in BANDS]
        ground = np.clip(source.read(order, window=((0, 500), (200, 700))).astype(np.uint16) * 10, 1, None)
    write_region(folder, [ground] * 4)
    (folder / "region.toml").write_text(REGION)
    dry = make(folder, "-n")
    assert not list((folder / "made").rglob("*.tif")), "a dry run makes no map"
    built = make(folder, "-j2")
    assert built.returncode == 0, built.stderr
    assert sorted(steps(dry.stdout)) == sorted(steps(built.stdout))
    return folder


def test_a_region_is_made_once(region):
    made = region / "made"
    with open_product(made / "mosaic.tif") as product:
        assert product.tags["LULC_MAPS"] == "2"
        assert product.grid.crs.to_epsg() == 32631
        assert product.has_activations
    assert "as counted" in (made / "report" / "report.md").read_text()
    assert (made / "report" / "map.png").stat().st_size > 10_000
    again = make(region, "-j2")
    assert again.returncode == 0
    assert steps(again.stdout) == []


def test_only_what_changed_is_made_again(region):
    os.utime(region / "scene3.tif")
    assert steps(make(region, "-n").stdout) == [
        ("stack", "stacks/scene3.tif"),
        ("classify", "maps/scene3.tif"),
        ("mosaic", "mosaic.tif"),
        ("report", "report"),
    ]
    before = contents(region / "made")
    assert make(region).returncode == 0
    assert contents(region / "made") == before, "the same region made again has the same bytes"
    (region / "region.toml").write_text(REGION.replace("feather = 40", "feather = 30"))
    assert [step for step, _ in steps(make(region, "-n").stdout)] == ["mosaic", "report"]
    (region / "region.toml").write_text(REGION + '[classify]\nprecision = "fp32"\n')
    assert sorted(step for step, _ in steps(make(region, "-n").stdout)) == ["classify", "classify", "mosaic", "report"]
    (region / "region.toml").write_text(REGION)
    make(region, "-t")  # as it was: nothing needs to be made again


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(region, tmp_path):
    for name in ("scene1.tif", "scene3.tif", "region.toml"):
        shutil.copy2(region / name, tmp_path / name)
    made = tmp_path / "made"
    for wanted in ("stacks/[!.]*.tif", "maps/[!.]*.tif", "mosaic.tif"):
        process = subprocess.Popen(
            command(tmp_path, "-j2"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and not list(made.glob(wanted)):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert make(tmp_path, "-j2").returncode == 0
    assert contents(made) == contents(region / "made")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stak]\npreset = 1\n", "did you mean 'stack'"),
        ("[mosaic]\nfether = 3\n", "did you mean 'feather'"),
        ("[classify]\noverwrite = true\n", "no option 'overwrite'"),
        ('[[tile]]\nname = "a b"\nscenes = ["scene1.tif"]\n', "'a b' cannot name"),
        ('[[tile]]\nname = "t"\nscenes = ["nowhere.tif"]\n', "no scene"),
        ('[[tile]]\nname = "scene1"\nscenes = ["scene1.tif"]\n', "two tiles are named scene1"),
        ('[fetch]\narea = "0,0,1,1"\n', "names no catalog|both scenes and"),
    ],
    ids=["table", "option", "ours", "name", "missing", "twice", "catalog"],
)
def test_a_region_file_with_a_mistake_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "scene1.tif").touch()
    (tmp_path / "region.toml").write_text('name = "zones"\nout = "made"\nscenes = ["scene1.tif"]\n' + text)
    result = make(tmp_path)
    assert result.returncode == 2
    line = next(line for line in result.stderr.splitlines() if line.startswith("lulc: "))
    assert re.search(message, line)
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "made" / "region.mk").exists()


def test_paths_that_make_cannot_handle_are_refused(tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "s.tif").touch()
    (folder / "region.toml").write_text('name = "z"\nout = "../made"\nscenes = ["s.tif"]\n')
    said = subprocess.run(
        [sys.executable, ROOT / "pipelines" / "region.py", folder / "region.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "make cannot handle the path" in said.stderr


def test_a_region_is_fetched_from_a_catalogue(data, tmp_path):
    """Two dates of one Sentinel-2 tile, the clearer one without its clouds, are one stack."""
    pixels = real_pixels(data / "scenes" / "aber_s2_20210527_10band.tif")
    pixels = {name: plane if name == "SCL" else plane * np.uint16(10) for name, plane in pixels.items()}
    cloudy = pixels | {"SCL": pixels["SCL"].copy()}
    cloudy["SCL"][20:60, 30:70] = 9
    stated = {"s2:processing_baseline": "03.00"}
    for name, date, cover, planes in (("A", "2021-06-03", 1.0, cloudy), ("B", "2021-06-13", 40.0, pixels)):
        write_item(
            tmp_path,
            planes,
            item_id=name,
            layout="planetary-computer",
            date=f"{date}T10:00:00Z",
            cloud=cover,
            properties=stated,
        )
    links = [{"rel": "item", "href": f"./{name}.json"} for name in "AB"]
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "local", "description": "two dates", "links": links}
    (tmp_path / "catalog.json").write_text(json.dumps(root))
    box = json.loads((tmp_path / "A.json").read_text())["bbox"]
    area = ",".join(str(value) for value in box)
    (tmp_path / "region.toml").write_text(
        f'name = "fetched"\nout = "made"\n[fetch]\ncatalog = "catalog.json"\narea = "{area}"\ndates = "2021-06-01/2021-06-30"\n'
        '[stack]\nselect = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12"]\nclouds = "scl"\n'
    )
    assert [step for step, _ in steps(make(tmp_path, "-n").stdout)] == ["fetch"]
    built = make(tmp_path, "-j2")
    assert built.returncode == 0, built.stderr
    assert steps(built.stdout) == [
        ("fetch", "scenes"),
        ("stack", "stacks/33TUL.tif"),
        ("classify", "maps/33TUL.tif"),
        ("mosaic", "mosaic.tif"),
        ("report", "report"),
    ]
    with rasterio.open(tmp_path / "made" / "stacks" / "33TUL.tif") as stack:
        source = stack.read(stack.descriptions.index("source") + 1)
    assert (source[40:120, 60:140] == 2).all()
    assert (source == 1).mean() > 0.8
    assert steps(make(tmp_path, "-n").stdout) == []
