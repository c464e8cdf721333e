"""`lulc classify`: a scene, or several dates of one place, and a model in, one land-cover product out.

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
from lulc.io.product.clouds import tell_clouds
from lulc.io.product.writer import ProductWriter
from lulc.model.bundle import load_bundle
from lulc.model.device import placement_elsewhere
from lulc.run import Progress, Run, running, silent
from lulc.tasks.classify.chunk_loop import Filled, infer_missing, product_writer, tell_empty
from lulc.tasks.classify.job import LEFT_OUT_BY, Job, plan_job
from lulc.tasks.classify.memory import gdal_cache_bytes
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.report import ClassifyReport
from lulc.tasks.classify.seams import verify_seams
from lulc.tasks.classify.series import Series, open_series
from lulc.tasks.classify.stages import StageTimes

Fill = Callable[[Series, Job, ProductWriter, range, Run, StageTimes], Filled]
"""Infers the chunks that a writer lacks and stores them in it, like `lulc.tasks.classify.chunk_loop.infer_missing`."""


def plan_classification(inputs: Sequence[Path], options: ClassifyOptions, name: str | None = None) -> Job:
    """Plan a classification; nothing is written.

    Raises:
        InputError: The scene is refused.
        ModelError: The model is refused.
        UsageError: An option is refused.
        LimitError: No window fits into `max_memory`.
    """
    with open_series(inputs, options, name) as series:
        return plan_job(series, load_bundle(options.model), options)


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
    """Classify a scene, or several dates of one place, into a product, which is published whole or not at all.

    Args:
        inputs: One scene, or several files that are stacked; with `ClassifyOptions(dates=True)`, one scene for each date.
        output: Product to write: class codes uint8, 255 nodata, then one activation band per class; by a model that sees
            clouds also the band `clouds` (0 clear, 1 cloud, 2 shadow); of dates the band `looks`, the number of dates
            that show a pixel.
        options: See `ClassifyOptions`; None for the defaults.
        progress: Called after each chunk with the pixels done and in all.
        seam_windows: Number of windows to infer again across seams.
        quicklook: PNG to write beside the product, or None; of dates it shows the first that was given.
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
    if fill and options.dates:
        raise UsageError("--dates does not run on a cluster", "leave --scheduler out")
    times = StageTimes()
    with times.measure("total"), open_series(inputs, options, name) as series:
        refuse_inputs([path for path in (output, quicklook) if path is not None], series.files())
        # Seams are verified here, on the device that was asked for; without that, other machines alone infer.
        elsewhere = placement_elsewhere(options.device, options.precision) if fill and not seam_windows else None
        job = plan_job(series, load_bundle(options.model), options, elsewhere)
        with gdal_cache(gdal_cache_bytes(job.plan, series, len(job.names))), running(progress) as run:
            with product_writer(series, job, output) as product:
                filled = (fill or infer_missing)(series, job, product, range(job.plan.chunk_count), run, times)
                tell_empty(product, series, options)
            seams = verify_seams(series, job, output, seam_windows) if seam_windows else None
        areas, clouds = class_areas(output), tell_clouds(output, LEFT_OUT_BY)
        if quicklook is not None:
            quicklook_of(output, series.first, quicklook, {entry.name: entry.hectares for entry in areas})
    return ClassifyReport.of(series, job, filled, product.published, areas, seams, times, clouds)


def _refuse_names(inputs: Sequence[Path], output: Path, quicklook: Path | None, options: ClassifyOptions) -> None:
    if any(Path(path).resolve() == output.resolve() for path in inputs):
        raise UsageError(f"{output} is an input", "choose another name for the map")
    for folder in (Path(path).resolve() for path in inputs if Path(path).is_dir()):
        if any(folder in path.resolve().parents for path in (output, quicklook) if path is not None):
            raise UsageError(f"{output} would lie in the input {folder}", "choose another folder for the map")
    if quicklook is not None:
        check_outputs([quicklook], [*inputs, output], overwrite=options.overwrite)
