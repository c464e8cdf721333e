"""`lulc classify` on the workers of a Dask cluster: chunks as tasks, one writer in the client.

No more tasks are submitted than the workers can run at once. Memory stays flat, and a worker that dies takes one task
with it, so the chunk to blame is known. Chunks are written when they arrive, not in order. What has arrived survives
the client, and the bytes of the product do not depend on the order.
"""

import logging
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lulc.errors import LulcError, ShardError
from lulc.hpc.chunk_worker import ChunkWork, infer_chunks
from lulc.hpc.cluster import cluster_client
from lulc.hpc.shard import lasting, pinned
from lulc.io.files.fingerprint import json_fingerprint
from lulc.io.product.writer import ProductWriter
from lulc.io.scene.scene import Scene
from lulc.run import Run
from lulc.tasks.classify.chunk_loop import Filled
from lulc.tasks.classify.classify import Fill
from lulc.tasks.classify.job import Job
from lulc.tasks.classify.series import Series
from lulc.tasks.classify.stages import StageTimes

if TYPE_CHECKING:
    from distributed import Client, Future

_log = logging.getLogger(__name__)

_POLL_S = 0.2
_WARN_AFTER_S = 30.0
_RETRIES = 1
_FADING_TASK = 4
"""Chunks of a task when tiles fade into each other. The first one is inferred twice, once for its margin."""


def fill_on(address: str, inputs: Sequence[Path]) -> Fill:
    """Make a function that has the workers of a cluster infer the missing chunks of a product.

    Args:
        address: Address, as for `cluster_client`.
        inputs: Files of the scene, which the workers open by the same paths.

    Raises:
        ShardError: From the returned function: a chunk failed, its workers died, or no scheduler answers.
    """

    def fill(series: Series, job: Job, writer: ProductWriter, wanted: range, run: Run, times: StageTimes) -> Filled:
        missing = sorted(set(wanted) - writer.finished)
        if not missing:
            times.ready()
            return Filled(len(wanted), 0)
        try:
            with cluster_client(address) as client:
                times.ready()
                remote = _RemoteFill(client, series.first, job, writer, _work(job, inputs), run, times)
                remote.infer(_tasks(missing, job.plan.fade))
        except ShardError:
            writer.keep_after_failure = True  # what other machines have done is not lost with one of them
            raise
        return Filled(len(wanted) - len(missing), remote.inferred_pixels)

    return fill


def _work(job: Job, inputs: Sequence[Path]) -> ChunkWork:
    decided = {"window": job.plan.window, "halo": job.plan.halo, "blend": job.plan.fade}
    options = pinned(job.options).model_copy(update=decided)
    return ChunkWork(tuple(map(lasting, inputs)), options, job.fingerprint)


def _tasks(missing: Sequence[int], fade: int) -> list[range]:
    """Ranges of consecutive chunks, one for each task."""
    most = _FADING_TASK if fade else 1
    tasks: list[range] = []
    for chunk in missing:
        if tasks and tasks[-1].stop == chunk and len(tasks[-1]) < most:
            tasks[-1] = range(tasks[-1].start, chunk + 1)
        else:
            tasks.append(range(chunk, chunk + 1))
    return tasks


@dataclass
class _RemoteFill:
    """Submits tasks to workers and passes their chunks to the writer."""

    client: "Client"
    scene: Scene
    job: Job
    writer: ProductWriter
    work: ChunkWork
    run: Run
    times: StageTimes
    inferred_pixels: int = 0

    def __post_init__(self) -> None:
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._running: dict[Future, range] = {}
        self._workers: set[str] = set()
        self._idle_s = 0.0
        self._own = uuid4().hex[:8]  # a scheduler may serve several clients

    def infer(self, tasks: Sequence[range]) -> None:
        """Run all tasks.

        Raises:
            ShardError: A chunk failed or killed its workers; the message names it.
            Interrupted: A signal has arrived.
        """
        waiting = list(reversed(tasks))
        try:
            while waiting or self._running:
                self.run.check()
                while waiting and len(self._running) < self._capacity():
                    self._submit(waiting.pop())
                with self.times.measure("infer"):
                    future = self._next_ended()
                if future is not None:
                    chunks = self._running.pop(future)
                    if waiting:  # before its result is fetched and stored: the worker need not wait for that
                        self._submit(waiting.pop())
                    self._store(future, chunks)
        finally:
            self.client.cancel(list(self._running), force=True)

    def _capacity(self) -> int:
        """Number of tasks that the workers can run at once; 1 while there is no worker."""
        threads: dict[str, int] = self.client.nthreads()
        self._warn_lost_workers(set(threads))
        return max(1, sum(threads.values()))

    def _warn_lost_workers(self, workers: set[str]) -> None:
        for worker in sorted(self._workers - workers):
            _log.warning("worker %s is lost; its chunks are computed again", worker)
        self._workers = workers

    def _submit(self, chunks: range) -> None:
        future = self.client.submit(
            infer_chunks,
            self.work,
            chunks.start,
            chunks.stop,
            key=f"lulc-chunk-{chunks.start}-{json_fingerprint(self.job.fingerprint)[:16]}-{self._own}",
            pure=False,
            retries=_RETRIES,
        )
        self._running[future] = chunks
        future.add_done_callback(self._ended.put)

    def _next_ended(self) -> "Future | None":
        try:
            future = self._ended.get(timeout=_POLL_S)
        except queue.Empty:
            before, self._idle_s = self._idle_s, self._idle_s + _POLL_S
            if before < _WARN_AFTER_S <= self._idle_s and not self.client.nthreads():
                _log.warning("the cluster has no worker yet; waiting for one")
            return None
        self._idle_s = 0.0
        return future

    def _store(self, future: "Future", chunks: range) -> None:
        try:
            encoded = future.result()
        except LulcError as error:
            raise ShardError(f"{self._name(chunks)} failed on a worker: {error.problem}", error.remedy) from error
        except Exception as error:
            raise ShardError(f"{self._name(chunks)} {_failure_text(error)}", _KEPT) from error
        size = self.job.plan.shape.size
        with self.times.measure("write"):
            for index, tiles in encoded:
                self.writer.put_encoded(index, tiles)
        self.inferred_pixels += sum(chunk.core.shape.size for chunk in self.job.plan.chunks() if chunk.index in chunks)
        self.run.tick(min(self.inferred_pixels, size), size)

    def _name(self, chunks: range) -> str:
        cores = [chunk.core for chunk in self.job.plan.chunks() if chunk.index in chunks]
        first, last = cores[0], cores[-1]
        names = f"chunk {chunks.start}" if len(chunks) == 1 else f"chunks {chunks.start} to {chunks.stop - 1}"
        extent = f"rows {first.row} to {last.row_end - 1}, columns {first.col} to {last.col_end - 1}"
        return f"{names} of {self.scene.info.name} ({extent})"


_KEPT = "finished chunks are kept; run the same command again to continue"


def _failure_text(error: Any) -> str:  # noqa: ANN401
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return "killed every worker that tried it (out of memory, or a crash in a library)"
    return f"failed on a worker: {type(error).__name__}: {' '.join(str(error).split())}"
