"""Stacking: bands and spectral indices of scenes as one file of reflectance, in flat memory."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError, Interrupted, UsageError
from lulc.grid import Shape, Window
from lulc.indices import INDICES, spectral_index
from lulc.interruption import StopFlag, stop_on_signals
from lulc.io.cube_writer import netcdf_sink, zarr_sink
from lulc.io.gdal import gdal_cache
from lulc.io.scene import Scene, open_scene
from lulc.io.stack_writer import StackLayout, StackSink, geotiff_sink
from lulc.io.staging import check_target
from lulc.tasks.fill import Composite, Planes
from lulc.tasks.recipe import Recipe, StackOptions, choose_recipe, names_to_read
from lulc.tiling import round_up

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]

SINKS = {".tif": geotiff_sink, ".tiff": geotiff_sink, ".nc": netcdf_sink, ".zarr": zarr_sink}
"""Output format by suffix."""

_FORMATS = {".tif": "GeoTIFF", ".tiff": "GeoTIFF", ".nc": "NetCDF", ".zarr": "Zarr"}
_READERS = 2
_MOST_CACHE = 1 << 30
_MEGA = 1e6


@dataclass(frozen=True, slots=True)
class SourceShare:
    """How many pixels of a stack came from one input."""

    number: int
    name: str
    pixels: int


@dataclass(frozen=True, slots=True)
class StackReport:
    """What `stack` wrote.

    Attributes:
        output: The file or folder.
        format: GeoTIFF, NetCDF or Zarr.
        channels: Names of the channels, in order, without `source`.
        height: Rows.
        width: Columns.
        crs: As `EPSG:32631`, WKT, or empty.
        pixels: Pixels of one channel.
        valid_pixels: Those with data.
        sources: Pixels from each input; more than one when filled.
        output_bytes: Size on disk.
        seconds: Wall time.
        warnings: What the inputs' readers found strange.
    """

    output: str
    format: Literal["GeoTIFF", "NetCDF", "Zarr"]
    channels: tuple[str, ...]
    height: int
    width: int
    crs: str
    pixels: int
    valid_pixels: int
    sources: tuple[SourceShare, ...]
    output_bytes: int
    seconds: float
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_text(self) -> str:
        """Some lines for people."""
        lines = [
            f"{self.output}: {self.format}, {self.width} x {self.height} px, {self.output_bytes / _MEGA:.1f} MB",
            f"channels  {' '.join(self.channels)}",
            f"valid     {self.valid_pixels / self.pixels:.2%} of the pixels",
        ]
        if len(self.sources) > 1:
            lines += [f"source {share.number}  {share.pixels:>12,d} px  {share.name}" for share in self.sources]
        lines.append(f"took      {self.seconds:.1f} s ({self.pixels / _MEGA / max(self.seconds, 1e-9):.2f} Mpx/s)")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def stack(
    inputs: Sequence[Path | str],
    output: Path | str,
    options: StackOptions | None = None,
    *,
    progress: Progress = lambda _done, _total: None,
) -> StackReport:
    """Write bands and indices of a scene, its holes filled from others, as GeoTIFF, NetCDF or Zarr.

    Every channel is float32: reflectance (quantification 1, no offset) or index value, NaN where no input has data
    and where an index has no value.

    Args:
        inputs: One scene: a file, a folder, or the files of its bands.
        output: Path ending in .tif, .nc or .zarr.
        options: See `StackOptions`.
        progress: Told (done, total) pixels after every window.

    Raises:
        UsageError: The output's suffix is unknown, it is an input, or options exclude each other.
        InputError: A band is missing, no pixel has data, or a scene to fill from cannot be placed.
        StorageError: Reading or writing failed, or the output exists. Nothing is left behind.
        Interrupted: SIGINT, SIGTERM or SIGUSR1 came; nothing is left behind either.
    """
    options = options or StackOptions()
    output = Path(output)
    start = time.perf_counter()
    _check_output(output, [Path(path) for path in inputs], options)
    with ExitStack() as opened:
        scenes = _open_scenes(inputs, options, opened)
        recipe = choose_recipe(options, scenes[0])
        names = names_to_read(recipe, scenes)
        layout = StackLayout(
            grid=scenes[0].grid,
            titles={name: _title(name) for name in recipe.channels},
            tags=_tags(recipe, scenes),
            sources=len(scenes) > 1,
            chunk=options.chunk,
        )
        opened.enter_context(gdal_cache(cache_bytes(scenes[0], len(names), options.chunk, len(layout.titles) + 1)))
        told = _stoppable(progress, opened.enter_context(stop_on_signals()))
        with SINKS[output.suffix.lower()](output, layout, overwrite=options.overwrite) as sink:
            counts = _copy(Composite(scenes, names), recipe, layout, sink, told)
            if not counts[1:].any():
                raise InputError(f"{scenes[0].info.name} has no valid pixel", "check its nodata value and its bands")
        return _report(output, recipe, scenes, counts, time.perf_counter() - start)


def block_windows(shape: Shape, chunk: int) -> Iterator[Window]:
    """Windows of at most `chunk` pixels a side, row by row, that hold each pixel once."""
    scene = Window(0, 0, shape.height, shape.width)
    for row in range(0, shape.height, chunk):
        for col in range(0, shape.width, chunk):
            yield Window(row, col, chunk, chunk).intersection(scene)


def cache_bytes(scene: Scene, bands: int, chunk: int, channels: int) -> int:
    """What GDAL's block cache must hold so that no block of the input is decoded twice, and none is evicted half written.

    That is the blocks that two windows side by side touch (whole rows of a striped file), and one window of output.
    """
    block = scene.block_shape
    rows = min(round_up(chunk, block.height), scene.grid.shape.height)
    cols = min(round_up(chunk, block.width), scene.grid.shape.width)
    read: int = (_READERS + 1) * rows * cols * bands * scene.dtype.itemsize
    return min(read + channels * chunk**2 * np.dtype(np.float32).itemsize, _MOST_CACHE)


def _stoppable(progress: Progress, stop: StopFlag) -> Progress:
    """A `progress` that ends the run between two windows once a signal has asked for it."""

    def told(done: int, total: int) -> None:
        progress(done, total)
        if stop.signal is not None:
            raise Interrupted(f"stopped by {stop.signal.name}", "nothing was written; run the same command again")

    return told


def _check_output(output: Path, inputs: Sequence[Path], options: StackOptions) -> None:
    if output.suffix.lower() not in SINKS:
        raise UsageError(f"{output.name} ends in none of {', '.join(SINKS)}", "the suffix chooses the format")
    if output.exists() and any(path.exists() and path.samefile(output) for path in (*inputs, *options.fill)):
        raise UsageError(f"{output} is an input as well", "choose another output")
    check_target(output, overwrite=options.overwrite)


def _open_scenes(inputs: Sequence[Path | str], options: StackOptions, opened: ExitStack) -> list[Scene]:
    first = open_scene(inputs, bands=options.bands, offset=options.offset, quantification=options.quantification)
    scenes = [opened.enter_context(first)]
    for path in options.fill:
        other = open_scene([path], offset=options.fill_offset, quantification=options.fill_quantification)
        scenes.append(opened.enter_context(other))
    return scenes


def _copy(
    composite: Composite, recipe: Recipe, layout: StackLayout, sink: StackSink, progress: Progress
) -> NDArray[np.int64]:
    """The one loop: blocks are read and computed in threads, and written in order by this one.

    Returns:
        Pixels from each input: int64, entry 0 for none, 1 for the first, ...
    """
    counts = np.zeros(composite.scenes + 1, np.int64)
    done, total = 0, layout.grid.shape.size

    def block(window: Window) -> tuple[Window, Planes, NDArray[np.uint8]]:
        planes, source = composite.read(window)
        return window, channels(dict(zip(composite.names, planes, strict=True)), recipe), source

    for window, planes, source in in_order(block, block_windows(layout.grid.shape, layout.chunk)):
        sink.write(window, planes, source)
        counts += np.bincount(source.ravel(), minlength=counts.size)
        done += window.shape.size
        progress(done, total)
    return counts


def channels(values: dict[str, Planes], recipe: Recipe) -> Planes:
    """Channels of a recipe, float32 (channel, row, column), from reflectance and index values by name."""
    computed = [values[name] if name in values else spectral_index(name)(values) for name in recipe.indices]
    return np.stack([*(values[name] for name in recipe.bands), *computed])


def in_order(function: Callable[[Item], Result], items: Iterable[Item], readers: int = _READERS) -> Iterator[Result]:
    """Results of a function in the order of its items, computed in threads at most `readers` items ahead."""
    with ThreadPoolExecutor(readers, thread_name_prefix="lulc-read") as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > readers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _title(name: str) -> str:
    return INDICES[name].title if name in INDICES else f"reflectance of band {name}"


def _tags(recipe: Recipe, scenes: Sequence[Scene]) -> dict[str, str]:
    first = scenes[0]
    tags = {
        "LULC_KIND": "stack",
        "LULC_VERSION": version("lulc"),
        "LULC_BANDS": ",".join(recipe.channels),
        "LULC_PRESET": recipe.name,
        "REFLECTANCE_SCALE": "1",
        "LEVEL": first.info.level,
        "ACQUISITION_DATE": first.info.acquired,
    }
    for number, scene in enumerate(scenes, start=1):
        end = f"_{number}" if number > 1 else ""
        radiometry = scene.radiometry
        tags |= {
            f"LULC_INPUT{end}": scene.info.name,
            f"LULC_INPUT_SHA256{end}": scene.fingerprint(),
            f"LULC_OFFSET{end}": f"{radiometry.offset:g} ({radiometry.source})",
            f"LULC_QUANTIFICATION{end}": f"{radiometry.quantification:g} ({radiometry.source})",
        }
    return {name: value for name, value in tags.items() if value}


def _report(
    output: Path, recipe: Recipe, scenes: Sequence[Scene], counts: NDArray[np.int64], seconds: float
) -> StackReport:
    grid = scenes[0].grid
    inside = [path.stat().st_size for path in output.rglob("*") if path.is_file()] if output.is_dir() else []
    return StackReport(
        output=str(output),
        format=_FORMATS[output.suffix.lower()],  # type: ignore[arg-type]
        channels=recipe.channels,
        height=grid.shape.height,
        width=grid.shape.width,
        crs=grid.crs.to_string() if grid.crs else "",
        pixels=grid.shape.size,
        valid_pixels=int(counts[1:].sum()),
        sources=tuple(
            SourceShare(number, scene.info.name, int(counts[number])) for number, scene in enumerate(scenes, start=1)
        ),
        output_bytes=sum(inside) if output.is_dir() else output.stat().st_size,
        seconds=round(seconds, 3),
        warnings=tuple(warning for scene in scenes for warning in scene.warnings),
    )
