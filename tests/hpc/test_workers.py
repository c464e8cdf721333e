"""Workers and clusters without a cluster: what is asked of them, and what is said when they do not answer."""

import logging
import signal
from pathlib import Path
from subprocess import TimeoutExpired
from threading import Thread

import distributed
import pytest

from lulc.cli.hpc.submit import _text
from lulc.errors import ShardError, UsageError
from lulc.hpc import chunk_worker, remote, slurm
from lulc.hpc.chunk_worker import ChunkWork, infer_chunks
from lulc.hpc.cluster import _gigabytes, _kept_signals
from lulc.hpc.plan import notes_folder, read_plan
from lulc.hpc.remote import _failure_text, _RemoteFill, fill_on
from lulc.hpc.site import load_site
from lulc.hpc.slurm import Submission, queue, submit
from lulc.tasks.classify.stages import StageTimes
from tests.support.product_samples import pixels, put_all, writer_of


@pytest.fixture
def engines():
    """What a worker keeps ready is closed after the test."""
    yield
    while chunk_worker._engines:
        chunk_worker._engines.pop().close()


@pytest.mark.usefixtures("engines")
def test_a_worker_keeps_one_job_ready_and_refuses_another_ones_files(region):
    path, _, _ = region
    plan = read_plan(path)
    scene = plan.scenes[0]
    options = plan.options_for(scene).model_copy(
        update={"window": scene.window, "halo": scene.halo, "blend": scene.blend}
    )
    work = ChunkWork(scene.inputs, options, scene.fingerprint)
    ((index, tiles),) = infer_chunks(work, 0, 1)
    assert (index, len(tiles) > 0) == (0, True)
    first = chunk_worker._engines[0]
    infer_chunks(work, 1, 2)
    assert chunk_worker._engines == [first]
    with pytest.raises(ShardError, match="a worker and the client differ in: input and model"):
        infer_chunks(ChunkWork(scene.inputs, options, "0" * 64), 0, 1)
    assert chunk_worker._engines == []


def test_a_finished_product_asks_nobody(tmp_path):
    writer = writer_of(tmp_path / "a.tif", data := pixels(60, 60))
    put_all(writer, data)
    writer.abandon(keep=True)
    writer = writer_of(tmp_path / "a.tif", data)
    filled = fill_on("tcp://127.0.0.1:9", [])(None, None, writer, range(1), None, StageTimes())
    assert (filled.resumed, filled.pixels) == (1, 0)
    writer.publish()


def test_a_cluster_without_workers_is_said_once(monkeypatch, caplog):
    monkeypatch.setattr(remote, "_POLL_S", 0.01)
    monkeypatch.setattr(remote, "_WARN_AFTER_S", 0.02)

    class Idle:
        """A client of a scheduler that has no worker."""

        def nthreads(self):
            return {}

    fill = _RemoteFill(Idle(), None, None, None, None, None, StageTimes())
    with caplog.at_level(logging.WARNING):
        assert [fill._next_ended() for _ in range(5)] == [None] * 5
    assert caplog.text.count("the cluster has no worker yet; waiting for one") == 1


def test_failures_of_a_worker_in_words():
    killed = distributed.KilledWorker("task", "worker", 2)
    assert _failure_text(killed).startswith("killed every worker that tried it")
    assert _failure_text(ValueError("bad\n  block")) == "failed on a worker: ValueError: bad block"


@pytest.mark.parametrize(("text", "size"), [("4G", 4.0), ("500M", 0.5), ("500m", 0.5), ("1T", 1000.0), ("800MB", 0.8)])
def test_memory_as_slurm_writes_it(text, size):
    assert _gigabytes(text) == pytest.approx(size)


def test_memory_that_is_no_size():
    with pytest.raises(UsageError, match="memory = 'much' of the site is no size; write 800M or 8G"):
        _gigabytes("much")


def test_handlers_are_kept_where_they_can_be_set():
    former = signal.getsignal(signal.SIGINT)
    with _kept_signals():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is former
    ended = []

    def elsewhere():
        with _kept_signals():
            pass
        ended.append(True)

    thread = Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert ended == [True]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            FileNotFoundError(2, "No such file or directory"),
            "sbatch cannot be run: No such file or directory; submit from",
        ),
        (TimeoutExpired("sbatch", 60), "sbatch does not answer within 60 s; try again later"),
    ],
)
def test_a_slurm_that_is_not_there_or_does_not_answer(region, monkeypatch, error, message):
    path, _, _ = region

    def refused(_command):
        raise error

    monkeypatch.setattr(slurm, "_run", refused)
    with pytest.raises(ShardError, match=message):
        submit(read_plan(path), path, load_site("generic"))
    (notes_folder(path) / "jobs.jsonl").write_text('{"kind": "shards", "job": "7", "first": 0, "numbers": [0, 1]}\n')
    assert queue(path) == {}


def test_the_queue_by_number_of_the_shard(tmp_path, monkeypatch):
    path = tmp_path / "plan.json"
    notes_folder(path).mkdir()
    (notes_folder(path) / "jobs.jsonl").write_text('{"kind": "shards", "job": "7", "first": 100, "numbers": [100]}\n')

    class Answer:
        stdout = "7 0 RUNNING None\n7 1 PENDING Priority\n7 [2-9] PENDING Resources\n8 0 RUNNING None\n"

    monkeypatch.setattr(slurm, "_run", lambda _: Answer)
    assert queue(path) == {100: ("running", "None"), 101: ("queued", "Priority")}


def test_what_was_submitted_in_words():
    plan = Path("plan.json")
    done = Submission((0, 1, 2, 5), (0, 1), ("7",), ("8",))
    assert _text(done, plan) == "shards 0-2,5: jobs 7\nmerges of scenes 0-1: jobs 8"
    assert _text(Submission((), (0,), (), ("8",)), plan) == "merges of scenes 0: jobs 8"
