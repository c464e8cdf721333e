"""Stack bands and spectral indices of scenes into one file of reflectance, in bounded memory."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import UsageError
from lulc.grid import Grid, Window
from lulc.indices import INDICES, spectral_index
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.outputs import check_target, refuse_inputs
from lulc.io.files.paths import AnyPath, AnyPaths, as_path, as_paths
from lulc.io.scene.acquired import span
from lulc.io.scene.clouds import ClearScene
from lulc.io.scene.scene import Scene, open_scene, open_scene_as
from lulc.io.stack.cube import netcdf_sink, zarr_sink
from lulc.io.stack.geotiff import DATES_TITLE, SOURCE_TITLE, StackLayout, StackSink, geotiff_sink
from lulc.run import Progress, Run, running, silent
from lulc.tasks.stack.clouds import clear_scene
from lulc.tasks.stack.composite import Composite, MaxNdvi, Median, clear_fractions
from lulc.tasks.stack.on_grid import Planes
from lulc.tasks.stack.options import StackOptions
from lulc.tasks.stack.recipe import Recipe, choose_recipe, names_to_read
from lulc.tasks.stack.report import CompositeDate, Format, SourceCount, StackReport
from lulc.threads import READERS, in_order
from lulc.tiling import block_windows, round_up

AnyComposite = Composite | Median | MaxNdvi

SINKS = {".tif": geotiff_sink, ".tiff": geotiff_sink, ".nc": netcdf_sink, ".zarr": zarr_sink}
"""Output format by suffix."""

_FORMATS: dict[str, Format] = {".tif": "GeoTIFF", ".tiff": "GeoTIFF", ".nc": "NetCDF", ".zarr": "Zarr"}
_MOST_CACHE = 1 << 30


def stack(
    inputs: AnyPaths,
    output: AnyPath,
    options: StackOptions | None = None,
    *,
    progress: Progress = silent,
) -> StackReport:
    """Write bands and indices of a scene as GeoTIFF, NetCDF or Zarr; its holes may be filled from other scenes.

    Every channel is float32: reflectance (quantification 1, no offset) or index value. It is NaN where no input has
    data and where an index is undefined.

    Args:
        inputs: One scene: a file, a folder, or the files of its bands.
        output: Path ending in .tif, .nc or .zarr.
        options: See `StackOptions`; None for the defaults.
        progress: Called after every window with the pixels done and in all.

    Raises:
        UsageError: The output has an unknown suffix or is an input, or options exclude each other.
        InputError: A band is missing, no pixel has data, or a scene to fill from cannot be projected.
        StorageError: Reading or writing failed, or the output exists. Nothing is left behind.
        Interrupted: SIGINT, SIGTERM or SIGUSR1 came; nothing is left behind either.
        ConfigError: The preset or an index is unknown.
    """
    inputs, output = as_paths(inputs), as_path(output)
    options = options or StackOptions()
    start = time.perf_counter()
    _check_output(output, inputs, options)
    with ExitStack() as opened:
        scenes = _open_scenes(inputs, options, opened)
        refuse_inputs([output], [file for scene in scenes for file in scene.files()])
        recipe = choose_recipe(options, scenes[0])
        names = names_to_read(recipe, scenes, composite=options.composite)
        dates = [clear_scene(scene, options) for scene in scenes]
        layout = StackLayout(
            grid=scenes[0].grid,
            titles={name: _title(name) for name in recipe.channels},
            tags=_tags(recipe, dates, options),
            sources=len(scenes) > 1,
            chunk=options.chunk,
            source_title=DATES_TITLE if options.composite == "median" else SOURCE_TITLE,
        )
        opened.enter_context(gdal_cache(cache_bytes(scenes[0], len(names), options.chunk, len(layout.titles) + 1)))
        run = opened.enter_context(running(progress, "nothing was written; run the same command again"))
        composite, listed = _composite(dates, names, options, run)
        with SINKS[output.suffix.lower()](output, layout, overwrite=options.overwrite) as sink:
            counts = _copy(composite, recipe, layout, sink, run)
            if not counts[1:].any():
                fewer = "" if options.clouds == "none" else ", or mask fewer clouds"
                remedy = f"check its nodata value and its bands{fewer}"
                scenes[0].tell_empty(remedy, refuse=options.require_data)
            for scene in scenes:
                scene.unchanged.check()
        sources = _source_counts(dates, counts, options)
        return _report(output, recipe, dates, listed, sources, options, time.perf_counter() - start)


def _composite(
    dates: Sequence[ClearScene], names: tuple[str, ...], options: StackOptions, run: Run
) -> tuple[AnyComposite, tuple[CompositeDate, ...]]:
    """The composite, and its dates in order of precedence."""
    listed = [
        CompositeDate(number, date.info.name, date.info.acquired, date.masked_by)
        for number, date in enumerate(dates, start=1)
    ]
    if options.composite == "median":
        return Median(dates, names), tuple(listed)
    if options.composite == "max-ndvi":
        return MaxNdvi(dates, names), tuple(listed)
    if options.composite == "first":
        return Composite(dates, names), tuple(listed)
    clear = clear_fractions(dates, names, _interruptible_windows(dates[0].grid, options.chunk, run))
    listed = [replace(date, clear=round(fraction, 6)) for date, fraction in zip(listed, clear, strict=True)]
    order = sorted(range(len(dates)), key=lambda position: -clear[position])
    return Composite(dates, names, order), tuple(listed[position] for position in order)


def _interruptible_windows(grid: Grid, chunk: int, run: Run) -> Iterator[Window]:
    """Windows of a pass before the first pixel is written; a signal ends the run between them."""
    for window in block_windows(grid.shape, chunk):
        run.tick(0, grid.shape.size)
        yield window


def _source_counts(
    dates: Sequence[ClearScene], counts: NDArray[np.int64], options: StackOptions
) -> tuple[SourceCount, ...]:
    names = [date.info.name for date in dates]
    if options.composite == "median":
        names = [f"{number} date{'s' if number > 1 else ''}" for number in range(1, len(dates) + 1)]
    return tuple(SourceCount(number, name, int(counts[number])) for number, name in enumerate(names, start=1))


def cache_bytes(scene: Scene, bands: int, chunk: int, channels: int) -> int:
    """Size of GDAL's block cache, bytes, at which no input block is decoded twice and none is evicted half written.

    It holds the blocks that two neighbouring windows touch (whole rows of a striped file), and one window of output.

    Args:
        scene: The input.
        bands: Number of bands read.
        chunk: Side of a window, pixels.
        channels: Number of channels written.
    """
    block = scene.block_shape
    rows = min(round_up(chunk, block.height), scene.grid.shape.height)
    cols = min(round_up(chunk, block.width), scene.grid.shape.width)
    read: int = (READERS + 1) * rows * cols * bands * scene.dtype.itemsize
    return min(read + channels * chunk**2 * np.dtype(np.float32).itemsize, _MOST_CACHE)


def _check_output(output: Path, inputs: Sequence[Path], options: StackOptions) -> None:
    if output.suffix.lower() not in SINKS:
        raise UsageError(f"{output.name} ends in none of {', '.join(SINKS)}", "the suffix chooses the format")
    if output.exists() and any(path.exists() and path.samefile(output) for path in (*inputs, *options.fill)):
        raise UsageError(f"{output} is an input as well", "choose another output")
    check_target(output, overwrite=options.overwrite)


def _open_scenes(inputs: Sequence[Path | str], options: StackOptions, opened: ExitStack) -> list[Scene]:
    scenes = [opened.enter_context(open_scene_as(inputs, options))]
    for path in options.fill:
        other = open_scene([path], offset=options.fill_offset, quantification=options.fill_quantification)
        scenes.append(opened.enter_context(other))
    for scene in scenes:
        scene.use_threads(beside=len(scenes))
        scene.check_reflectance()
    return scenes


def _copy(composite: AnyComposite, recipe: Recipe, layout: StackLayout, sink: StackSink, run: Run) -> NDArray[np.int64]:
    """Read and compute blocks in threads, and write them in order.

    Returns:
        Number of pixels by value of the channel `source`, int64 (sources + 1,); entry 0 counts pixels without data.
    """
    counts = np.zeros(composite.scenes + 1, np.int64)
    done, total = 0, layout.grid.shape.size

    def block(window: Window) -> tuple[Window, Planes, NDArray[np.uint8]]:
        planes, source = composite.read(window)
        return window, channels(dict(zip(composite.names, planes, strict=True)), recipe), source

    for window, planes, source in in_order(block, block_windows(layout.grid.shape, layout.chunk)):
        sink(window, planes, source)
        counts += np.bincount(source.ravel(), minlength=counts.size)
        done += window.shape.size
        run.tick(done, total)
    return counts


def channels(values: dict[str, Planes], recipe: Recipe) -> Planes:
    """Compute the channels of a recipe: float32 (channels, height, width).

    Args:
        values: Reflectance of bands and values of indices by name, float32 (height, width) each.
        recipe: Channels in order.

    Raises:
        ConfigError: An index is unknown.
    """
    computed = [values[name] if name in values else spectral_index(name)(values) for name in recipe.indices]
    return np.stack([*(values[name] for name in recipe.bands), *computed])


def _title(name: str) -> str:
    return INDICES[name].title if name in INDICES else f"reflectance of band {name}"


def _tags(recipe: Recipe, dates: Sequence[ClearScene], options: StackOptions) -> dict[str, str]:
    first = dates[0]
    tags = {
        "LULC_KIND": "stack",
        "LULC_VERSION": version("lulc"),
        "LULC_BANDS": ",".join(recipe.channels),
        "LULC_PRESET": recipe.name,
        "REFLECTANCE_SCALE": "1",
        "LEVEL": first.info.level,
        "ACQUISITION_DATE": span(date.info.acquired for date in dates),
        "LULC_COMPOSITE": options.composite if len(dates) > 1 else "",
    }
    for number, date in enumerate(dates, start=1):
        tags |= date.tags(f"_{number}" if number > 1 else "")
    return {name: value for name, value in tags.items() if value}


def _report(
    output: Path,
    recipe: Recipe,
    dates: Sequence[ClearScene],
    listed: tuple[CompositeDate, ...],
    sources: tuple[SourceCount, ...],
    options: StackOptions,
    seconds: float,
) -> StackReport:
    grid = dates[0].grid
    return StackReport(
        output=str(output),
        format=_FORMATS[output.suffix.lower()],
        channels=recipe.channels,
        height=grid.shape.height,
        width=grid.shape.width,
        crs=grid.crs.to_string() if grid.crs else "",
        pixels=grid.shape.size,
        valid_pixels=sum(source.pixels for source in sources),
        sources=sources,
        composite=options.composite,
        dates=listed,
        output_bytes=sum(path.stat().st_size for path in (output, *output.rglob("*")) if path.is_file()),
        seconds=round(seconds, 3),
        warnings=tuple(warning for date in dates for warning in (*date.warnings, *date.scene.warnings)),
    )
