"""Shards as jobs of a real Slurm: queued again after USR1, cancelled and redone alone, merged when all are done."""

import json
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from lulc.errors import ShardError
from lulc.hpc.plan import notes_folder, read_plan
from lulc.hpc.shards import run_planned, shard_statuses
from lulc.hpc.site import Site
from lulc.hpc.slurm import Submission, queue, submit
from tests.support.shard_samples import lulc, sha256
from tests.support.slurm_cluster import slurm, why_not

pytestmark = [pytest.mark.serial, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

SITE = Site(lulc=f"{sys.executable} -m lulc", memory="1G", time="00:05:00", cpus=1)


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm")):
        yield


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, subprocess.run(
            ["squeue"], capture_output=True, text=True, check=False
        ).stdout
        time.sleep(0.05)


def state(path, index):
    plan = read_plan(path)
    return shard_statuses(plan, path, [plan.shard(index)], queue(path))[0]


def stored(path, index):
    return len(list(read_plan(path).shard(index).folder.glob("chunk*.tiles")))


def log(path, job, task=0):
    return (notes_folder(path) / "logs" / f"shard-{job}_{task}.log").read_text()


def queued(job):
    return subprocess.run(["squeue", "--noheader", f"--jobs={job}"], capture_output=True, text=True, check=False).stdout


def test_the_rendered_scripts_make_the_same_bytes_as_one_run(region):
    path, out, expected = region
    site = path.with_name("site.toml")
    site.write_text(
        f"lulc = {json.dumps(SITE.lulc)}\nmemory = '1G'\ncpus = 1\nmax_array = 1\nscratch = '/tmp/lulc-$SLURM_JOB_ID'\n"
    )
    subprocess.run(lulc("hpc", "render", path, "--site", site), check=True, capture_output=True)
    subprocess.run(["bash", notes_folder(path) / "submit.sh"], check=True, capture_output=True)
    wait_for(lambda: state(path, 1).state == "merged")
    assert sha256(out) == expected


def test_one_shard_is_queued_again_another_cancelled_and_redone_alone(region):
    path, out, expected = region
    submission = submit(read_plan(path), path, SITE)
    assert (submission.shards, submission.scenes) == ((0, 1), (0,))
    job, merge = submission.jobs[0], submission.merges[0]
    assert submit(read_plan(path), path, SITE) == Submission((), (), (), ())  # all of it is in the queue

    wait_for(lambda: stored(path, 0) >= 1)
    subprocess.run(["scancel", "--signal=USR1", "--batch", f"{job}_0"], check=True)  # as --signal=B:USR1@60 does
    wait_for(lambda: stored(path, 1) >= 1)
    subprocess.run(["scancel", f"{job}_1"], check=True)

    wait_for(lambda: "stopped by SIGUSR1" in log(path, job))
    before = {chunk: chunk.stat().st_mtime_ns for chunk in read_plan(path).shard(0).folder.glob("chunk*.tiles")}
    assert 1 <= len(before) < 3
    wait_for(lambda: f"3 chunks done, {len(before)} of them by an earlier run" in log(path, job))
    assert {chunk: chunk.stat().st_mtime_ns for chunk in before} == before

    wait_for(lambda: not queued(job) and not queued(merge))  # it refuses a scene that lacks a shard
    assert not out.exists()
    assert state(path, 0).state == "done"
    cancelled = state(path, 1)
    assert (cancelled.state, cancelled.reason.partition(";")[0]) == ("interrupted", "stopped by SIGTERM")
    again = submit(read_plan(path), path, SITE, failed=True)
    assert (again.shards, again.scenes) == ((1,), (0,))
    wait_for(lambda: state(path, 1).state == "merged")
    assert f"{cancelled.done} of them by an earlier run" in log(path, again.jobs[0], 1)
    assert sha256(out) == expected


def test_what_slurm_refuses_is_one_line(region):
    path, _, _ = region
    with pytest.raises(ShardError, match=r"Slurm refuses shards.sbatch: .*[Pp]artition"):
        submit(read_plan(path), path, SITE.model_copy(update={"partition": "absent"}))


def test_dask_workers_are_jobs(ready, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if find_spec("dask_jobqueue") is None:  # importing it here would take SIGINT from all later tests
        pytest.skip("dask-jobqueue is not installed")
    handler = signal.getsignal(signal.SIGINT)
    from lulc.hpc.cluster import LOGS
    from lulc.hpc.remote import fill_on
    from lulc.tasks.classify.classify import classify

    scene, expected = ready
    site = tmp_path / "site.toml"
    site.write_text(f"python = {json.dumps(sys.executable)}\ninterface = 'lo'\nmemory = '1G'\nworkers = 2\n")
    jobs = []

    def note_jobs(_done, _all):
        jobs.append(subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=False).stdout)

    classify([scene], tmp_path / "map.tif", settings, progress=note_jobs, fill=fill_on(f"slurm:{site}", [scene]))
    assert sha256(tmp_path / "map.tif") == expected
    assert "dask-wor" in jobs[0]
    assert list((tmp_path / LOGS).glob("*.out"))
    assert signal.getsignal(signal.SIGINT) == handler
    wait_for(lambda: "dask-wor" not in subprocess.run(["squeue"], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("command", [SITE.lulc, "/no/such/lulc"])
def test_a_merge_that_fails_is_shown_with_its_log(region, command):
    path, out, _ = region
    plan = read_plan(path)
    for index in range(len(plan.shards)):
        run_planned(plan, path, index)
    out.write_bytes(b"somebody else's")
    submission = submit(plan, path, SITE.model_copy(update={"lulc": command}))
    assert (submission.shards, submission.scenes) == ((), (0,))
    wait_for(lambda: not queued(submission.merges[0]))
    ended = subprocess.run(lulc("hpc", "status", path), check=True, capture_output=True, text=True).stdout
    (line,) = [line for line in ended.splitlines() if line.startswith("merge")]
    assert "exists" in line if command == SITE.lulc else "ended with exit code 127" in line
    log = notes_folder(path) / "logs" / f"merge-{submission.merges[0]}_0.log"
    assert line.endswith(f"; its log is {log}")
    assert log.read_text()
