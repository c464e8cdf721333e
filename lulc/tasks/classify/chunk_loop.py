"""The loop over the chunks of a job, shared by whole runs and shards: read, infer, store."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.io.product.bands import CLOUDS
from lulc.io.product.parts import PartWriter
from lulc.io.product.writer import ProductWriter
from lulc.io.scene.source import Raster
from lulc.model.inference import ChunkInference
from lulc.model.lane import lanes_to
from lulc.model.mean_of_dates import DatesInference
from lulc.model.predictor import Predictor
from lulc.run import Run
from lulc.tasks.classify.job import Job
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.series import Series
from lulc.tasks.classify.stages import Stages, StageTimes
from lulc.tiling import Chunk, TilePlan

_log = logging.getLogger(__name__)

ChunkSink = ProductWriter | PartWriter
"""Storage of finished chunks: a whole product, or a shard's part of one."""


@dataclass(frozen=True, slots=True)
class Filled:
    """Chunks and pixels processed by a loop over chunks.

    Attributes:
        resumed: Number of chunks that were stored already.
        pixels: Number of pixels of the scene that were inferred.
    """

    resumed: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Look:
    """One date of one chunk.

    Attributes:
        chunk: The chunk.
        date: Number of the date, from 0.
        last: True for the last date, after which the chunk is finished.
    """

    chunk: Chunk
    date: int
    last: bool


def infer_missing(series: Series, job: Job, sink: ChunkSink, wanted: range, run: Run, times: StageTimes) -> Filled:
    """Infer the wanted chunks that the sink does not hold yet.

    Args:
        series: The input.
        job: The planned classification.
        sink: Storage of finished chunks.
        wanted: Indices of the wanted chunks.
        run: Checked between windows; its progress advances after each chunk.
        times: Collects the times of the stages.

    Raises:
        InputError: A scene cannot be read as it is.
        ModelError: The network gives values that are not finite.
        LimitError: The device has not enough memory.
        StorageError: Reading or writing failed. Finished chunks have been stored.
        Interrupted: A signal came. Finished chunks have been stored.
    """
    finished = sink.finished
    sizes = {chunk.index: chunk.core.shape.size for chunk in job.plan.chunks() if chunk.index in wanted}
    missing = set(wanted) - finished
    resumed, total, pixels = len(sizes) - len(missing), sum(sizes.values()), 0
    taken_over = sum(size for index, size in sizes.items() if index not in missing)

    def write(look: Look, product: NDArray[np.generic] | None) -> None:
        if product is not None and look.chunk.index in missing:
            sink.put(look.chunk.index, look.chunk.core, product)

    if not missing:
        times.ready()
        return Filled(resumed, 0)
    with closing(LookInference(series, job, run.check)) as infer:
        times.ready()
        stages = Stages(
            read=lambda look: job.readers[look.date].raw(look.chunk.read),
            infer=infer,
            write=write,
            times=times,
            in_flight=job.in_flight,
        )
        for look in stages.run(looks_at(chunks_to_infer(job.plan, missing), len(job.readers))):
            if look.last:
                pixels += look.chunk.core.shape.size
                run.tick(min(taken_over + pixels, total), total)
        if len(missing) == job.plan.chunk_count:
            tell_unseen(series, infer.seen)
    return Filled(resumed, pixels)


def looks_at(chunks: Iterable[Chunk], dates: int) -> Iterator[Look]:
    """Every date of a chunk, then those of the next chunk."""
    for chunk in chunks:
        for date in range(dates):
            yield Look(chunk, date, last=date == dates - 1)


class LookInference:
    """Infers a date of a chunk: gives the chunk's product after its last date, None before.

    Args:
        series: The input.
        job: The planned classification.
        between_tiles: Called before each forward pass; may raise to stop.

    Attributes:
        seen: For each date, True once it has shown a pixel.
    """

    def __init__(self, series: Series, job: Job, between_tiles: Callable[[], None]) -> None:
        self._infer = inference_for(predictors_for(series, job), job, between_tiles)
        self._dates = DatesInference(self._infer) if series.counted else None
        self._readers = job.readers
        self.seen = [False] * len(job.readers)

    def close(self) -> None:
        """Drop what has begun and is not finished."""
        self._infer.close()

    def __call__(self, look: Look, pixels: Raster) -> Callable[[], NDArray[np.generic] | None]:
        """Begin the next look. A look at one of several dates is finished before the call returns.

        Args:
            look: Next date of a chunk of the plan.
            pixels: Raw planes (bands, height, width) and valid mask of the chunk's `read`.

        Returns:
            Waits for the product bands of the chunk's core, uint8 or float32 (bands, height, width), 255 nodata; for None
            before the last date.

        Raises:
            ModelError: The network gives values that are not finite; here or when the result is asked for.
            LimitError: The device has not enough memory for one window; likewise.
        """
        if self._dates is None:
            return self._infer.begin(look.chunk, pixels)
        chunk, reader = look.chunk, self._readers[look.date]
        clear = reader.scene.by_network
        self.seen[look.date] |= self._dates.add(chunk, pixels, reader.radiometry, look.date, clear=clear)
        product = self._dates.product(chunk) if look.last else None
        return lambda: product


def tell_unseen(series: Series, seen: Sequence[bool]) -> None:
    """Warn of dates that show no pixel of a map to which others have added."""
    for date, shown in zip(series.dates, seen, strict=True):
        if any(seen) and not shown:
            _log.warning("%s shows no pixel of the map: it has no data there, or clouds alone", date.info.name)


def chunks_to_infer(plan: TilePlan, missing: Iterable[int]) -> list[Chunk]:
    """Chunks to infer, in order: the missing ones, and any whose margin fades into one of them."""
    wanted = set(missing)
    if plan.fade:
        wanted |= {index - 1 for index in wanted if index > 0}
    return [chunk for chunk in plan.chunks() if chunk.index in wanted]


def predictors_for(series: Series, job: Job) -> list[Predictor]:
    """Predictors of a job: its network on each of its devices, for the radiometry of the first scene.

    Where windows are joined on a device, the first alone is used. Workers on a CPU share its threads.
    """
    radiometry, threads = series.first.radiometry, job.options.threads
    placements = job.placement.each() if job.independent else job.placement.each()[:1]
    predictors = [
        Predictor(job.bundle, radiometry, job.names, placement, job.batch_on(placement), threads)
        for placement in placements
    ]
    predictors[0].share_threads()
    return predictors


def inference_for(
    predictors: Sequence[Predictor], job: Job, between_tiles: Callable[[], None] = lambda: None
) -> ChunkInference:
    """Inference of the chunks of a job, from the first one that is wanted on.

    Args:
        predictors: From `predictors_for`.
        job: The planned classification.
        between_tiles: Called before each forward pass; may raise to stop.
    """
    flagged, dates = CLOUDS in job.extra, len(job.readers)
    lanes = lanes_to(predictors, overlap=job.independent)
    return ChunkInference(
        lanes,
        job.plan,
        job.options.activations,
        between_tiles,
        flagged=flagged,
        dates=dates,
        beside=job.beside,
    )


def product_writer(
    series: Series, job: Job, output: Path, *, parts: Sequence[Path] = (), overwrite: bool = False
) -> ProductWriter:
    """Writer of a job's product.

    Args:
        series: The input.
        job: The planned classification.
        output: Product to write.
        parts: Work folders of shards whose chunks are taken over.
        overwrite: Replace an existing product even if the options do not.

    Raises:
        UsageError: A creation option is not known or does not fit.
        StorageError: The output exists, is being written by another process, or cannot be written.
    """
    return ProductWriter(
        output,
        series.grid,
        job.card.classes,
        activations=job.options.activations,
        extra=job.extra,
        tags=job.tags,
        fingerprint=job.fingerprint,
        creation_options=job.options.creation_options,
        overwrite=job.options.overwrite or overwrite,
        resume=job.options.resume,
        parts=parts,
        inputs=series.unchanged,
    )


def tell_empty(writer: ProductWriter, series: Series, options: ClassifyOptions) -> None:
    """Warn that a product has no valid pixel: as a tile of a region it is as good as any other.

    Raises:
        InputError: There is none, and `require_data` asks for some.
    """
    if not writer.holds_data():
        series.tell_empty(refuse=options.require_data)
