"""`lulc classify` on Dask workers: equal bytes, lost workers, chunks that cannot be done, interruptions."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import cloudpickle
import dask
import distributed
import pytest
from distributed.utils import get_mp_context

from lulc.errors import ConfigError, ShardError, UsageError
from lulc.hpc.cluster import _ALLOWED_FAILURES, _local, cluster_client
from lulc.hpc.remote import _tasks, fill_on
from lulc.io.cog.work_folder import work_folder
from lulc.tasks.classify.classify import classify
from tests.support.command import forking
from tests.support.shard_samples import ENVIRONMENT, WINDOW, lulc, sha256
from tests.support.whole_runs import messages, write_scene

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test


@pytest.fixture(autouse=True, scope="module")
def forked_workers():
    """Workers of this process are forked from one that has imported torch, instead of importing it each."""
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context()  # it would choose other modules to import before
        forking()
        yield


@contextmanager
def cluster(workers):
    """A cluster as `local:N` makes it, whose address and workers a test can have."""
    with dask.config.set({"distributed.scheduler.allowed-failures": _ALLOWED_FAILURES}), _local(workers) as started:
        yield started.scheduler_address


def remote(scene, out, settings, address, **given):
    return classify([scene], out, settings, fill=fill_on(address, [scene]), **given)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_makes_the_same_bytes(ready, settings, tmp_path, workers):
    scene, expected = ready
    told = []
    report = remote(scene, tmp_path / "map.tif", settings, f"local:{workers}", progress=lambda *now: told.append(now))
    assert sha256(tmp_path / "map.tif") == expected
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (1_200_000, 1_200_000)
    assert report.resumed_chunks == 0
    assert not work_folder(tmp_path / "map.tif").exists()


@pytest.mark.process
@pytest.mark.kill
def test_a_killed_worker_costs_its_chunk_alone(ready, settings, tmp_path, caplog):
    scene, expected = ready
    with cluster(2) as address:
        killed = []

        def kill_one(_done, _all):
            if not killed:
                with distributed.Client(address, set_as_default=False) as client:
                    killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        report = remote(scene, tmp_path / "map.tif", settings, address, progress=kill_one)
    assert killed
    assert "is lost; its chunks are computed again" in caplog.text
    assert report.resumed_chunks == 0
    assert sha256(tmp_path / "map.tif") == expected


class Poison(distributed.WorkerPlugin):
    """Makes chunk 3 kill every worker that tries it, as a crash in a library would, or fail as a damaged file does."""

    def __init__(self, kind):
        self.kind = kind

    def setup(self, worker):
        from lulc.errors import StorageError
        from lulc.hpc import chunk_worker

        del worker
        original, kind = chunk_worker.chunks_to_infer, self.kind

        def poisoned(plan, wanted):
            if 3 in wanted and kind == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            if 3 in wanted:
                raise StorageError("cannot read scene.tif", "the file is damaged")
            return original(plan, wanted)

        chunk_worker.chunks_to_infer = poisoned


@pytest.mark.process
@pytest.mark.kill
@pytest.mark.serial
def test_a_chunk_that_kills_its_workers_is_named_within_a_minute(ready, settings, tmp_path):
    scene, expected = ready
    out = tmp_path / "map.tif"
    with cluster(2) as address:
        with distributed.Client(address, set_as_default=False) as client:
            client.register_plugin(Poison("deadly"))
        started = time.monotonic()
        with pytest.raises(
            ShardError, match=r"chunk 3 of .*\(rows 1536 to 2047, columns 0 to 399\) killed every worker"
        ):
            remote(scene, out, settings, address)
        waited, busy = time.monotonic() - started, os.getloadavg()[0] / os.cpu_count()
        assert waited < 60 * max(1.0, busy)  # on cores that others use as well everything takes its share longer
    assert not out.exists()
    stored = len(list(work_folder(out).glob("chunk*.tiles")))
    assert stored >= 1
    assert classify([scene], out, settings).resumed_chunks == stored
    assert sha256(out) == expected


def test_a_chunk_that_cannot_be_read_is_named(ready, settings, tmp_path):
    scene, _ = ready
    with cluster(1) as address:
        with distributed.Client(address, set_as_default=False) as client:
            client.register_plugin(Poison("damaged"))
        with pytest.raises(ShardError, match=r"chunk 3 of .* failed on a worker: cannot read scene.tif"):
            remote(scene, tmp_path / "map.tif", settings, address)
    assert len(list(work_folder(tmp_path / "map.tif").glob("chunk*.tiles"))) == 3


def test_blended_chunks_are_handed_out_in_runs(settings, tmp_path):
    scene = write_scene(tmp_path / "scene.tif", 3000, 150)
    blended = settings.model_copy(update={"window": 192, "halo": 32, "blend": 16})
    classify([scene], tmp_path / "whole.tif", blended)
    remote(scene, tmp_path / "map.tif", blended, "local:2")
    assert sha256(tmp_path / "map.tif") == sha256(tmp_path / "whole.tif")
    assert _tasks([0, 1, 2, 3, 4, 5, 7], fade=16) == [range(4), range(4, 6), range(7, 8)]
    assert _tasks([0, 2], fade=0) == [range(1), range(2, 3)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.process
@pytest.mark.kill
def test_a_signal_leaves_what_is_finished(ready, bundle, settings, tmp_path, number):
    scene, expected = ready
    out = tmp_path / "map.tif"
    options = ("--model", bundle, "--window", WINDOW, "--precision", "fp32", "--device", "cpu", "--threads", 1)
    process = subprocess.Popen(
        lulc("classify", scene, out, *options, "--scheduler", "local:1"),
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(work_folder(out).glob("chunk*.tiles")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, number)  # as a terminal does, and as a scheduler may
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert len(messages(stderr)) == 1, stderr
    assert not out.exists()
    assert classify([scene], out, settings).resumed_chunks >= 1
    assert sha256(out) == expected


def work_on(folder):
    """A task that leaves its traces."""
    (folder / "begun").touch()
    time.sleep(2)
    (folder / "ended").touch()


def test_workers_end_with_a_block_that_is_interrupted_and_not_after_their_tasks(tmp_path):
    with pytest.raises(KeyboardInterrupt), cluster_client("local:1") as client:  # noqa: PT012 - what is in work counts
        task = client.submit(work_on, tmp_path)
        while not (tmp_path / "begun").exists():
            time.sleep(0.02)
        assert not task.done()
        raise KeyboardInterrupt
    assert not (tmp_path / "ended").exists()


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("local:0", UsageError, "has no worker"),
        ("local", UsageError, "is no cluster"),
        ("pbs:site", UsageError, "is no cluster"),
        ("slurm:", UsageError, "is no cluster"),
        ("slurm:generix", ConfigError, "did you mean 'generic'"),
        ("tcp://127.0.0.1:9", ShardError, "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_what_is_no_cluster_is_refused(monkeypatch, address, kind, message):
    monkeypatch.setattr("lulc.hpc.cluster._CONNECT_TIMEOUT_S", 1)
    with pytest.raises(kind, match=message), cluster_client(address):
        pass
