"""`lulc polygons`: a map in, the polygons of its classes out.

ProductReader -> strips -> Tracer -> whole patches -> Rings (-> Simplifier) -> Features -> FeatureFile -> published
"""

import logging
from contextlib import ExitStack
from pathlib import Path

from lulc.errors import UsageError
from lulc.io.files.atomic import staged
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.outputs import check_outputs
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.product.reader import open_product
from lulc.run import Progress, Run, running, silent
from lulc.tasks.polygons.feature_file import FeatureFile
from lulc.tasks.polygons.geopackage import GeoPackage
from lulc.tasks.polygons.geoparquet import GeoParquet, check_parquet
from lulc.tasks.polygons.job import Job
from lulc.tasks.polygons.marks import Marks
from lulc.tasks.polygons.options import PolygonsOptions
from lulc.tasks.polygons.report import PolygonsReport, Tally
from lulc.tasks.polygons.strips import STRIP_PX, read_strips
from lulc.tasks.polygons.tracer import Traced, Tracer

SUFFIXES = (".gpkg", ".parquet")
"""Endings of files of polygons."""

_GDAL_CACHE = 64 << 20
_STOPPED = "nothing is kept; run the same command again"

_log = logging.getLogger(__name__)


def map_polygons(
    map_path: AnyPath,
    output: AnyPath,
    options: PolygonsOptions | None = None,
    *,
    progress: Progress = silent,
    strip_px: int = STRIP_PX,
) -> PolygonsReport:
    """Write the 4-connected patches of each class of a map as polygons, in the order of their last pixels, row by row.

    Borders run along pixel edges in the CRS of the map, and neighbours share every vertex of their common border. Memory holds a
    strip of the map, the borders of patches that are not whole yet, and one batch of polygons.

    Args:
        map_path: Product of lulc.
        output: .gpkg or .parquet.
        options: How; None for the defaults.
        progress: Called after each strip.
        strip_px: Pixels that are traced at once; no result depends on it.

    Raises:
        UsageError: The output's suffix is none for polygons, it is the map, a class is unknown,
            or pyarrow is missing.
        InputError: Not a product, without a CRS, or its pixels break the format.
        StorageError: Reading or writing failed, or the output exists.
        Interrupted: A signal has arrived.
    """
    map_path, output, options = as_path(map_path), as_path(output), options or PolygonsOptions()
    _check_output(output, map_path, options)
    with ExitStack() as stack:
        run = stack.enter_context(running(progress, _STOPPED))
        stack.enter_context(gdal_cache(_GDAL_CACHE))
        product = stack.enter_context(open_product(map_path))
        job = Job.of(product, options)
        unfinished = stack.enter_context(staged(output, overwrite=options.overwrite))
        file = stack.enter_context(_file(unfinished, job))
        tally = _write(job, file, unfinished.parent, strip_px, run)
    report = PolygonsReport(map_path, output, tally.vertices, options.min_ha, tally.classes(job.wanted))
    if not report.polygons:
        _log.warning("%s holds no polygon: %s has none of these classes and sizes", output, map_path)
    return report


def _check_output(output: Path, map_path: Path, options: PolygonsOptions) -> None:
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output.name} is no name for polygons", f"end it in {' or '.join(SUFFIXES)}")
    check_outputs([output], [map_path], overwrite=options.overwrite)
    if output.suffix.lower() == ".parquet":
        check_parquet()


def _file(path: Path, job: Job) -> FeatureFile:
    grid = job.product.grid
    if path.suffix.lower() == ".parquet":
        return GeoParquet(path, grid, job.tags)
    return GeoPackage(path, grid, job.product.legend, job.tags)


def _write(job: Job, file: FeatureFile, folder: Path, strip_px: int, run: Run) -> Tally:
    """Trace the map and write its polygons; files without a name lie in the folder."""
    shape = job.product.grid.shape
    marks = Marks(folder, shape.height, shape.width) if job.limit_px else None
    tracer, tally = Tracer(shape.width, marks), Tally(job.product.legend, job.units.per_hectare)

    def put(traced: Traced) -> None:
        for features in job.features(traced, marks, tally):
            file.put(features)

    for strip in read_strips(job.product, job.units, job.wanted, strip_px):
        put(tracer.add(strip))
        run.tick(strip.row_end * shape.width, shape.size)
    put(tracer.finish(shape.height))
    file.finish(job.nothing())
    return tally
