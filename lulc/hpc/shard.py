"""Shards of a classification: chunks of a scene kept in a part folder, and the merge of all parts.

A shard runs the loop of `lulc classify` over its own chunks and publishes nothing. The merge takes the compressed
chunks over unchanged, so a merged map equals that of one run byte for byte.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.errors import InputError, ShardError, UsageError
from lulc.io.files.fingerprint import changed_parts
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.http import web_address
from lulc.io.product.clouds import tell_clouds
from lulc.io.product.parts import PartWriter, part_folders
from lulc.model.bundle import Bundle, load_bundle
from lulc.model.bundle_files import locate
from lulc.model.device import placement_elsewhere
from lulc.resources import pretrained_dir
from lulc.run import Progress, running, silent
from lulc.tasks.classify.chunk_loop import infer_missing, product_writer, tell_empty
from lulc.tasks.classify.job import LEFT_OUT_BY, Job, plan_job
from lulc.tasks.classify.memory import gdal_cache_bytes, peak_resident_bytes
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.series import open_series
from lulc.tasks.classify.stages import StageTimes
from lulc.threads import usable_cores


@dataclass(frozen=True)
class ShardReport:
    """Report of the run of a shard.

    Attributes:
        chunks: Number of chunks of the shard.
        resumed: Number of these finished by an earlier run.
        megapixels: Megapixels inferred in this run.
        seconds: Wall seconds from opening the scene.
        stages: Times of the stages, seconds, as in `ClassifyReport`.
        peak_bytes: Peak of the process's main memory, bytes.
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
    """A product cannot be merged, because no part holds some of its chunks.

    Args:
        output: The product that cannot be merged.
        chunks: Indices of the missing chunks.
    """

    def __init__(self, output: Path, chunks: Sequence[int]) -> None:
        self.chunks = tuple(chunks)
        super().__init__(f"{output} lacks {len(self.chunks)} chunks", "run their shards")


def pinned(options: ClassifyOptions) -> ClassifyOptions:
    """Options with every choice of this machine made explicit: device, precision, threads, model path.

    Raises:
        ModelError: There is no such model.
        UsageError: The device or its precision cannot be decided here, or the map is one of several dates.
    """
    if options.dates:
        raise UsageError("shards are parts of one scene, and cannot make a map of several dates", "leave --dates out")
    placement = placement_elsewhere(options.device, options.precision)
    model = locate(options.model)
    return options.model_copy(
        update={
            "device": str(placement.device),
            "precision": placement.precision,
            "threads": options.threads or usable_cores(),
            "model": str(options.model) if model.parent == pretrained_dir() else str(model.resolve()),
            "calibration": options.calibration.resolve() if options.calibration else None,
        }
    )


def lasting(path: Path) -> Path:
    """An input as other processes find it from any working folder: an absolute path, or a URL unchanged."""
    return path if web_address(path) else path.resolve()


def decide(inputs: Sequence[Path], bundle: Bundle, options: ClassifyOptions) -> Job:
    """Plan a scene once, so that all its shards and their merge agree; nothing is written.

    Args:
        inputs: One scene, or several files that are stacked.
        bundle: Card and network of the model; unchanged.
        options: Options from `pinned`.

    Raises:
        InputError: The scene is refused.
        UsageError: An option is refused.
        LimitError: No window fits into `max_memory`.
    """
    with open_series(inputs, options) as series:
        return plan_job(series, bundle, options, placement_elsewhere(options.device, options.precision))


def run_shard(
    inputs: Sequence[Path],
    folder: Path,
    options: ClassifyOptions,
    chunks: range,
    fingerprint: str,
    *,
    progress: Progress = silent,
) -> ShardReport:
    """Infer the chunks of a shard that its part folder does not hold yet.

    Args:
        inputs: One scene, or several files that are stacked.
        folder: Work folder of the shard, from `part_folder`.
        options: Options from `pinned`, with the planned window, halo and blend.
        chunks: Indices of the shard's chunks.
        fingerprint: Fingerprint from `decide`.
        progress: Called after each chunk with the pixels done and in all.

    Raises:
        InputError: The scene is refused, or scene, model or code changed since the plan was made; it names which.
        LulcError: As `classify`.
    """
    times = StageTimes()
    with running(progress) as run, times.measure("total"), open_series(inputs, options) as series:
        job = plan_job(series, load_bundle(options.model), options)
        _refuse_changed(job, inputs, fingerprint)
        cache = gdal_cache(gdal_cache_bytes(job.plan, series, len(job.names)))
        part = PartWriter(folder, job.layout, job.fingerprint, resume=options.resume, inputs=series.unchanged)
        with closing(part) as writer, cache:
            filled = infer_missing(series, job, writer, chunks, run, times)
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
    """Merge the chunks of all parts and publish the product; the parts stay.

    Args:
        inputs: Files of the scene, as for the shards.
        output: Product to write.
        options: Options, as for the shards.
        fingerprint: Fingerprint from `decide`.
        overwrite: Replace an existing product even if the options do not.

    Raises:
        MissingChunksError: No part of this job holds some chunks. Nothing is left behind.
        InputError: The scene is refused, or scene, model or code changed since the plan was made; it names which.
        StorageError: The output exists, or writing failed.
    """
    with open_series(inputs, options) as series:
        placement = placement_elsewhere(options.device, options.precision)
        job = plan_job(series, load_bundle(options.model), options, placement)
        _refuse_changed(job, inputs, fingerprint)
        with product_writer(series, job, output, parts=part_folders(output), overwrite=overwrite) as writer:
            missing = sorted(set(range(job.plan.chunk_count)) - writer.finished)
            if missing:
                raise MissingChunksError(output, missing)
            tell_empty(writer, series, options)
        tell_clouds(output, LEFT_OUT_BY)


def _refuse_changed(job: Job, inputs: Sequence[Path], fingerprint: str) -> None:
    if job.fingerprint != fingerprint:
        changed = changed_parts(fingerprint, job.fingerprint)
        raise InputError(f"{inputs[0]}: changed since the plan was made: {changed}", "make the plan again")
