"""What child processes do, called directly: the same answers and the same bytes as the commands give."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.transform import from_origin

from lulc.cli.main import cli
from lulc.errors import InputError, LimitError, UsageError, lacks_memory
from lulc.grid import Shape
from lulc.serve import work
from lulc.serve.child import _answer, _shown_names
from lulc.serve.uploads import UploadOptions
from lulc.tasks.classify.classify import classify
from tests.support.product_samples import pixels, write

MODELS = {"model": "dw9-s2-10m", "patch_model": "eurosat-rgb", "device": "cpu", "max_memory": 8_000_000_000}
VALUES = 2_000_000_000


def silent(_stage, _done, _total):
    """Nobody is told."""


def stored(tmp_path, source):
    """An upload under the server's own name, in a folder of its own."""
    folder = tmp_path / "job"
    folder.mkdir()
    shutil.copyfile(source, folder / "upload")
    return folder


def given(**fields):
    return UploadOptions.of(fields).given()


@pytest.fixture(scope="module")
def scene_path(data):
    return data / "scenes" / "australia_20181201_l2a_12band.tif"


@pytest.mark.slow
def test_the_product_of_an_upload_is_that_of_the_command(tmp_path, scene_path):
    folder = stored(tmp_path, scene_path)
    told = []
    options = given(bands="B01,B02,B03,B04,B05,B06,B07,B08,B8A,B09,B11,B12")
    done = work.scene(
        lambda *stage: told.append(stage), str(folder / "upload"), scene_path.name, str(folder), options, **MODELS
    )
    classify([scene_path], tmp_path / "map.tif")
    assert (folder / "map.tif").read_bytes() == (tmp_path / "map.tif").read_bytes()
    assert {stage for stage, _, _ in told} == {"classifying", "drawing", "reporting"}
    assert done["seconds"] > 0
    with zipfile.ZipFile(folder / "report.zip") as report:
        assert sorted(report.namelist()) == ["map.png", "report.json", "report.md"]
        assert json.loads(report.read("report.json"))["title"] == scene_path.name
        assert b"upload" not in report.read("report.md")
    assert not (folder / "report").exists()
    with rasterio.open(folder / "base.tif") as base, rasterio.open(scene_path) as source:
        assert base.shape == source.shape


def test_a_patch_is_answered_as_by_the_command(tmp_path, data):
    with zipfile.ZipFile(data / "eurosat_rgb.zip") as archive:
        name = next(
            member for member in archive.namelist() if member.startswith("SeaLake/") and member.endswith(".jpg")
        )
        (tmp_path / "lake.jpg").write_bytes(archive.read(name))
    folder = stored(tmp_path, tmp_path / "lake.jpg")
    assert work.inspect(silent, str(folder / "upload"), "lake.jpg", given(), VALUES, **MODELS) == {"kind": "patch"}
    answer = work.patch(silent, str(folder / "upload"), "lake.jpg", str(folder), given(), **MODELS)
    spoken = CliRunner().invoke(cli, ["patches", "predict", str(tmp_path / "lake.jpg"), "--json"])
    said = json.loads(spoken.stdout)
    assert answer["class"] == said["class"] == "SeaLake"
    assert answer["probabilities"] == pytest.approx(said["probabilities"])
    assert answer["name"] == "lake.jpg"
    assert (folder / "picture.png").stat().st_size > 1000
    told = work.explain(
        silent, str(folder / "upload"), "lake.jpg", str(folder / "e.png"), given(), "River", None, **MODELS
    )
    assert told["class"] == "River"
    assert told["details"]["input"] == "lake.jpg"
    assert (folder / "e.png").exists()


@pytest.mark.parametrize(("asked", "kind"), [("auto", "patch"), ("scene", "scene"), ("patch", "patch")])
def test_small_geotiffs_are_patches_unless_said_otherwise(tmp_path, data, asked, kind):
    with zipfile.ZipFile(data / "eurosat_ms.zip") as archive:
        name = next(member for member in archive.namelist() if member.endswith(".tif"))
        content = archive.read(name)
    (tmp_path / "ms.tif").write_bytes(content)
    options = given(**{"as": asked, "bands": "B01,B02,B03,B04,B05,B06,B07,B08,B09,B10,B11,B12,B8A"})
    assert work.inspect(silent, str(tmp_path / "ms.tif"), "ms.tif", options, VALUES, **MODELS)["kind"] == kind


def raster(path, bands=9, side=300, **more):
    profile = {"driver": "GTiff", "height": side, "width": side, "count": bands, "dtype": "uint16", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", **(profile | {"transform": from_origin(3e5, 4.9e6, 10, 10)} | more)) as target:
        target.write(np.full((bands, side, side), 900, np.uint16))
    return path


def test_too_many_values_are_refused_from_the_header(tmp_path):
    path = raster(tmp_path / "a.tif")
    with pytest.raises(LimitError, match=r"a\.tif declares 300 x 300 pixels of 9 bands"):
        work.inspect(silent, str(path), "a.tif", given(), 9 * 300 * 300 - 1, **MODELS)


def test_bands_without_names_are_refused_when_they_arrive(tmp_path):
    path = raster(tmp_path / "a.tif")
    with pytest.raises(InputError, match="does not name its bands"):
        work.inspect(silent, str(path), "a.tif", given(), VALUES, **MODELS)


def test_megabytes_of_metadata_are_refused(tmp_path):
    path = raster(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as target:
        target.update_tags(note="x" * 2_000_000)
    with pytest.raises(LimitError, match="MB of metadata"):
        work.inspect(silent, str(path), "a.tif", given(), VALUES, **MODELS)


def test_a_damaged_scene_is_the_uploads_fault(tmp_path, scene_path):
    content = bytearray(scene_path.read_bytes())
    content[20_000 : len(content) // 2] = bytes(len(content) // 2 - 20_000)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError):
        work.inspect(silent, str(tmp_path / "a.tif"), "a.tif", given(), VALUES, **MODELS)


@pytest.mark.parametrize(
    ("place", "shape", "window"),
    [
        ((500, 500), Shape(1000, 1000), (372, 372, 256, 256)),
        ((0, 999), Shape(1000, 1000), (0, 744, 256, 256)),
        ((999, 0), Shape(1000, 1000), (744, 0, 256, 256)),
        ((10, 10), Shape(100, 2000), (0, 0, 100, 256)),
    ],
)
def test_the_window_around_a_place_lies_in_the_scene(place, shape, window):
    assert work._window_around(place, shape) == window


def test_messages_do_not_tell_places_of_the_server():
    renamed = _shown_names({"path": "/var/x/lulc-serve-1/abc/upload", "name": "my scene.tif"})
    text = "/var/x/lulc-serve-1/abc/upload: bad; cannot write /var/x/lulc-serve-1/abc/map.tif"
    for place, said in renamed.items():
        text = text.replace(place, said)
    assert text == "my scene.tif: bad; cannot write map.tif"


def test_want_of_memory_is_known_whoever_tells_it():
    said = InputError("cannot build Unet")
    said.__cause__ = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 99 bytes")
    assert lacks_memory(said)
    assert lacks_memory(MemoryError())
    assert not lacks_memory(InputError("damaged"))
    assert not lacks_memory(io.UnsupportedOperation("no"))


def test_a_report_of_a_map(tmp_path):
    write(tmp_path / "map.tif", pixels(100, 100))
    told = []
    assert work.report(lambda *stage: told.append(stage), str(tmp_path / "map.tif"), "mine.tif", str(tmp_path)) == {}
    assert told == [("reporting", 0, 0)]
    with zipfile.ZipFile(tmp_path / "report.zip") as report:
        assert json.loads(report.read("report.json"))["title"] == "mine.tif"


def test_a_scene_beneath_the_maps(tmp_path):
    path = raster(tmp_path / "a.tif", 3, nodata=0)
    with rasterio.open(path, "r+") as target:
        target.descriptions = ("B04", "B03", "B02")
    assert work.base(silent, str(path), "a.tif", str(tmp_path)) == {}
    with rasterio.open(tmp_path / "base.tif") as drawn:
        assert drawn.shape == (300, 300)
    with rasterio.open(path, "r+") as target:
        target.write(np.zeros((3, 300, 300), np.uint16))
    with pytest.raises(InputError, match=r"a\.tif has no data in B04, B03 and B02; leave it out"):
        work.base(silent, str(path), "a.tif", str(tmp_path))
    write(tmp_path / "map.tif", pixels(100, 100))
    with pytest.raises(UsageError, match=r"map\.tif is a map, not a scene; give it as a map instead"):
        work.base(silent, str(tmp_path / "map.tif"), "map.tif", str(tmp_path))


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (MemoryError(), 413, "this needs more than the 2 GB that it may take"),
        (InputError("/x/upload is damaged"), 422, "a.tif is damaged"),
        (ValueError("nobody foresaw\nthis"), 500, "lulc failed: ValueError: nobody foresaw"),
    ],
)
def test_a_child_answers_whatever_happens(monkeypatch, capsys, error, status, problem):
    def task(on_progress, **_):
        on_progress("working", 1, 2)
        raise error

    monkeypatch.setitem(work.WORK, "base", task)
    sent = io.StringIO()
    request = {"task": "base", "arguments": {"path": "/x/upload", "name": "a.tif"}}
    answer = _answer(request, sent, 2 * 10**9)["refused"]
    assert json.loads(sent.getvalue()) == {"stage": "working", "done": 1, "total": 2}
    assert (answer["status"], answer["problem"]) == (status, problem)
    assert ("Traceback" in capsys.readouterr().err) == (status == 500)
