"""Shards of a classification: some chunks of a scene, kept in a part folder; and the merge of all parts.

A shard runs the loop of `lulc classify` over its own chunks and publishes nothing. The merge takes the chunks over as
they are, compressed, so a merged map equals that of one run byte for byte.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.errors import InputError, ShardError
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.http import web_address
from lulc.io.product.parts import PartWriter, part_folders
from lulc.io.product.writer import ProductWriter
from lulc.model.bundle import Bundle, load_bundle, locate
from lulc.model.device import placement_elsewhere, usable_cores
from lulc.resources import pretrained_dir
from lulc.run import Progress, running, silent
from lulc.tasks.classify.chunk_loop import infer_missing, open_input, product_writer, refuse_empty
from lulc.tasks.classify.job import ClassifyOptions, Job, plan_job
from lulc.tasks.classify.memory import gdal_cache_bytes, peak_resident_bytes
from lulc.tasks.classify.stages import StageTimes


@dataclass(frozen=True)
class Decision:
    """What is decided once for a scene, so that all its shards and their merge agree.

    Attributes:
        fingerprint: Of the job.
        chunks: Number of chunks.
        window: Side of what the network sees.
        halo: Margin of each window that is thrown away.
        blend: Width of the cross-fade.
    """

    fingerprint: str
    chunks: int
    window: int
    halo: int
    blend: int


@dataclass(frozen=True)
class ShardReport:
    """What a shard did.

    Attributes:
        chunks: Chunks that the shard has.
        resumed: Of these, finished by an earlier run.
        megapixels: Inferred in this run.
        seconds: Wall time, from opening the scene.
        stages: As in `ClassifyReport`.
        peak_bytes: Peak of the process's main memory.
    """

    chunks: int
    resumed: int
    megapixels: float
    seconds: float
    stages: dict[str, dict[str, float]]
    peak_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`."""
        return asdict(self)


class MissingChunksError(ShardError):
    """Chunks that no part holds.

    Args:
        output: The product that cannot be merged.
        chunks: Their indices.
    """

    def __init__(self, output: Path, chunks: Sequence[int]) -> None:
        self.chunks = tuple(chunks)
        super().__init__(f"{output} lacks {len(self.chunks)} chunks", "run their shards")


def pinned(options: ClassifyOptions) -> ClassifyOptions:
    """Options in which all that this machine would choose by itself is written down.

    Raises:
        ModelError: No such model.
        UsageError: The device or its precision cannot be decided here.
    """
    placement = placement_elsewhere(options.device, options.precision)
    model = locate(options.model)
    return options.model_copy(
        update={
            "device": str(placement.device),
            "precision": placement.precision,
            "threads": options.threads or usable_cores(),
            "model": str(options.model) if model.parent == pretrained_dir() else str(model.resolve()),
        }
    )


def lasting(path: Path) -> Path:
    """An input as other processes find it, whatever their working folder: an absolute path, or an address as it is."""
    return path if web_address(path) else path.resolve()


def decide(inputs: Sequence[Path], bundle: Bundle, options: ClassifyOptions) -> Decision:
    """Decide how a scene is cut and what identifies its job; nothing is written.

    Args:
        inputs: One scene, or several files that are stacked.
        bundle: The model; stays as it is.
        options: From `pinned`.

    Raises:
        LulcError: The scene, the model or an option is refused.
    """
    with open_input(inputs, options) as scene:
        job = plan_job(scene, bundle, options, placement_elsewhere(options.device, options.precision))
    plan = job.plan
    return Decision(job.fingerprint, plan.chunk_count, plan.window, plan.halo, plan.fade)


def run_shard(
    inputs: Sequence[Path],
    folder: Path,
    options: ClassifyOptions,
    chunks: range,
    fingerprint: str,
    *,
    progress: Progress = silent,
) -> ShardReport:
    """Infer those chunks of a shard that its part folder does not hold yet.

    Args:
        inputs: One scene, or several files that are stacked.
        folder: Where the chunks are kept, from `part_folder`.
        options: From `pinned`, with the decided window, halo and blend.
        chunks: Indices of the shard's chunks.
        fingerprint: From `decide`.
        progress: Called after each chunk.

    Raises:
        LulcError: As `classify`; also when scene, model or code are not what they were when it was decided.
    """
    times = StageTimes()
    with running(progress) as run, times.measure("total"), open_input(inputs, options) as scene:
        job = plan_job(scene, load_bundle(options.model), options)
        _refuse_changed(job, inputs, fingerprint)
        cache = gdal_cache(gdal_cache_bytes(job.plan, scene, len(job.names)))
        with closing(_part_writer(folder, job)) as writer, cache:
            filled = infer_missing(scene, job, writer, chunks, run, times)
    return ShardReport(
        chunks=len(chunks),
        resumed=filled.resumed,
        megapixels=filled.pixels / 1e6,
        seconds=round(times.wall_s["total"], 3),
        stages=times.summary(),
        peak_bytes=peak_resident_bytes(),
    )


def merge_parts(
    inputs: Sequence[Path], output: Path, options: ClassifyOptions, fingerprint: str, *, overwrite: bool = False
) -> None:
    """Put the chunks of all parts together and publish the product; the parts stay.

    Args:
        inputs: As for the shards.
        output: The product.
        options: As for the shards.
        fingerprint: From `decide`.
        overwrite: Replace an existing product though the options do not say so.

    Raises:
        MissingChunksError: Some chunks are in no part of this job; nothing is left behind.
        LulcError: Scene, model or code changed, or writing failed.
    """
    with open_input(inputs, options) as scene:
        placement = placement_elsewhere(options.device, options.precision)
        job = plan_job(scene, load_bundle(options.model), options, placement)
        _refuse_changed(job, inputs, fingerprint)
        with product_writer(scene, job, output, parts=part_folders(output), overwrite=overwrite) as writer:
            _refuse_missing(job, writer)
            refuse_empty(writer, scene)


def _part_writer(folder: Path, job: Job) -> PartWriter:
    return PartWriter(
        folder,
        job.plan.shape,
        job.card.classes,
        activations=job.options.activations,
        fingerprint=job.fingerprint,
        creation_options=job.options.creation_options,
        resume=job.options.resume,
    )


def _refuse_missing(job: Job, writer: ProductWriter) -> None:
    missing = sorted(set(range(job.plan.chunk_count)) - writer.finished)
    if missing:
        raise MissingChunksError(writer.path, missing)


def _refuse_changed(job: Job, inputs: Sequence[Path], fingerprint: str) -> None:
    if job.fingerprint != fingerprint:
        raise InputError(
            f"{inputs[0]}, the model, lulc or torch has changed since the plan was made", "make the plan again"
        )
