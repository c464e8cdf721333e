"""The loop over the chunks of a job that a whole run and a shard share: read, infer, store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.product.writer import ProductWriter
from lulc.io.scene.scene import Scene, open_scene
from lulc.model.inference import ChunkInference
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


@dataclass(frozen=True, slots=True)
class Filled:
    """What a loop over chunks did.

    Attributes:
        resumed: Chunks that were stored already.
        pixels: Pixels of the scene that were inferred.
    """

    resumed: int
    pixels: int


def infer_missing(scene: Scene, job: Job, sink: ChunkSink, wanted: range, run: Run, times: StageTimes) -> Filled:
    """Infer those of the wanted chunks that the sink does not hold.

    Args:
        scene: The input.
        job: What was decided.
        sink: Takes finished chunks.
        wanted: Their indices.
        run: Asked between windows whether to stop, told after each chunk.
        times: Of the stages.

    Raises:
        LulcError: Reading or writing failed, or Interrupted; what is finished has been stored.
    """
    finished = sink.finished
    sizes = {chunk.index: chunk.core.shape.size for chunk in job.plan.chunks() if chunk.index in wanted}
    missing = set(wanted) - finished
    resumed, total, pixels = len(sizes) - len(missing), sum(sizes.values()), 0
    taken_over = sum(size for index, size in sizes.items() if index not in missing)
    if missing:
        infer = ChunkInference(predictor_for(scene, job), job.plan, job.options.activations, run.check)

    def write(chunk: Chunk, product: NDArray[np.generic]) -> None:
        if chunk.index in missing:
            sink.put(chunk.index, chunk.core, product)

    times.ready()
    if missing:
        stages = Stages(read=lambda chunk: scene.read(job.names, chunk.read), infer=infer, write=write, times=times)
        for chunk in stages.run(chunks_to_infer(job.plan, missing)):
            pixels += chunk.core.shape.size
            run.tick(min(taken_over + pixels, total), total)
    return Filled(resumed, pixels)


def chunks_to_infer(plan: TilePlan, missing: Iterable[int]) -> list[Chunk]:
    """Chunks that have to be inferred, in order: those missing, and any whose margin fades into one of them."""
    wanted = set(missing)
    if plan.fade:
        wanted |= {index - 1 for index in wanted if index > 0}
    return [chunk for chunk in plan.chunks() if chunk.index in wanted]


def open_input(inputs: Sequence[Path], options: ClassifyOptions, name: str | None = None) -> Scene:
    """Open the input scene; `name` overrides the file name in messages and tags.

    Raises:
        LulcError: It is refused.
    """
    return open_scene(
        inputs, bands=options.bands, offset=options.offset, quantification=options.quantification, name=name
    )


def predictor_for(scene: Scene, job: Job) -> Predictor:
    """The network of a job on its device."""
    options = job.options
    return Predictor(job.bundle, scene.radiometry, job.names, job.placement, options.batch, options.threads)


def product_writer(
    scene: Scene, job: Job, output: Path, *, parts: Sequence[Path] = (), overwrite: bool = False
) -> ProductWriter:
    """The writer of a job's product.

    Args:
        scene: The input.
        job: What was decided.
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
        activations=job.options.activations,
        tags=job.tags,
        fingerprint=job.fingerprint,
        creation_options=job.options.creation_options,
        overwrite=job.options.overwrite or overwrite,
        resume=job.options.resume,
        parts=parts,
    )


def refuse_empty(writer: ProductWriter, scene: Scene) -> None:
    """Refuse to publish a map of nothing.

    Raises:
        InputError: No stored pixel is valid.
    """
    if not writer.holds_data():
        raise InputError(f"{scene.info.name} has no valid pixel", "check its nodata value and its bands")
