"""`lulc classify`: a scene and a model in, one land-cover product out.

Scene -> raw bands -> FeatureSpec -> TilePlan -> Predictor -> Blender -> ProductWriter
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from lulc.errors import UsageError
from lulc.io.figures.quicklook import quicklook_of
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.outputs import check_outputs, refuse_inputs
from lulc.io.files.paths import AnyPath, AnyPaths, as_path, as_paths
from lulc.io.product.areas import class_areas
from lulc.io.product.writer import ProductWriter
from lulc.io.scene.scene import Scene, open_scene_as
from lulc.model.bundle import load_bundle
from lulc.model.device import placement_elsewhere
from lulc.run import Progress, Run, running, silent
from lulc.tasks.classify.chunk_loop import Filled, infer_missing, product_writer, tell_empty
from lulc.tasks.classify.job import Job, plan_job
from lulc.tasks.classify.memory import gdal_cache_bytes
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.report import ClassifyReport
from lulc.tasks.classify.seams import verify_seams
from lulc.tasks.classify.stages import StageTimes

Fill = Callable[[Scene, Job, ProductWriter, range, Run, StageTimes], Filled]
"""Infers the chunks that a writer lacks and stores them in it, like `lulc.tasks.classify.chunk_loop.infer_missing`."""


def plan_classification(inputs: Sequence[Path], options: ClassifyOptions, name: str | None = None) -> Job:
    """Plan a classification; nothing is written.

    Raises:
        InputError: The scene is refused.
        ModelError: The model is refused.
        UsageError: An option is refused.
        LimitError: No window fits into `max_memory`.
    """
    with open_scene_as(inputs, options, name) as scene:
        return plan_job(scene, load_bundle(options.model), options)


def classify(
    inputs: AnyPaths,
    output: AnyPath,
    options: ClassifyOptions | None = None,
    *,
    progress: Progress = silent,
    seam_windows: int = 0,
    quicklook: AnyPath | None = None,
    fill: Fill | None = None,
    name: str | None = None,
) -> ClassifyReport:
    """Classify a scene into a product, which is published whole or not at all.

    Args:
        inputs: One scene, or several files that are stacked.
        output: Product to write: class codes uint8, 255 nodata, then one activation band per class.
        options: See `ClassifyOptions`; None for the defaults.
        progress: Called after each chunk with the pixels done and in all.
        seam_windows: Number of windows to infer again across seams.
        quicklook: PNG to write beside the product, or None.
        fill: Runs the inference on other machines; None runs it here.
        name: Name of the scene in messages and tags, as in `open_scene`.

    Raises:
        InputError: The scene is refused.
        ModelError: The model is refused, or gives values that are not finite.
        UsageError: An option is refused.
        LimitError: No window fits into `max_memory`, or the device has not enough memory.
        StorageError: Reading or writing failed, or the output exists. Nothing is left behind.
        Interrupted: A signal came; finished chunks are kept for the next run.
    """
    inputs, output = as_paths(inputs), as_path(output)
    quicklook = None if quicklook is None else as_path(quicklook)
    options = options or ClassifyOptions()
    _refuse_names(inputs, output, quicklook, options)
    times = StageTimes()
    with times.measure("total"), open_scene_as(inputs, options, name) as scene:
        refuse_inputs([path for path in (output, quicklook) if path is not None], scene.files())
        # Seams are verified here, on the device that was asked for; without that, other machines alone infer.
        elsewhere = placement_elsewhere(options.device, options.precision) if fill and not seam_windows else None
        job = plan_job(scene, load_bundle(options.model), options, elsewhere)
        with gdal_cache(gdal_cache_bytes(job.plan, scene, len(job.names))), running(progress) as run:
            with product_writer(scene, job, output) as product:
                filled = (fill or infer_missing)(scene, job, product, range(job.plan.chunk_count), run, times)
                tell_empty(product, scene, options)
            seams = verify_seams(scene, job, output, seam_windows) if seam_windows else None
        areas = class_areas(output)
        if quicklook is not None:
            quicklook_of(output, scene, quicklook, {entry.name: entry.hectares for entry in areas})
    return ClassifyReport.of(scene, job, filled, product.published, areas, seams, times)


def _refuse_names(inputs: Sequence[Path], output: Path, quicklook: Path | None, options: ClassifyOptions) -> None:
    if any(Path(path).resolve() == output.resolve() for path in inputs):
        raise UsageError(f"{output} is an input", "choose another name for the map")
    if quicklook is not None:
        check_outputs([quicklook], [*inputs, output], overwrite=options.overwrite)
