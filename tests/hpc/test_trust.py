"""Shards and workers write the bands of trust and of sets as one run does, from any working folder."""

import pytest

from lulc.hpc import chunk_worker, remote
from lulc.hpc.chunk_worker import infer_chunks
from lulc.hpc.plan import make_plan, read_plan, write_plan
from lulc.hpc.shards import merge_planned, run_planned
from lulc.model.bundle import load_bundle
from lulc.tasks.classify.chunk_loop import Filled
from lulc.tasks.classify.classify import classify
from lulc.tasks.classify.options import ClassifyOptions
from tests.support.shard_samples import WINDOW, sha256
from tests.support.trust_samples import calibration_for, write_knowing
from tests.support.whole_runs import write_scene

pytestmark = pytest.mark.torch

SHAPE = (1050, 300)


@pytest.fixture(scope="module")
def made(bundle, tmp_path_factory):
    """A folder with a scene, a model, a calibration and the map of one run."""
    folder = tmp_path_factory.mktemp("trust")
    classes = load_bundle(write_knowing(bundle, folder / "model")).card.classes
    calibration_for(folder / "model", [20] * len(classes), folder / "c.json")
    write_scene(folder / "scene.tif", *SHAPE)
    classify([folder / "scene.tif"], folder / "map.tif", options(folder, folder / "c.json"))
    return folder


def options(folder, calibration):
    settings = {"window": WINDOW, "precision": "fp32", "device": "cpu", "threads": 1}
    return ClassifyOptions(model=folder / "model", trust=True, calibration=calibration, sets=0.9, **settings)


def test_shards_of_a_relative_calibration(made, tmp_path, monkeypatch):
    monkeypatch.chdir(made)
    write_plan(make_plan([(made / "scene.tif",)], tmp_path, options(made, "c.json"), 2), tmp_path / "plan.json")
    monkeypatch.chdir(tmp_path)
    plan = read_plan(tmp_path / "plan.json")
    for shard in plan.shards:
        run_planned(plan, tmp_path / "plan.json", shard.index)
    assert sha256(merge_planned(plan, tmp_path / "plan.json", 0)) == sha256(made / "map.tif")


def test_workers(made, tmp_path):
    def fill(_series, job, writer, wanted, _run, times):
        times.ready()
        work = remote._work(job, [made / "scene.tif"])
        for chunk in reversed(wanted):
            for index, tiles in infer_chunks(work, chunk, chunk + 1):
                writer.put_encoded(index, tiles)
        return Filled(0, SHAPE[0] * SHAPE[1])

    try:
        classify([made / "scene.tif"], tmp_path / "map.tif", options(made, made / "c.json"), fill=fill)
    finally:
        while chunk_worker._engines:
            chunk_worker._engines.pop().close()
    assert sha256(tmp_path / "map.tif") == sha256(made / "map.tif")
