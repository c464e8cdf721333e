"""Killed and interrupted runs: the final name is never partial, and the same command ends with the same bytes."""

import hashlib
import json
import os
import random
import signal
import time

import pytest
import rasterio

from lulc.errors import StorageError
from lulc.tasks.classify.classify import classify
from lulc.tasks.classify.options import ClassifyOptions
from tests.support.command import lulc, start
from tests.support.stopped_runs import stopped_after
from tests.support.whole_runs import messages

WINDOW = 272


def command(scene, out, bundle, *more):
    given = ("--model", bundle, "--window", WINDOW, "--precision", "fp32", "--json")
    return ["classify", scene, out, *given, *more]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(*arguments):
    return lulc(*command(*arguments))


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.kill
def test_killed_at_random_moments_the_product_is_the_same(scene_file, bundle, tmp_path):
    scene, out = scene_file(1100, 700), tmp_path / "map.tif"
    started = time.monotonic()
    assert run(scene, tmp_path / "whole.tif", bundle).returncode == 0
    unbroken = time.monotonic() - started
    expected = sha256(tmp_path / "whole.tif")
    moments = random.Random(7)  # noqa: S311 - moments of a test
    for _ in range(3):
        process = start(*command(scene, out, bundle))
        time.sleep(moments.uniform(0.5, 1.0) * unbroken)
        process.kill()
        process.wait()
        assert not out.exists() or sha256(out) == expected
        result = run(scene, out, bundle, "--overwrite")
        assert result.returncode == 0, result.stderr
        assert sha256(out) == expected
        assert not (tmp_path / "map.tif.lulc").exists()
        out.unlink()


@pytest.mark.process
@pytest.mark.kill
def test_a_signal_stops_with_75_and_the_run_continues(scene_file, bundle, tmp_path):
    scene, out = scene_file(1600, 500), tmp_path / "map.tif"
    process = start(*command(scene, out, bundle))
    work = tmp_path / "map.tif.lulc"
    deadline = time.monotonic() + 120
    while not list(work.glob("chunk*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 75, process.stderr
    stderr = process.stderr
    assert "run the same command again" in stderr
    assert len(messages(stderr)) == 1, stderr
    assert not out.exists()
    assert work.is_dir()
    result = run(scene, out, bundle)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["resumed_chunks"] >= 1
    assert run(scene, tmp_path / "whole.tif", bundle).returncode == 0
    assert sha256(out) == sha256(tmp_path / "whole.tif")
    assert not work.exists()


@pytest.fixture
def interrupted(scene_file, bundle, tmp_path, monkeypatch):
    """A run that stored its first chunk and then died, as after a power cut."""

    scene = scene_file(1100, 300)
    with stopped_after(1, monkeypatch):
        classify([scene], tmp_path / "map.tif", ClassifyOptions(model=bundle, window=WINDOW, precision="fp32"))
    return scene, tmp_path / "map.tif"


@pytest.mark.parametrize(
    ("changed", "resumed"),
    [
        ({}, 1),
        ({"window": 400}, 0),
        ({"threads": 64}, 0),
        ({"offset": -10.0}, 0),
        ({"resume": False}, 0),
        ({"activations": "none"}, 0),
    ],
)
def test_only_the_same_job_takes_over_finished_parts(interrupted, bundle, changed, resumed):
    scene, out = interrupted
    settings = {"model": bundle, "window": WINDOW, "precision": "fp32"} | changed
    assert classify([scene], out, ClassifyOptions(**settings)).resumed_chunks == resumed


def test_a_changed_scene_starts_afresh(interrupted, bundle, caplog):
    scene, out = interrupted
    with rasterio.open(scene, "r+") as target:
        pixels = target.read()
        pixels[:, 5, 5] += 1
        target.write(pixels)
    report = classify([scene], out, ClassifyOptions(model=bundle, window=WINDOW, precision="fp32"))
    assert report.resumed_chunks == 0
    assert "1 finished parts of an earlier run are not used: changed since: input" in caplog.text


def test_a_touched_scene_is_the_same(interrupted, bundle, caplog):
    scene, out = interrupted
    os.utime(scene, (1, 1))
    report = classify([scene], out, ClassifyOptions(model=bundle, window=WINDOW, precision="fp32"))
    assert report.resumed_chunks == 1
    assert "not used" not in caplog.text


def test_a_blended_run_resumes_to_the_same_bytes(scene_file, bundle, tmp_path, monkeypatch):

    scene = scene_file(1600, 300)
    settings = ClassifyOptions(model=bundle, window=192, halo=32, blend=16, precision="fp32")
    classify([scene], tmp_path / "whole.tif", settings)
    with stopped_after(2, monkeypatch):
        classify([scene], tmp_path / "map.tif", settings)
    assert classify([scene], tmp_path / "map.tif", settings).resumed_chunks == 2
    assert sha256(tmp_path / "map.tif") == sha256(tmp_path / "whole.tif")


def test_a_second_process_on_the_same_output_is_refused_at_once(scene_file, bundle, tmp_path):
    from lulc.io.product.writer import ProductWriter
    from lulc.io.scene.scene import open_scene
    from lulc.legend import load_legend

    scene = scene_file(100, 100)
    with open_scene([scene]) as opened:
        first = ProductWriter(tmp_path / "map.tif", opened.grid, load_legend("dynamic-world"))
    with pytest.raises(StorageError):
        classify([scene], tmp_path / "map.tif", ClassifyOptions(model=bundle))
    first.abandon(keep=False)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
