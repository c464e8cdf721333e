"""`lulc classify`: a scene and a model in, one land-cover product out.

Scene -> raw bands -> FeatureSpec -> TilePlan -> Predictor -> Blender -> ProductWriter
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError, Interrupted, UsageError
from lulc.interruption import StopFlag, stop_on_signals
from lulc.io.areas import ClassArea, class_areas
from lulc.io.gdal import gdal_cache
from lulc.io.product import ProductWriter, PublishReport
from lulc.io.quicklook import quicklook_of
from lulc.io.scene import Scene, open_scene
from lulc.io.staging import check_outputs
from lulc.model.bundle import load_bundle
from lulc.model.inference import ChunkInference, Pixels
from lulc.model.predictor import Predictor
from lulc.tasks.job import ClassifyOptions, Job, plan_job
from lulc.tasks.memory import gdal_cache_bytes, peak_resident_bytes
from lulc.tasks.seams import SeamReport, verify_seams
from lulc.tasks.stages import Stages, StageTimes
from lulc.tiling import Chunk

Progress = Callable[[int, int], None]
"""Told how many pixels of the scene are done, and how many there are."""

_MEGA = 1e6


@dataclass(frozen=True)
class ClassifyReport:
    """What a run did.

    Attributes:
        output: Path of the product.
        plan: What was decided: windows, halo, cost, predicted memory and size.
        classes: Pixels and hectares of each class, as counted in the map.
        valid_share: Share of the scene's pixels that have data.
        megapixels: Size of the scene.
        seconds: Wall time from opening the scene to the published product.
        start_up_s: Of these, until the first pixel was read: imports, model, plan.
        start_up_cpu_s: CPU seconds that the process had spent by then.
        mpx_per_s: Megapixels inferred in this run per second of wall time after start-up.
        stages: Per stage: wall seconds worked, CPU seconds of its thread, seconds the inference waited for it.
        bound: The stage that bounded the run: `read`, `infer` or `write`.
        resumed_chunks: Chunks taken over from an interrupted run.
        peak_bytes: Peak of the process's main memory.
        output_bytes: Size of the product.
        seams: What `--verify-seams` found.
        warnings: What the user should know about the input.
    """

    output: str
    plan: dict[str, Any]
    classes: tuple[ClassArea, ...]
    valid_share: float
    megapixels: float
    seconds: float
    start_up_s: float
    start_up_cpu_s: float
    mpx_per_s: float
    stages: dict[str, dict[str, float]]
    bound: str
    resumed_chunks: int
    peak_bytes: int
    output_bytes: int
    seams: SeamReport | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`."""
        return asdict(self)


def plan_classification(inputs: Sequence[Path], options: ClassifyOptions) -> Job:
    """What `classify` would do; nothing is written.

    Raises:
        LulcError: The scene, the model or an option is refused.
    """
    with _open(inputs, options) as scene:
        return plan_job(scene, load_bundle(options.model), options)


def classify(
    inputs: Sequence[Path],
    output: Path,
    options: ClassifyOptions | None = None,
    *,
    progress: Progress = lambda _done, _all: None,
    seam_windows: int = 0,
    quicklook: Path | None = None,
) -> ClassifyReport:
    """Classify a scene into a product, which is published whole or not at all.

    Args:
        inputs: One scene, or several files that are stacked.
        output: The product.
        options: How; None for the defaults.
        progress: Called after each chunk.
        seam_windows: Number of windows to infer again across seams.
        quicklook: PNG to write beside the product, or None.

    Raises:
        LulcError: Input, model or option refused, reading or writing failed, or Interrupted.
    """
    options = options or ClassifyOptions()
    if any(Path(path).resolve() == output.resolve() for path in inputs):
        raise UsageError(f"{output} is an input", "choose another name for the map")
    if quicklook is not None:
        check_outputs([quicklook], [*inputs, output], overwrite=options.overwrite)
    times = StageTimes()
    with times.measure("total"), _open(inputs, options) as scene:
        bundle = load_bundle(options.model)
        job = plan_job(scene, bundle, options)
        with gdal_cache(gdal_cache_bytes(job.plan, scene, len(job.names))), stop_on_signals() as stop:
            predictor = Predictor(bundle, scene.radiometry, job.names, job.placement, options.batch)
            times.ready()
            run = _Run(scene, job, options, predictor, stop, progress, times)
            published = run.into(output)
            seams = verify_seams(scene, job, predictor, output, seam_windows) if seam_windows else None
        areas = class_areas(output)
        if quicklook is not None:
            quicklook_of(output, scene, quicklook, {entry.name: entry.hectares for entry in areas})
    return _report(job, run, published, areas, seams)


def _open(inputs: Sequence[Path], options: ClassifyOptions) -> Scene:
    return open_scene(inputs, bands=options.bands, offset=options.offset, quantification=options.quantification)


@dataclass
class _Run:
    """The loop over chunks, with what it counts."""

    scene: Scene
    job: Job
    options: ClassifyOptions
    predictor: Predictor
    stop: StopFlag
    progress: Progress
    times: StageTimes
    resumed: int = 0
    valid_pixels: int = 0
    inferred_pixels: int = 0

    def into(self, output: Path) -> PublishReport:
        """Infer what is not stored yet, then publish."""
        writer = ProductWriter(
            output,
            self.scene.grid,
            self.job.card.classes,
            activations=self.options.activations,
            tags=self.job.tags,
            fingerprint=self.job.fingerprint,
            creation_options=self.options.creation_options,
            overwrite=self.options.overwrite,
            resume=self.options.resume,
        )
        try:
            self._infer_into(writer)
            with self.times.measure("publish"):
                return writer.publish()
        except BaseException as error:
            writer.abandon(keep=isinstance(error, Interrupted | KeyboardInterrupt))
            raise

    def _infer_into(self, writer: ProductWriter) -> None:
        finished = writer.finished
        self.resumed = len(finished)
        infer = ChunkInference(self.predictor, self.job.plan, self.options.activations, self.stop.raise_if_set)

        def write(chunk: Chunk, product: NDArray[np.generic]) -> None:
            if chunk.index not in finished:
                writer.put(chunk.index, chunk.core, product)

        stages = Stages(read=self._read, infer=infer, write=write, times=self.times)
        total = self.job.plan.shape.size
        taken_over = sum(chunk.core.shape.size for chunk in self.job.plan.chunks() if chunk.index in finished)
        for chunk in stages.run(self._to_do(finished)):
            self.inferred_pixels += chunk.core.shape.size
            self.progress(min(taken_over + self.inferred_pixels, total), total)
        if not self.valid_pixels and not finished:
            raise InputError(f"{self.scene.info.name} has no valid pixel", "check its nodata value and its bands")

    def _to_do(self, finished: frozenset[int] | set[int]) -> list[Chunk]:
        """Chunks to infer: those not stored, and the stored one whose margin fades into the first of them."""
        chunks = list(self.job.plan.chunks())
        wanted = {chunk.index for chunk in chunks} - finished
        if self.job.plan.fade:
            wanted |= {index - 1 for index in wanted if index > 0}
        return [chunk for chunk in chunks if chunk.index in wanted]

    def _read(self, chunk: Chunk) -> Pixels:
        raw, valid = self.scene.read(self.job.names, chunk.read)
        self.valid_pixels += int(np.count_nonzero(valid[chunk.core.slices(chunk.read)]))
        return raw, valid


def _report(
    job: Job,
    run: _Run,
    published: PublishReport,
    areas: tuple[ClassArea, ...],
    seams: SeamReport | None,
) -> ClassifyReport:
    times, size = run.times, job.plan.shape.size
    seconds = times.wall_s["total"]
    stages = {
        stage: {
            "wall_s": round(times.wall_s[stage], 3),
            "cpu_s": round(times.cpu_s[stage], 3),
            "waited_s": round(times.waited_s.get(stage, 0.0), 3),
        }
        for stage in times.wall_s
        if stage != "total"
    }
    return ClassifyReport(
        output=str(published.path),
        plan=job.summary(),
        classes=areas,
        valid_share=sum(entry.pixels for entry in areas) / size,
        megapixels=size / _MEGA,
        seconds=round(seconds, 3),
        start_up_s=round(times.start_up_s, 3),
        start_up_cpu_s=round(times.start_up_cpu_s, 3),
        mpx_per_s=round(run.inferred_pixels / _MEGA / max(seconds - times.start_up_s, 1e-9), 3),
        stages=stages,
        bound=times.bound,
        resumed_chunks=run.resumed,
        peak_bytes=peak_resident_bytes(),
        output_bytes=published.bytes,
        seams=seams,
        warnings=tuple(run.scene.warnings),
    )
