"""A region by `make`: real pixels in two UTM zones; what is made, what is made again, and kills."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio

from lulc.io.product.reader import open_product
from tests.support.region_samples import BANDS, write_region
from tests.support.stac_items import real_pixels, write_item

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

FAKE = """
publish() { echo "$2" > "$1.new"; mv "$1.new" "$1"; }
for word; do case $word in */made/*) out=$word ;; esac; done
case $3 in
fetch)
  test -f "$(dirname "$0")/offline" && exit 5
  mkdir -p "$out" && cp "$(dirname "$0")/found.csv" "$out/items.csv"
  sed 1d "$out/items.csv" | while IFS=, read -r id date cloud tile file; do test -e "$out/$file" || echo x > "$out/$file"; done ;;
report) mkdir -p "$out"; for name in map.png report.json report.md; do publish "$out/$name" "$*"; done ;;
mosaic) publish "$out" "$*"; publish "$out.sources.csv" "$*" ;;
*) publish "$out" "$*" ;;
esac
"""
"""What stands for lulc where only what is made matters: it writes its command line to its output."""


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
    """Everything that was made, byte for byte, without records, which depend on paths and times.

    A process killed just after it has published leaves its work folder, which nothing reads any more.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "recipes" not in path.parts]
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
    assert not (folder / "made").exists(), "a dry run makes nothing"
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
    report = (made / "report" / "report.md").read_text()
    assert report.startswith("# zones\n")
    assert "as counted" in report
    assert (made / "report" / "map.png").stat().st_size > 10_000
    again = make(region, "-j2")
    assert again.returncode == 0
    assert steps(again.stdout) == []


def test_only_what_changed_is_made_again(region):
    times = (0, (region / "scene3.tif").stat().st_mtime_ns)
    os.utime(region / "scene3.tif")
    assert steps(make(region, "-n").stdout) == [
        ("stack", "stacks/scene3.tif"),
        ("classify", "maps/scene3.tif"),
        ("mosaic", "mosaic.tif"),
        ("report", "report"),
    ]
    os.utime(region / "scene3.tif", ns=times)
    (region / "region.toml").write_text(REGION.replace("feather = 40", "feather = 30"))
    assert [step for step, _ in steps(make(region, "-n").stdout)] == ["mosaic", "report"]
    (region / "region.toml").write_text(REGION + '[classify]\nprecision = "fp32"\n')
    assert sorted(step for step, _ in steps(make(region, "-n").stdout)) == ["classify", "classify", "mosaic", "report"]
    (region / "region.toml").write_text(REGION)
    assert steps(make(region, "-n").stdout) == [], "as it was"


def kill(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.kill
def test_killed_at_work_it_ends_with_the_same_bytes(region, tmp_path):
    shutil.copy2(region / "scene1.tif", tmp_path / "scene1.tif")
    (tmp_path / "region.toml").write_text(REGION.replace(', "scene3.tif"', ""))
    made = tmp_path / "made"
    for wanted in ("stacks/[!.]*.tif", "maps/.*"):
        process = subprocess.Popen(
            command(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and not list(made.glob(wanted)):
            time.sleep(0.02)
        kill(process)
    assert make(tmp_path, str(made / "maps" / "scene1.tif")).returncode == 0
    for name in ("stacks/scene1.tif", "maps/scene1.tif"):
        assert (made / name).read_bytes() == (region / "made" / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stak]\npreset = 1\n", "did you mean 'stack'"),
        ("[mosaic]\nfether = 3\n", "did you mean 'feather'"),
        ("[classify]\noverwrite = true\n", "overwrite is not for a region file"),
        ('[[tile]]\nname = "a b"\nscenes = ["scene1.tif"]\n', "'a b' cannot name"),
        ('[[tile]]\nname = "t"\nscenes = ["nowhere.tif"]\n', "no scene"),
        ('[[tile]]\nname = "scene1"\nscenes = ["scene1.tif"]\n', "two tiles are named scene1"),
        ('[fetch]\narea = "0,0,1,1"\ndates = "2021"\n', "names no catalog|both scenes and"),
        ('[fetch]\ncatalog = "https://x.org"\narea = "0,0,1,1"\n', "--dates"),
        ('[fetch]\ncatalog = "https://x.org"\narea = "x.geojson"\n', "there is no .*x.geojson"),
        ("[mosaic]\nfeather = -1\n", "feather.*-1 is not in the range"),
        ('[mosaic]\nmethod = "firstt"\n', "firstt.*is not one of"),
        ("[mosaic]\nbounds = [1, 2, 3]\n", "4 numbers"),
        ('[classify]\nallow-no-georef = "no"\n', "write true or false"),
        ("[classify]\nhalo = true\n", "write a number"),
        ("[classify]\nplan = true\n", "plan is not for a region file"),
        ('[classify]\nmodel = "no/such"\n', "there is no .*no/such"),
        ("[stack]\nquicklook = true\n", "no option 'quicklook'"),
        ('[classify]\nmodel = "eurosat-rgb"\n', "there is no .*eurosat-rgb"),
        ('[mosaic]\ncreation-options = "COMPRESS=LZW"\n', "no option 'creation-options'"),
        ('[stack]\npreset = "bands8"\n', "did you mean 'bands9'"),
        ('[mosaic]\ncrs = "EPSG:1\\nX := 1"\n', "line break"),
    ],
    ids=[
        "table",
        "option",
        "ours",
        "name",
        "missing",
        "twice",
        "catalog",
        "required",
        "area",
        "range",
        "choice",
        "callback",
        "flag",
        "truth",
        "plan",
        "model",
        "of another command",
        "patches",
        "inner name",
        "preset",
        "newline",
    ],
)
def test_a_region_file_with_a_mistake_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "scene1.tif").touch()
    (tmp_path / "region.toml").write_text('name = "zones"\nout = "made"\nscenes = ["scene1.tif"]\n' + text)
    result = make(tmp_path)
    assert result.returncode == 2
    line = next(line for line in result.stderr.splitlines() if line.startswith("lulc: "))
    assert re.search(message, line)
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "made").exists()


def test_paths_that_make_cannot_handle_are_refused(tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "s.tif").touch()
    (folder / "region.toml").write_text('name = "z"\nout = "made"\nscenes = ["s.tif"]\n')
    said = subprocess.run(
        [sys.executable, ROOT / "pipelines" / "region.py", folder / "region.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "make cannot handle the path" in said.stderr
    spaced = make(folder)
    assert spaced.returncode == 2
    assert "without spaces" in spaced.stderr


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
    smaller = (*box[:2], (box[0] + box[2]) / 2, box[3])
    (tmp_path / "region.toml").write_text(
        f'name = "fetched"\nout = "made"\n[fetch]\ncatalog = "catalog.json"\narea = "{area}"\ndates = "2021-06-01/2021-06-30"\n'
        '[stack]\nselect = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12"]\nclouds = "scl"\n'
    )
    (tmp_path / "fake.sh").write_text(f'case $3 in fetch | stack) exec {sys.executable} "$@" ;; esac\n{FAKE}')
    lulc = f"LULC=sh {tmp_path}/fake.sh -m lulc"
    assert [step for step, _ in steps(make(tmp_path, lulc, "-n").stdout)] == ["fetch"]
    built = make(tmp_path, lulc, "-j2")
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
    assert steps(make(tmp_path, lulc, "-n").stdout) == []
    text = (tmp_path / "region.toml").read_text()
    (tmp_path / "region.toml").write_text(text.replace("[stack]", "max-cloud = 90\n[stack]"))
    kept = make(tmp_path, lulc)
    assert [step for step, _ in steps(kept.stdout)] == ["fetch"], "the same scenes"
    (tmp_path / "region.toml").write_text(text.replace("06-01/", "06-10/").replace(area, ",".join(map(str, smaller))))
    again = make(tmp_path, lulc)
    assert again.returncode == 0, again.stderr
    assert [step for step, _ in steps(again.stdout)] == ["fetch", "stack", "classify", "mosaic", "report"]
    with rasterio.open(tmp_path / "made" / "stacks" / "33TUL.tif") as stack:
        assert stack.shape[1] < source.shape[1]
        assert "source" not in stack.descriptions, "the first date fits no more"


SCENES = 'name = "z"\nout = "made"\nscenes = ["a.tif", "b.tif"]\n'
TILE = 'name = "z"\nout = "made"\n[[tile]]\nname = "t"\nscenes = ["a.tif", "b.tif"]\n'
ALL = ["stack", "classify", "mosaic", "report"]


class Quick:
    """A region of files that hold nothing, made by what stands for lulc."""

    def __init__(self, folder):
        self.folder = folder
        self.made = folder / "made"
        (folder / "fake.sh").write_text(FAKE)
        for name in ("a.tif", "b.tif"):
            (folder / name).write_text(name)

    def write(self, text):
        (self.folder / "region.toml").write_text(text)
        return self

    def make(self, *arguments, lulc=""):
        return make(self.folder, f"LULC={lulc or f'sh {self.folder}/fake.sh'} -m lulc", *arguments)

    def run(self):
        """Commands that were run."""
        done = self.make()
        assert done.returncode == 0, done.stderr
        return [step for step, _ in steps(done.stdout)]

    def dry(self):
        """Commands that would be run."""
        return [step for step, _ in steps(self.make("-n").stdout)]


@pytest.fixture
def quick(tmp_path):
    return Quick(tmp_path)


def test_the_list_of_scenes_counts(quick):
    assert sorted(quick.write(SCENES).run()) == sorted([*ALL, "stack", "classify"])
    assert quick.write(SCENES.replace(', "b.tif"', "")).run() == ["mosaic", "report"]
    assert "/b.tif" not in (quick.made / "mosaic.tif").read_text()
    assert quick.write(SCENES.replace('"a.tif", "b.tif"', '"b.tif", "a.tif"')).dry() == ["mosaic", "report"]
    assert quick.run() == ["mosaic", "report"]
    assert quick.run() == []


def test_the_scenes_of_a_tile_count_however_old(quick):
    assert quick.write(TILE).run() == ALL
    assert quick.write(TILE.replace('"a.tif", "b.tif"', '"b.tif"')).run() == ALL
    assert "a.tif" not in (quick.made / "stacks" / "t.tif").read_text()
    os.utime(quick.folder / "b.tif", (1, 1))
    assert quick.dry() == ALL, "replaced by an older file"


@pytest.mark.kill
def test_what_is_taken_back_is_made_again_only_if_it_was_made(quick):
    other = TILE + "[stack]\nchunk = 512\n"
    quick.write(TILE).run()
    assert quick.write(other).dry() == ALL
    assert quick.write(TILE).run() == []
    assert quick.write(other).run() == ALL
    assert quick.write(TILE).run() == ALL
    killer = quick.folder / "killer.sh"
    killer.write_text('sh "$(dirname "$0")/fake.sh" "$@"; kill -9 $PPID\n')
    assert quick.write(other).make(lulc=f"sh {killer}").returncode == -signal.SIGKILL
    assert "512" in (quick.made / "stacks" / "t.tif").read_text()
    assert quick.write(TILE).dry() == ALL, "made, but never recorded"


@pytest.mark.kill
def test_killed_and_changed_at_any_moment_nothing_is_stale(quick):
    """Half of the runs have other options; the last has not, and what it leaves says so."""
    other = SCENES + "[stack]\nchunk = 512\n[classify]\nhalo = 1\n[mosaic]\nfeather = 1\n"
    quick.write(SCENES).run()
    wanted = contents(quick.made)
    (quick.folder / "slow.sh").write_text('sleep 0.01; sh "$(dirname "$0")/fake.sh" "$@"; sleep 0.02')
    moments = np.random.default_rng(5).uniform(0, 0.12, 8)
    for number, moment in enumerate(moments):
        quick.write(SCENES if number % 2 else other)
        records = {path: path.stat().st_mtime_ns for path in (quick.made / "recipes").rglob("*")}
        process = subprocess.Popen(
            command(quick.folder, f"LULC=sh {quick.folder}/slow.sh -m lulc"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None and all(path.stat().st_mtime_ns == then for path, then in records.items()):
            time.sleep(0.002)
        time.sleep(moment)
        kill(process)
    quick.write(SCENES).run()
    left = {name: text for name, text in contents(quick.made).items() if name.suffix != ".new"}
    assert left == wanted
    assert quick.dry() == []


def test_files_that_options_name_count(quick):
    (quick.folder / "mine.toml").write_text("")
    (quick.folder / "mymodel").mkdir()
    (quick.folder / "mymodel" / "a b.json").write_text("")
    quick.write(TILE + '[stack]\npreset = "mine.toml"\n[classify]\nmodel = "mymodel"\n').run()
    assert f"--model {quick.folder}/mymodel" in (quick.made / "maps" / "t.tif").read_text()
    (quick.folder / "mine.toml").write_text("# another")
    assert quick.dry() == ALL
    assert quick.run() == ALL
    (quick.folder / "mymodel" / "a b.json").write_text("another")
    assert quick.dry() == ALL[1:]


def test_files_of_a_scene_that_is_a_folder_count(quick):
    band = quick.folder / "x y.SAFE" / "GRANULE" / "B 02.jp2"
    band.parent.mkdir(parents=True)
    band.write_text("1")
    quick.write(TILE.replace('"a.tif", "b.tif"', '"x y.SAFE"')).run()
    band.write_text("22")
    assert quick.dry() == ALL


def test_side_products_come_back(quick):
    quick.write(TILE).run()
    for name, wanted in (("report/report.json", ["report"]), ("mosaic.tif.sources.csv", ["mosaic", "report"])):
        (quick.made / name).unlink()
        assert quick.run() == wanted
        assert (quick.made / name).exists()


def test_odd_values_reach_the_command_as_they_are(quick):
    odd = "a#b\\#c $(shell x) 'd' \"e"
    quick.write(TILE + f"[mosaic]\ncrs = {json.dumps(odd)}\n").run()
    assert f"--crs {odd} --overwrite" in (quick.made / "mosaic.tif").read_text()


def test_fetch_options_and_items_count(quick):
    head = "id,date,cloud,tile,file\n"
    rows = ["A,2021-06-01,9,,A.tif\n", "B,2021-06-02,5,31TCJ,B.tif\n", "C,2021-06-03,7,31TCJ,C.tif\n"]
    (quick.folder / "found.csv").write_text(head + "".join(rows))
    (quick.folder / "x.geojson").write_text("{}")
    text = 'name = "z"\nout = "made"\n[fetch]\ncatalog = "https://x.org"\narea = "x.geojson"\ndates = "2021-06-01/.."\n'
    (quick.folder / "offline").touch()
    failed = quick.write(text).make()
    assert failed.returncode == 2
    assert "No such file" not in failed.stderr
    (quick.folder / "offline").unlink()
    assert sorted(quick.run()) == sorted(["fetch", *ALL, "stack", "classify"])
    assert "B.tif --fill" in (quick.made / "stacks" / "31TCJ.tif").read_text()
    (quick.folder / "found.csv").write_text(head + rows[2])
    assert quick.write(text.replace("06-01", "06-03")).run() == ["fetch", *ALL]
    assert "B.tif" not in (quick.made / "stacks" / "31TCJ.tif").read_text(), "still there, fits no more"
    (quick.folder / "x.geojson").write_text("{ }")
    assert quick.run() == ["fetch"], "the files are kept"
    (quick.made / "scenes" / "C.tif").unlink()
    assert quick.dry() == ["fetch"]
    assert quick.run() == ["fetch", *ALL]
    assert quick.run() == []


@pytest.mark.parametrize(
    ("out", "scene"),
    [
        (".", "maps/sc.tif"),
        (".", "stacks/sc.tif"),
        (".", "mosaic.tif"),
        ("x.SAFE/made", "x.SAFE"),
        (".", "link/sc.tif"),
    ],
)
def test_scenes_where_the_region_is_made_are_refused(quick, out, scene):
    if scene.endswith(".SAFE"):
        (quick.folder / scene).mkdir()
    else:
        (quick.folder / "maps").mkdir()
        (quick.folder / "stacks").mkdir()
        (quick.folder / "link").symlink_to("maps")
        (quick.folder / scene).write_text("mine")
    result = quick.write(f'name = "z"\nout = "{out}"\nscenes = ["{scene}"]\n').make()
    assert result.returncode == 2
    assert re.search("lulc: .*(lies where|lies in)", result.stderr)
    assert not (quick.folder / "recipes").exists()


@pytest.mark.parametrize(
    "name", ["mosaic.tif", "maps/t.tif", "report/map.png", "mosaic.qml", "maps/t.tif.aux.xml", "recipes/mosaic"]
)
def test_files_of_others_are_not_written_over(quick, name):
    theirs = quick.made / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    result = quick.write(TILE).make()
    assert result.returncode == 2
    assert "not made by this region" in result.stderr
    assert theirs.read_text() == "mine"


def test_folders_of_others_are_not_fetched_into(quick):
    (quick.made / "scenes").mkdir(parents=True)
    (quick.made / "scenes" / "mine.tif").touch()
    quick.write(
        'name = "z"\nout = "made"\n[fetch]\ncatalog = "https://x.org"\narea = "0,0,1,1"\ndates = "2021-06-01/.."\n'
    )
    assert "not made by this region" in quick.make().stderr


def test_out_is_a_folder_and_said_in_the_file(quick):
    quick.made.touch()
    assert "is a file, where" in quick.write(TILE).make().stderr


@pytest.mark.parametrize("word", ["OUT=x", "NAME=y", "TILES=t", "MOSAIC_OPTIONS=--feather 5", "SIGNED.mosaic=0", "-e"])
def test_the_command_line_has_no_say(quick, word):
    result = quick.write(TILE).make(word)
    assert result.returncode == 2
    assert "leave out" in result.stderr
    assert not quick.made.exists()


def test_two_makes_of_one_region_are_refused(quick):
    (quick.folder / "slow.sh").write_text(
        'd=$(dirname "$0"); touch "$d/begun"; while ! test -e "$d/go"; do sleep 0.05; done; sh "$d/fake.sh" "$@"'
    )
    quick.write(TILE)
    slow = command(quick.folder, f"LULC=sh {quick.folder}/slow.sh -m lulc")
    with subprocess.Popen(slow, stdout=subprocess.DEVNULL) as first:
        while not (quick.folder / "begun").exists():
            time.sleep(0.02)
        second = quick.make()
        assert quick.make("-n").returncode == 0, "asking harms nobody"
        (quick.folder / "go").touch()
    assert second.returncode == 2
    assert f"another make (process {first.pid}) is at work" in second.stderr
    assert first.returncode == 0
    assert quick.run() == []


def test_a_project_whose_path_make_cannot_handle(tmp_path):
    shutil.copytree(ROOT / "pipelines", tmp_path / "a b" / "pipelines")
    result = make(tmp_path, "-C", str(tmp_path / "a b" / "pipelines"))
    assert result.returncode == 2
    assert "path of this project" in result.stderr


def test_a_fetch_that_found_nothing_is_no_region(quick):
    (quick.folder / "found.csv").write_text("id,date,cloud,tile,file\n")
    text = 'name = "z"\nout = "made"\n[fetch]\ncatalog = "https://x.org"\narea = "0,0,1,1"\ndates = "2021-06-01/.."\n'
    for _ in range(2):
        empty = quick.write(text).make()
        assert empty.returncode == 2
        assert "no scene was found to fetch" in empty.stderr
    (quick.made / "scenes" / "items.csv").write_bytes(b"id,date\n\xff,1\n")
    assert "is no list of fetched items" in quick.make().stderr
