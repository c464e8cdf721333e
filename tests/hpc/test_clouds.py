"""Clouds that are flagged or left out in shards and on workers: the bytes are those of one run."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.hpc import chunk_worker, remote
from lulc.hpc.chunk_worker import infer_chunks
from lulc.hpc.plan import make_plan, read_plan, write_plan
from lulc.hpc.shards import merge_planned, run_planned
from lulc.tasks.classify.chunk_loop import Filled
from lulc.tasks.classify.classify import classify
from lulc.tasks.classify.options import ClassifyOptions
from tests.support.date_scenes import write_date
from tests.support.shard_samples import WINDOW, sha256

SHAPE = (1050, 300)
MODES = ("auto", "network", "scl")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene of three chunks with a band SCL."""
    return write_date(tmp_path_factory.mktemp("scene") / "scene.tif", 1, shape=SHAPE, clouds=np.eye(*SHAPE, dtype=bool))


@pytest.fixture(scope="module", params=MODES)
def settings(request, cloud_bundle):
    return ClassifyOptions(
        model=cloud_bundle, window=WINDOW, precision="fp32", device="cpu", threads=1, clouds=request.param
    )


@pytest.fixture(scope="module")
def expected(scene, settings, tmp_path_factory):
    """SHA-256 of the map that one run makes."""
    out = tmp_path_factory.mktemp("whole") / "map.tif"
    classify([scene], out, settings)
    return sha256(out)


def test_shards_make_the_bytes_of_one_run(scene, settings, expected, tmp_path, caplog):
    path = tmp_path / "plan.json"
    write_plan(make_plan([(scene,)], tmp_path, settings, 2), path)
    plan = read_plan(path)
    for shard in reversed(plan.shards):
        run_planned(plan, path, shard.index)
    assert sha256(merge_planned(plan, path, 0)) == expected
    told = [line.getMessage() for line in caplog.records if "--clouds network leaves them out" in line.getMessage()]
    assert len(told) == (settings.clouds == "auto")


def test_workers_make_the_bytes_of_one_run(scene, settings, expected, tmp_path):
    def fill(_series, job, writer, wanted, _run, times):
        times.ready()
        work = remote._work(job, [scene])
        for chunk in reversed(wanted):
            for index, tiles in infer_chunks(work, chunk, chunk + 1):
                writer.put_encoded(index, tiles)
        return Filled(0, SHAPE[0] * SHAPE[1])

    try:
        classify([scene], tmp_path / "map.tif", settings, fill=fill)
    finally:
        while chunk_worker._engines:
            chunk_worker._engines.pop().close()
    assert sha256(tmp_path / "map.tif") == expected


def test_a_plan_is_made_with_clouds(scene, cloud_bundle, tmp_path):
    given = ["--out", tmp_path / "maps", "--model", cloud_bundle, "--clouds", "scl", "--dilate", "2"]
    done = CliRunner().invoke(cli, ["hpc", "plan", *map(str, [scene, tmp_path / "plan.json", *given])])
    assert done.exit_code == 0, done.output
    options = json.loads((tmp_path / "plan.json").read_text())["options"]
    assert (options["clouds"], options["dilate"]) == ("scl", 2)
