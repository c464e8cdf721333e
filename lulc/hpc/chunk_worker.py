"""Worker of a cluster: infer chunks and compress them, with the scene and the network kept ready between tasks."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from lulc.errors import ShardError
from lulc.io.cog.store import EncodedTile
from lulc.io.cog.tiles import encode_tile, split_chunk
from lulc.io.files.fingerprint import changed_parts
from lulc.io.files.gdal import gdal_cache
from lulc.model.allocator import keep_freed_memory
from lulc.model.bundle import load_bundle
from lulc.tasks.classify.chunk_loop import chunks_to_infer, inference_for, predictors_for
from lulc.tasks.classify.job import plan_job
from lulc.tasks.classify.memory import gdal_cache_bytes
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.series import open_series

EncodedChunk = tuple[int, list[EncodedTile]]
"""Index of a chunk and its compressed tiles."""

_MOST_THREADS = 4


@dataclass(frozen=True)
class ChunkWork:
    """Everything a worker must know of a job.

    Attributes:
        inputs: Paths of the scene on the workers.
        options: Options from `pinned`, with the planned window, halo and blend (pixels).
        fingerprint: Fingerprint of the job; a worker that computes another one refuses.
    """

    inputs: tuple[Path, ...]
    options: ClassifyOptions
    fingerprint: str


class _Engine:
    """An open scene and a loaded network, ready for the chunks of one job."""

    def __init__(self, work: ChunkWork) -> None:
        self.work = work
        self._opened = ExitStack()
        series = self._opened.enter_context(open_series(work.inputs, work.options))
        job = plan_job(series, load_bundle(work.options.model), work.options)
        if job.fingerprint != work.fingerprint:
            self._opened.close()
            raise ShardError(
                f"{work.inputs[0]}: a worker and the client differ in: {changed_parts(work.fingerprint, job.fingerprint)}",
                "give all machines the same files and the same environment",
            )
        self._job = job
        self._predictors = predictors_for(series, job)
        self._layout = job.layout
        self._cache = gdal_cache_bytes(job.plan, series, len(job.names))
        self._pool = ThreadPoolExecutor(min(_MOST_THREADS, work.options.threads or 1), "compress")

    def infer(self, wanted: range) -> Iterator[EncodedChunk]:
        """Infer chunks in order, and yield them compressed."""
        with closing(inference_for(self._predictors, self._job)) as infer, gdal_cache(self._cache):
            for chunk in chunks_to_infer(self._job.plan, wanted):
                product = infer(chunk, self._job.readers[0].raw(chunk.read))
                if chunk.index in wanted:
                    tiles = split_chunk(self._layout, chunk.core, product)
                    yield chunk.index, list(self._pool.map(lambda tile: encode_tile(self._layout, tile), tiles))

    def close(self) -> None:
        self._pool.shutdown()
        self._opened.close()


_lock = threading.Lock()
_engines: list[_Engine] = []


def infer_chunks(work: ChunkWork, first: int, end: int) -> list[EncodedChunk]:
    """Infer chunks `first` to `end - 1` of a job. The scene and the network of the last job stay ready in this process.

    Raises:
        ShardError: The files, the model, lulc or torch differ from those of the client.
        StorageError: A block cannot be read.
        LimitError: The device has not enough memory.
    """
    with _lock:  # one network at a time: its threads and memory are those of the whole worker
        if not (_engines and _engines[0].work == work):
            while _engines:
                _engines.pop().close()
            keep_freed_memory()
            _engines.append(_Engine(work))
        return list(_engines[0].infer(range(first, end)))
