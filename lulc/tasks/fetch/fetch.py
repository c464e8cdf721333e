"""Fetching: items of a STAC catalogue become scene files, clipped to an area, digital numbers as they are.

Pixels go through the same sources that `lulc stack` reads an item with, so a fetched file and its item give the same
reflectance to the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lulc.bands import sensor
from lulc.errors import InputError, Interrupted, LulcError, StorageError, UsageError
from lulc.grid import Window
from lulc.io.files.area_of_interest import read_area
from lulc.io.files.http import IN_FLIGHT, without_query
from lulc.io.files.outputs import check_folder, refuse_inputs
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.files.storage import storage_errors
from lulc.io.scene.quality import quality_name
from lulc.io.scene.radiometry import RadiometryOverride
from lulc.io.scene.scene import Scene, open_scene
from lulc.io.scene.stac import UNKNOWN_SIZE, band_assets, item_sources, local_assets
from lulc.io.stack.scene import fetch_key, is_whole, scene_sink
from lulc.run import Progress, running, silent
from lulc.tasks.fetch.catalog import ItemFilter, find_items, parse_period
from lulc.tasks.fetch.job import FetchJob, file_names, scene_layout
from lulc.tasks.fetch.options import DEFAULT_BANDS, FetchOptions
from lulc.tasks.fetch.report import FetchedItem, FetchReport, check_items, write_items
from lulc.threads import abandoned_when, in_order
from lulc.tiling import block_windows

if TYPE_CHECKING:
    from pystac import Item

Refused = Callable[[LulcError], None]

ITEMS = "items.csv"

_CHUNK = 1024
_COUNTS = ("uint8", "uint16")


def fetch(
    catalog: str,
    folder: AnyPath,
    options: FetchOptions,
    *,
    progress: Progress = silent,
    refused: Refused = lambda _error: None,
) -> FetchReport:
    """Fetch the items of a catalogue that meet an area in some dates, each as one GeoTIFF in a folder.

    A file is published whole; one that is there already, of the same item, area and bands, is kept. `items.csv` beside
    them says what each holds. The error of an item that fails goes to `refused`, and the others go on.

    Args:
        catalog: URL of a STAC API or a static catalogue, or the path of one.
        folder: Made when it is not there.
        options: See `FetchOptions`.
        progress: Called with the pixels done and in all of the current item.
        refused: Called with the error of every item that could not be fetched.

    Raises:
        UsageError: An area, period or band that is none.
        InputError: No catalogue there, or no item that fits.
        StorageError: The catalogue cannot be read, or the folder not be written.
        Interrupted: A signal came; what was finished is kept.
    """
    folder = as_path(folder)
    area, bands = read_area(options.area), _bands(options.bands)
    item_filter = ItemFilter(area, parse_period(options.dates), options.max_cloud, options.collection)
    failures: list[LulcError] = []

    def failed(error: LulcError) -> None:
        failures.append(error)
        refused(error)

    if not options.plan:
        _check(folder, overwrite=options.overwrite)
    done: list[FetchedItem] = []
    with ExitStack() as stack:
        run = stack.enter_context(running(progress, "finished files are kept; run the same command again"))
        items = abandoned_when(run.check, lambda: find_items(catalog, item_filter, failed, run.check))[: options.limit]
        if not items and not failures:
            raise InputError(
                f"no item of {without_query(catalog)} fits",
                "widen --area, --dates or --max-cloud, or name a --collection",
            )
        sources = [] if options.plan else [file for item in items for file in local_assets(item)]
        if not options.plan:
            with storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            stack.callback(lambda: write_items(folder / ITEMS, done))
        for item, name in zip(items, file_names(items), strict=True):
            run.check()
            try:
                chosen = _available(item, bands)
                job = FetchJob(item, folder / name, area, chosen, options.refresh, options.overwrite, run)
                refuse_inputs([job.target], sources)
                done.append(_plan(job) if options.plan else _fetch(job))
            except Interrupted:
                raise
            except LulcError as error:
                failed(_of_item(error, item))
    return FetchReport(str(folder), tuple(done), tuple(str(error) for error in failures), options.plan)


def _check(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that cannot be written or holds a table of somebody else, before the catalogue is asked."""
    with storage_errors(folder):
        check_folder(folder, ())
        check_items(folder / ITEMS, overwrite=overwrite)


def _bands(asked: Sequence[str] | None) -> tuple[str, ...] | None:
    """Canonical names of the bands that are asked for."""
    if asked is None:
        return None
    known = [sensor().canonical(name) or quality_name(name) for name in asked]
    unknown = [name for name, found in zip(asked, known, strict=True) if found is None]
    names = tuple(dict.fromkeys(name for name in known if name))
    if unknown or not any(quality_name(name) is None for name in names):
        raise UsageError(f"--bands {','.join(asked)}: {', '.join(unknown) or 'no spectral band'}", "name B02, ..., SCL")
    return names


def _available(item: "Item", bands: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the bands to fetch of an item.

    Raises:
        InputError: It lacks one that was asked for.
    """
    assets = band_assets(item)
    missing = [name for name in bands or () if name not in assets]
    if missing:
        raise InputError(f"{item.id} has no {', '.join(missing)}; it has {', '.join(assets)}", "name other --bands")
    return bands or tuple(name for name in DEFAULT_BANDS if name in assets)


def _plan(job: FetchJob) -> FetchedItem:
    """Size of an item's file, from the headers of its finest assets: of all, where one does not state its pixel size."""
    assets = band_assets(job.item)
    sizes = {name: assets[name].resolution for name in job.names if name in assets}
    finest = min(sizes.values(), default=UNKNOWN_SIZE)
    stated = all(size < UNKNOWN_SIZE for size in sizes.values())
    names = [name for name, size in sizes.items() if size == finest] if stated else job.names
    with ExitStack() as opened:
        sources = item_sources(job.item, Path(job.item.id), names)
        for source in sources:
            opened.callback(source.close)
        grid = max((source.grid for source in sources), key=lambda grid: grid.shape.size)
        return job.described("planned", job.window(grid))


def _fetch(job: FetchJob) -> FetchedItem:
    """Fetch an item, or keep its file."""
    there = job.target.exists()
    key = fetch_key(job.target) if there else ""
    ours = key == job.key
    refreshed = bool(key) and job.refresh
    if there and not (ours or refreshed or job.overwrite):
        of = "of another area, other bands or a changed item" if key else "not fetched by lulc"
        raise StorageError(f"{job.target} exists, {of}", f"use {'--refresh' if key else '--overwrite'} to replace it")
    kept = ours and not job.overwrite and is_whole(job.target)
    if not kept:
        try:
            _write(job, overwrite=ours or refreshed or job.overwrite)
        except _NoDataError as error:
            return job.described("empty", error.window)
        except StorageError:
            kept = not there and fetch_key(job.target) == job.key and is_whole(job.target)
            if not kept:  # else another process was faster
                raise
    with open_scene([job.target]) as scene:
        return job.described("kept" if kept else "fetched", scene.grid.window, scene)


class _NoDataError(LulcError):
    """An item shows nothing of the area."""

    def __init__(self, window: Window) -> None:
        super().__init__("no pixel of the area has data")
        self.window = window


def _write(job: FetchJob, *, overwrite: bool) -> None:
    with Scene(list(item_sources(job.item, Path(job.item.id), job.names)), None, RadiometryOverride()) as scene:
        if scene.dtype.name not in _COUNTS:
            raise InputError(f"its bands hold {scene.dtype}, not digital numbers", "give the item to lulc stack itself")
        whole = job.window(scene.grid)
        layout = scene_layout(job.item, scene, whole, job.names, job.key)
        spectral = [position for position, name in enumerate(job.names) if quality_name(name) is None]
        scene.use_threads(1)  # a band of a window is one request; they go out from the threads below
        done, data = 0, False
        with scene_sink(job.target, layout, overwrite=overwrite) as write:
            for part, planes in _read_ahead(scene, job.names, whole):
                write(part, planes)
                data = data or bool(planes[spectral].any())
                done += part.shape.size
                job.run.tick(done, whole.shape.size)
            if not data:
                raise _NoDataError(whole)


def _read_ahead(scene: Scene, names: Sequence[str], whole: Window) -> Iterator[tuple[Window, NDArray[np.uint16]]]:
    """Blocks of a window of a scene, in order: where in the window, and digital numbers (band, row, column).

    Each band of a block is read by a thread of its own: a server takes long to answer, and many requests may wait at once.
    """
    parts = list(block_windows(whole.shape, _CHUNK))

    def plane(wanted: tuple[Window, str]) -> NDArray[np.uint16]:
        part, name = wanted
        there = Window(part.row + whole.row, part.col + whole.col, part.height, part.width)
        return _digital_numbers(scene, name, there)

    with closing(in_order(plane, product(parts, names), IN_FLIGHT)) as planes:
        for part in parts:
            yield part, np.stack(list(islice(planes, len(names))))


def _digital_numbers(scene: Scene, name: str, window: Window) -> NDArray[np.uint16]:
    """Raw values of a band, uint16, 0 where it has no data, whatever says so in its file.

    Coarser bands are interpolated as every scene's are, SCL is nearest.
    """
    if quality_name(name) is not None:
        return scene.quality[name].read(window).astype(np.uint16)
    raw, valid = scene.read([name], window)
    return np.where(valid, raw[0], 0).astype(np.uint16)


def _of_item(error: LulcError, item: "Item") -> LulcError:
    """The error with the item's name in it."""
    problem = error.problem if item.id in error.problem else f"{item.id}: {error.problem}"
    return type(error)(problem, error.remedy)
