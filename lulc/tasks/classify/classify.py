"""`lulc classify`: a scene and a model in, one land-cover product out.

Scene -> raw bands -> FeatureSpec -> TilePlan -> Predictor -> Blender -> ProductWriter
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.errors import Interrupted, ShardError, UsageError
from lulc.io.figures.quicklook import quicklook_of
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.staging import check_outputs, refuse_inputs
from lulc.io.product.areas import ClassArea, class_areas
from lulc.io.product.writer import ProductWriter, PublishReport
from lulc.model.bundle import load_bundle
from lulc.model.device import placement_elsewhere
from lulc.model.provenance import misfits
from lulc.run import Progress, running, silent
from lulc.tasks.classify.chunk_loop import ChunkLoop, open_input, product_writer, refuse_empty
from lulc.tasks.classify.job import ClassifyOptions, Job, plan_job
from lulc.tasks.classify.memory import gdal_cache_bytes, peak_resident_bytes
from lulc.tasks.classify.seams import SeamReport, verify_seams
from lulc.tasks.classify.stages import StageTimes

_MEGA = 1e6


Fill = Callable[[ChunkLoop, ProductWriter], None]
"""Puts all chunks of a job that a writer lacks into it."""


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


def plan_classification(inputs: Sequence[Path], options: ClassifyOptions, name: str | None = None) -> Job:
    """What `classify` would do; nothing is written.

    Raises:
        LulcError: The scene, the model or an option is refused.
    """
    with open_input(inputs, options, name) as scene:
        return plan_job(scene, load_bundle(options.model), options)


def classify(
    inputs: Sequence[Path],
    output: Path,
    options: ClassifyOptions | None = None,
    *,
    progress: Progress = silent,
    seam_windows: int = 0,
    quicklook: Path | None = None,
    fill: Fill | None = None,
    name: str | None = None,
) -> ClassifyReport:
    """Classify a scene into a product, which is published whole or not at all.

    Args:
        inputs: One scene, or several files that are stacked.
        output: The product.
        options: How; None for the defaults.
        progress: Called after each chunk.
        seam_windows: Number of windows to infer again across seams.
        quicklook: PNG to write beside the product, or None.
        fill: Puts all chunks that the writer lacks into it, by other machines; None infers them here.
        name: What to call the scene, as in `open_scene`.

    Raises:
        LulcError: Input, model or option refused, reading or writing failed, or Interrupted.
    """
    options = options or ClassifyOptions()
    if any(Path(path).resolve() == output.resolve() for path in inputs):
        raise UsageError(f"{output} is an input", "choose another name for the map")
    if quicklook is not None:
        check_outputs([quicklook], [*inputs, output], overwrite=options.overwrite)
    times = StageTimes()
    with times.measure("total"), open_input(inputs, options, name) as scene:
        refuse_inputs([output] if quicklook is None else [output, quicklook], scene.files())
        bundle = load_bundle(options.model)
        workers_alone = (
            fill is not None and not seam_windows
        )  # seams are verified here, on the device that was asked for
        elsewhere = placement_elsewhere(options.device, options.precision) if workers_alone else None
        job = plan_job(scene, bundle, options, elsewhere)
        with gdal_cache(gdal_cache_bytes(job.plan, scene, len(job.names))), running(progress) as run:
            loop = ChunkLoop(scene, job, options, bundle, run, times)
            published = _run(loop, output, fill or _fill_here)
            seams = verify_seams(scene, job, loop.predictor, output, seam_windows) if seam_windows else None
        areas = class_areas(output)
        if quicklook is not None:
            quicklook_of(output, scene, quicklook, {entry.name: entry.hectares for entry in areas})
    return _report(loop, published, areas, seams)


def _fill_here(loop: ChunkLoop, writer: ProductWriter) -> None:
    loop.fill(writer, range(loop.job.plan.chunk_count))


def _run(loop: ChunkLoop, output: Path, fill: Fill) -> PublishReport:
    """Infer what is not stored yet, then publish."""
    writer = product_writer(loop.scene, loop.job, loop.options, output)
    try:
        fill(loop, writer)
        refuse_empty(writer, loop.scene)
        with loop.times.measure("publish"):
            return writer.publish()
    except BaseException as error:
        writer.abandon(keep=isinstance(error, Interrupted | KeyboardInterrupt | ShardError))
        raise


def _report(
    loop: ChunkLoop, published: PublishReport, areas: tuple[ClassArea, ...], seams: SeamReport | None
) -> ClassifyReport:
    times, size = loop.times, loop.job.plan.shape.size
    seconds = times.wall_s["total"]
    return ClassifyReport(
        output=str(published.path),
        plan=loop.job.summary(),
        classes=areas,
        valid_share=sum(entry.pixels for entry in areas) / size,
        megapixels=size / _MEGA,
        seconds=round(seconds, 3),
        start_up_s=round(times.start_up_s, 3),
        start_up_cpu_s=round(times.start_up_cpu_s, 3),
        mpx_per_s=round(loop.inferred_pixels / _MEGA / max(seconds - times.start_up_s, 1e-9), 3),
        stages=times.summary(),
        bound=times.bound,
        resumed_chunks=loop.resumed,
        peak_bytes=peak_resident_bytes(),
        output_bytes=published.bytes,
        seams=seams,
        warnings=(*loop.scene.warnings, *misfits(loop.scene, loop.job.card)),
    )
