"""The loop over chunks that a whole run and a shard of one share: read, infer, store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.product.writer import ProductWriter
from lulc.io.scene.scene import Scene, open_scene
from lulc.model.bundle import Bundle
from lulc.model.inference import ChunkInference, Pixels
from lulc.model.predictor import Predictor
from lulc.run import Run
from lulc.tasks.classify.job import ClassifyOptions, Job
from lulc.tasks.classify.stages import Stages, StageTimes
from lulc.tiling import Chunk, TilePlan


class ChunkSink(Protocol):
    """Where finished chunks go."""

    @property
    def finished(self) -> frozenset[int]:
        """Chunks that it holds already."""

    def put(self, chunk: int, window: Window, data_byx: NDArray[Any]) -> None:
        """Store a finished chunk."""


@dataclass
class ChunkLoop:
    """Reads, infers and stores chunks of one job, and counts what it did.

    Attributes:
        scene: The input.
        job: What was decided.
        options: How.
        bundle: The model; `predictor` takes its network over.
        run: Looked at between windows, told after each chunk.
        times: Of the stages.
        resumed: Chunks that were stored already.
        inferred_pixels: Pixels of the scene that went through the network here.
    """

    scene: Scene
    job: Job
    options: ClassifyOptions
    bundle: Bundle
    run: Run
    times: StageTimes
    resumed: int = 0
    inferred_pixels: int = 0

    @cached_property
    def predictor(self) -> Predictor:
        """The network on its device."""
        return predictor_for(self.scene, self.bundle, self.job, self.options)

    def fill(self, sink: ChunkSink, wanted: range) -> None:
        """Infer those of the wanted chunks that the sink does not hold.

        Raises:
            LulcError: Reading or writing failed, or Interrupted; what is finished has been stored.
        """
        finished = sink.finished
        chunks = [chunk for chunk in self.job.plan.chunks() if chunk.index in wanted]
        total = sum(chunk.core.shape.size for chunk in chunks)
        taken_over = sum(chunk.core.shape.size for chunk in chunks if chunk.index in finished)
        self.resumed = sum(chunk.index in finished for chunk in chunks)
        if self.resumed == len(chunks):
            self.times.ready()
            return
        infer = ChunkInference(self.predictor, self.job.plan, self.options.activations, self.run.check)

        def write(chunk: Chunk, product: NDArray[np.generic]) -> None:
            if chunk.index in wanted and chunk.index not in finished:
                sink.put(chunk.index, chunk.core, product)

        self.times.ready()
        stages = Stages(read=self._read, infer=infer, write=write, times=self.times)
        for chunk in stages.run(chunks_to_infer(self.job.plan, set(wanted) - finished)):
            self.inferred_pixels += chunk.core.shape.size
            self.run.tick(min(taken_over + self.inferred_pixels, total), total)

    def _read(self, chunk: Chunk) -> Pixels:
        return self.scene.read(self.job.names, chunk.read)


def chunks_to_infer(plan: TilePlan, missing: Iterable[int]) -> list[Chunk]:
    """Chunks that have to be inferred, in order: those missing, and any whose margin fades into one of them."""
    wanted = set(missing)
    if plan.fade:
        wanted |= {index - 1 for index in wanted if index > 0}
    return [chunk for chunk in plan.chunks() if chunk.index in wanted]


def open_input(inputs: Sequence[Path], options: ClassifyOptions, name: str | None = None) -> Scene:
    """The scene of a run, under a name that is not its file's unless None.

    Raises:
        LulcError: It is refused.
    """
    return open_scene(
        inputs, bands=options.bands, offset=options.offset, quantification=options.quantification, name=name
    )


def predictor_for(scene: Scene, bundle: Bundle, job: Job, options: ClassifyOptions) -> Predictor:
    """The network of a run on its device; the bundle's network is taken over."""
    return Predictor(bundle, scene.radiometry, job.names, job.placement, options.batch, options.threads)


def product_writer(
    scene: Scene,
    job: Job,
    options: ClassifyOptions,
    output: Path,
    *,
    parts: Sequence[Path] = (),
    overwrite: bool = False,
) -> ProductWriter:
    """The writer of a run's product.

    Args:
        scene: The input.
        job: What was decided.
        options: How.
        output: The product.
        parts: Work folders of shards whose chunks are taken over.
        overwrite: Replace an existing product though the options do not say so.

    Raises:
        LulcError: As `ProductWriter`.
    """
    return ProductWriter(
        output,
        scene.grid,
        job.card.classes,
        activations=options.activations,
        tags=job.tags,
        fingerprint=job.fingerprint,
        creation_options=options.creation_options,
        overwrite=options.overwrite or overwrite,
        resume=options.resume,
        parts=parts,
    )


def refuse_empty(writer: ProductWriter, scene: Scene) -> None:
    """Refuse to publish a map of nothing.

    Raises:
        InputError: No stored pixel is valid.
    """
    if not writer.holds_data():
        raise InputError(f"{scene.info.name} has no valid pixel", "check its nodata value and its bands")
