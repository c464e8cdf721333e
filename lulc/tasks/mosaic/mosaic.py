"""`lulc mosaic`: maps of many scenes in, one seamless product out.

MosaicPlan -> chunks -> maps on the mosaic's grid -> Merge -> ProductWriter
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.cog.work_folder import work_folder
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.outputs import check_outputs
from lulc.io.product.areas import ClassArea, class_areas
from lulc.io.product.bands import ACTIVATION_SCALE
from lulc.io.product.clouds import tell_clouds
from lulc.io.product.on_grid import ProductWindow
from lulc.io.product.rounding import product_bytes
from lulc.io.product.writer import ProductWriter
from lulc.legend import NODATA_CODE
from lulc.run import Progress, Run, running, silent
from lulc.tasks.classify.memory import peak_resident_bytes
from lulc.tasks.mosaic.merging import FlaggedSky, MapPart, Merged, merge_of, origin_of, sky_of, source_of
from lulc.tasks.mosaic.options import MosaicOptions
from lulc.tasks.mosaic.plan import SOURCES_A_BAND, MosaicPlan, plan_mosaic
from lulc.tasks.mosaic.seams import MosaicSeams, mosaic_seams
from lulc.tasks.mosaic.sources import SourceMapPixels, count_sources, sources_path, write_sources
from lulc.threads import in_order, usable_cores

_GDAL_CACHE = 128 << 20
_MOST_THREADS = 4
_REMEDY = "no map shows it clear, so add maps of other dates"


@dataclass(frozen=True)
class MosaicReport:
    """Result of a run of `lulc mosaic`.

    Attributes:
        output: Path of the product.
        sources_csv: Path of the table of its maps.
        method: Merge method.
        crs: CRS of the mosaic, as EPSG:32631 or WKT.
        height: Rows.
        width: Columns.
        valid_share: Fraction of its pixels with data, 0..1.
        classes: Pixels and hectares of each class, as counted in the mosaic.
        maps: Each map, with the number of pixels of which it is the main source.
        seams: Class changes at scene borders; None unless requested.
        resumed_chunks: Chunks taken over from an interrupted run.
        seconds: Wall time, seconds.
        peak_bytes: Peak of the process's main memory, bytes.
        output_bytes: Size of the product, bytes.
        warnings: Warnings about the maps.
        clouds: Shares of the mosaic's valid pixels under `cloud` and under `shadow`, 0..1; empty where no map flags any.
    """

    output: str
    sources_csv: str
    method: str
    crs: str
    height: int
    width: int
    valid_share: float
    classes: tuple[ClassArea, ...]
    maps: tuple[SourceMapPixels, ...]
    seams: MosaicSeams | None
    resumed_chunks: int
    seconds: float
    peak_bytes: int
    output_bytes: int
    warnings: tuple[str, ...]
    clouds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`."""
        return asdict(self)


def mosaic(
    maps: Sequence[Path],
    output: Path,
    options: MosaicOptions | None = None,
    *,
    seams: bool = False,
    progress: Progress = silent,
) -> MosaicReport:
    """Merge maps into one product, which is published whole or not at all.

    Args:
        maps: Products of one legend and resolution, in any CRS, in order of precedence.
        output: Product to write; the table of its maps is written beside it, as `OUT.sources.csv`.
        options: Options of the merge; None for the defaults.
        seams: Also measure class changes at scene borders.
        progress: Called after each chunk with the pixels done and in all.

    Raises:
        InputError: A map is refused, or none has a valid pixel in the bounds.
        UsageError: An option is refused.
        LimitError: The mosaic would have too many pixels.
        StorageError: Reading or writing failed, or the output exists. Nothing is left behind.
        Interrupted: A signal came; finished chunks are kept for the next run.
    """
    start = time.perf_counter()
    options = options or MosaicOptions()
    table = sources_path(output)
    check_outputs([output], maps, overwrite=options.overwrite)
    # A run that was killed while it published has left the table, and its work folder.
    check_outputs([table], maps, overwrite=options.overwrite or (options.resume and work_folder(output).is_dir()))
    plan = plan_mosaic(maps, options)
    with gdal_cache(_GDAL_CACHE), running(progress) as run:
        resumed, published, sources = _publish(plan, output, run)
        areas = class_areas(output)
        return MosaicReport(
            output=str(output),
            sources_csv=str(table),
            method=options.method,
            crs=plan.grid.crs.to_string() if plan.grid.crs else "",
            height=plan.grid.shape.height,
            width=plan.grid.shape.width,
            valid_share=sum(entry.pixels for entry in areas) / plan.grid.shape.size,
            classes=areas,
            maps=sources,
            seams=mosaic_seams(plan, output) if seams else None,
            resumed_chunks=resumed,
            seconds=round(time.perf_counter() - start, 3),
            peak_bytes=peak_resident_bytes(),
            output_bytes=published,
            warnings=_warnings(plan, sources),
            clouds=tell_clouds(output, _REMEDY),
        )


def _publish(plan: MosaicPlan, output: Path, run: Run) -> tuple[int, int, tuple[SourceMapPixels, ...]]:
    """Merge the chunks that are not stored yet, and publish.

    Returns:
        Number of chunks taken over, size of the product in bytes, and pixels of each map.
    """
    writer = ProductWriter(
        output,
        plan.grid,
        plan.legend,
        activations=plan.activations,
        extra=plan.extra,
        tags=plan.tags(),
        fingerprint=plan.fingerprint,
        creation_options=plan.options.creation_options,
        overwrite=plan.options.overwrite,
        resume=plan.options.resume,
        inputs=plan.unchanged,
    )
    with writer:
        resumed = len(writer.finished)
        pixels = _merge_into(writer, plan, run)
        with writer.assembled() as whole:
            sources = count_sources(plan, whole, pixels)
            write_sources(sources_path(output), plan, sources)
    return resumed, writer.published.bytes, tuple(sources)


def _merge_into(writer: ProductWriter, plan: MosaicPlan, run: Run) -> NDArray[np.int64]:
    """Merge chunks in threads and store them in order.

    Returns:
        Pixels of the mosaic where each map has data, (maps,).
    """
    chunks = list(enumerate(plan.chunks()))
    to_do = [entry for entry in chunks if entry[0] not in writer.finished]
    stored = [window for index, window in chunks if index in writer.finished]
    done = sum(window.shape.size for window in stored)
    pixels = np.zeros(len(plan.maps), np.int64)
    for window in stored:
        run.tick(done, plan.grid.shape.size)
        for position in plan.near(window):
            pixels[position] += np.count_nonzero(plan.parts[position].at(window).classes != NODATA_CODE)

    def merged(entry: tuple[int, Window]) -> tuple[int, Window, MergedChunk]:
        return *entry, merged_chunk(plan, entry[1])

    for index, window, chunk in in_order(merged, to_do, min(_MOST_THREADS, usable_cores())):
        writer.put(index, window, chunk.data)
        pixels += chunk.pixels
        done += window.shape.size
        run.tick(done, plan.grid.shape.size)
    if not writer.holds_data():
        raise InputError("no map has a valid pixel there", "choose other --bounds, or check the maps with lulc info")
    return pixels


class MergedChunk(NamedTuple):
    """One window of a mosaic.

    Attributes:
        data: Bands of the product, (bands, height, width): class code, activations, extra bands; uint8 or float32 as
            the product, 255 nodata.
        pixels: Pixels where each map has data, (maps,).
    """

    data: NDArray[Any]
    pixels: NDArray[np.int64]


def merged_chunk(plan: MosaicPlan, window: Window) -> MergedChunk:
    """Merge one window into the product's bands.

    Args:
        plan: The mosaic.
        window: Window of the mosaic, pixels.

    Raises:
        InputError: A pixel of a map breaks the format of a product.
        StorageError: A block of a map cannot be read.
    """
    pixels, shape = np.zeros(len(plan.maps), np.int64), (window.height, window.width)
    shown = np.zeros(shape, bool)
    for position in plan.near(window):
        seen = plan.parts[position].at(window)
        pixels[position] = np.count_nonzero(seen.classes != NODATA_CODE)
        if pixels[position]:
            view = seen  # the others are released: many dates of one area must not fill the memory
            if plan.flags_clouds:
                shown |= seen.clear
    there = np.flatnonzero(pixels).tolist()
    if not there:
        return MergedChunk(_nothing(plan, window), pixels)
    if len(there) == 1 and plan.activations == "uint8":
        steps = view.steps
        if steps.dtype == np.uint8:
            return MergedChunk(_copied(plan, there[0] + 1, view, steps), pixels)
    merge = merge_of(plan.options.method, len(plan.legend), shape)
    # A map that is alone weighs the same everywhere: its surroundings need not be read.
    margin = plan.options.feather if plan.options.method == "activations" and len(there) > 1 else 0
    for position in there:
        merge.feed(_part(plan, position, window, margin, shown))
    return MergedChunk(_stored(merge.result(), plan), pixels)


def _part(plan: MosaicPlan, position: int, window: Window, margin: int, shown: NDArray[np.bool_]) -> MapPart:
    """A map in a window and a margin; `shown` are the pixels of the window, bool, that any map shows clear."""
    source, around = plan.parts[position], window.grown(margin)
    outer = source.at(around)
    sky = None if outer.sky is None else FlaggedSky(outer.sky, shown)
    return MapPart(position + 1, outer.classes, source.at(window), around, margin, sky)


def _nothing(plan: MosaicPlan, window: Window) -> NDArray[Any]:
    """Result of merging no map, without the arithmetic: most of a region may be without maps."""
    bands = 1 + (0 if plan.activations == "none" else len(plan.legend)) + len(plan.extra)
    dtype = np.float32 if plan.activations == "float32" else np.uint8
    return np.full((bands, window.height, window.width), NODATA_CODE, dtype)


def _copied(plan: MosaicPlan, number: int, view: ProductWindow, steps: NDArray[Any]) -> NDArray[np.uint8]:
    """Result of merging one map whose pixels are those of the mosaic, without the arithmetic."""
    origin = np.broadcast_to(origin_of(number, view.sky), view.classes.shape)
    return _with_extra(plan, np.concatenate([view.classes[None], steps]), origin, steps.max(axis=0))


def _stored(merged: Merged, plan: MosaicPlan) -> NDArray[Any]:
    valid = merged.codes != NODATA_CODE
    if plan.activations == "uint8":
        assert merged.activations is not None
        shown = product_bytes(merged.activations, valid)
    elif plan.activations == "float32":
        assert merged.activations is not None
        shown = np.concatenate([merged.codes[None].astype(np.float32), merged.activations])
    else:
        shown = merged.codes[None]
    confidence = merged.confidence
    if shown.dtype == np.uint8:
        confidence = np.rint(confidence / ACTIVATION_SCALE)
    return _with_extra(plan, shown, merged.origin, confidence)


def _with_extra(
    plan: MosaicPlan, shown_byx: NDArray[Any], origin: NDArray[np.int32], confidence: NDArray[Any]
) -> NDArray[Any]:
    """Append the extra bands, with nodata (255) wherever the class has it."""
    number = np.maximum(source_of(origin) - 1, 0)
    pages = [number // SOURCES_A_BAND] if len(plan.maps) > SOURCES_A_BAND else []
    skies = [sky_of(origin)] if plan.flags_clouds else []
    extra = np.stack([number % SOURCES_A_BAND + 1, *pages, confidence, *skies]).astype(shown_byx.dtype)
    data = np.concatenate([shown_byx, extra])
    data[:, shown_byx[0] == NODATA_CODE] = NODATA_CODE
    return data


def _warnings(plan: MosaicPlan, sources: Sequence[SourceMapPixels]) -> tuple[str, ...]:
    models = dict.fromkeys(one.tags.get("LULC_MODEL", "a model it does not name") for one in plan.maps)
    mixed = [f"the maps are of {len(models)} models: {', '.join(models)}"] if len(models) > 1 else []
    unused = [source.path for source in sources if not source.main_pixels]
    note = f"{len(unused)} maps are the main source of no pixel, such as {unused[0]}" if unused else ""
    return (*mixed, *([note] if note else []))
