"""`lulc change`: two maps of one place in, one map of what became what out.

MapPair -> windows with a halo -> joint probabilities -> patches -> ProductWriter -> ChangeReport -> published
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import UsageError
from lulc.grid import Window
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.product.bands import ExtraBand
from lulc.io.product.writer import ProductWriter
from lulc.legend import Legend
from lulc.run import Progress, Run, running, silent
from lulc.tasks.change.files import check_change_outputs, write_change_report
from lulc.tasks.change.inputs import MapPair, open_pair
from lulc.tasks.change.labels import LabelChange
from lulc.tasks.change.mmu import halo_px, large_patches
from lulc.tasks.change.options import ChangeOptions
from lulc.tasks.change.pixels import ChangePixels, change_pixels
from lulc.tasks.change.report import ChangeReport, change_report
from lulc.tasks.change.stored import change_writer, dated_bands
from lulc.threads import in_order, usable_cores
from lulc.tiling import panel_windows

CHUNK = 1024
"""Side of what is decided and stored at once, pixels: whole blocks of the product."""

_SLAB_ROWS, _BYTE_ROWS = 256, 1280
"""Rows of activations that are held at once, float32 and bytes: of bytes a chunk with its usual halo, so that few blocks are
decoded twice."""

_GDAL_CACHE = 128 << 20
_MOST_THREADS = 4
_WIDEST_HALO = 1024


def map_change(
    before: AnyPath,
    after: AnyPath,
    output: AnyPath,
    options: ChangeOptions | None = None,
    *,
    named: tuple[AnyPath, AnyPath] | None = None,
    reference: AnyPath | None = None,
    folder: AnyPath | None = None,
    progress: Progress = silent,
) -> ChangeReport:
    """Write a map of transitions, which is published whole or not at all, after its report.

    Args:
        before: Map of the earlier date.
        after: Map of the later date, with the same classes; any grid. Both have activations, or their labels alone are
            compared.
        output: The change map, on the grid of `before` where both maps reach.
        options: How; None for the defaults.
        named: What to call the two maps, such as the scenes of maps that do not last; None calls them by their files.
        reference: Points that `lulc sample` drew from this very change map, labelled; None estimates no areas. That they
            are from another map of the same classes shows when the map is whole; it is then not published.
        folder: Where the report is written before the map gets its name; None writes none. Files that an
            interrupted run of this map left there are replaced.
        progress: Called after each chunk.

    Raises:
        LulcError: A map or an option is refused, reading or writing failed, or Interrupted.
    """
    before, after, output = as_path(before), as_path(after), as_path(output)
    reference = None if reference is None else as_path(reference)
    folder = None if folder is None else as_path(folder)
    start, options = time.perf_counter(), options or ChangeOptions()
    inputs = [path for path in (before, after, reference) if path is not None]
    replace = check_change_outputs(output, folder, inputs, overwrite=options.overwrite)
    called = None if named is None else (as_path(named[0]), as_path(named[1]))
    pair = open_pair(before, after, options.to, options.crosswalk, called, options)
    adjusted = None
    if reference is not None:
        from lulc.tasks.change.reference import check_drawn_from, estimate_from_reference  # loads tables of points

        adjusted = estimate_from_reference(reference, pair.legend, output)
    with gdal_cache(_GDAL_CACHE), running(progress) as run:
        change = LabelChange(pair, options, run) if pair.by_labels else _Change(pair, options, run)
        with change.writer(output) as product:
            change.store(product)
            with product.assembled() as whole:
                if adjusted is not None:
                    check_drawn_from(adjusted, whole, run.check)
                report = change_report(
                    output,
                    whole,
                    pair,
                    change.expected,
                    adjusted,
                    settings=change.settings,
                    resumed_chunks=change.resumed,
                    seconds=time.perf_counter() - start,
                )
                run.check()
                if folder is not None:
                    product.keep_after_failure = True  # by its work folder the next run knows these files as its own
                    write_change_report(report, folder, whole, overwrite=replace)
    return report


def extra_bands(classes: Legend) -> tuple[ExtraBand, ...]:
    """What stands behind the transitions."""
    return (
        ExtraBand("probability of change", "share", "probability"),
        ExtraBand("confidence", "share", "probability"),
        *dated_bands(classes),
    )


@dataclass
class _Change:
    """The loop over chunks, with what it sums.

    Attributes:
        pair: The two maps.
        options: How.
        run: Its progress advances after each chunk.
        resumed: Chunks taken over from an interrupted run.
        expected: float64 (K, K) hectares by the joint probabilities.
    """

    pair: MapPair
    options: ChangeOptions
    run: Run
    resumed: int = 0
    expected: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.expected = np.zeros((len(self.pair.legend),) * 2)
        self.areas, whole_ha = self.pair.areas, self.pair.pixel_areas_ha()
        pixels = halo_px(self.options.mmu, whole_ha)
        if pixels > _WIDEST_HALO:
            most = _WIDEST_HALO * float(np.nanmin(whole_ha))
            raise UsageError(
                f"a minimum mapping unit of {self.options.mmu:g} ha is {pixels} pixels of these maps",
                f"use at most --mmu {most:.4g} here",
            )
        cut = halo_px(self.options.mmu, self.areas.rows * self.areas.columns.min())
        self.halo = min(cut, max(self.pair.grid.shape.height, self.pair.grid.shape.width))

    def writer(self, output: Path) -> ProductWriter:
        """The writer of the change map.

        Raises:
            LulcError: As `ProductWriter`.
        """
        tags = {
            "LULC_THRESHOLD": f"{self.options.threshold:g}",
            "LULC_CHANGE_RATE": f"{self.options.change_rate:g}",
            "LULC_MMU_HA": f"{self.options.mmu:g}",
        }
        return change_writer(output, self.pair, self.options, extra_bands(self.pair.legend), tags, CHUNK)

    @property
    def settings(self) -> dict[str, float]:
        """What decides, for the report."""
        return self.options.model_dump(mode="json", include={"threshold", "change_rate", "mmu"})

    def store(self, writer: ProductWriter) -> None:
        """Decide what is not stored yet: chunks are decided in threads, and stored in order by this one.

        Raises:
            LulcError: Reading or writing failed, no pixel has data in both maps, or Interrupted.
        """
        finished, whole = frozenset(writer.finished), self.pair.grid.shape.size
        self.resumed, found, done = len(finished), False, 0

        def decided(entry: tuple[int, Window]) -> tuple[int, Window, NDArray[np.uint8] | None, NDArray[np.float64]]:
            index, window = entry
            if index in finished:  # stored, but its expected areas are not
                return index, window, None, self._pixels(window, window)[1]
            return index, window, *self.chunk(window)

        threads = min(_MOST_THREADS, usable_cores())
        for index, window, bands, expected in in_order(
            decided, enumerate(panel_windows(self.pair.grid.shape, CHUNK)), threads
        ):
            if bands is not None:
                writer.put(index, window, bands)
            self.expected += expected
            found = found or bool(expected.any())
            done += window.shape.size
            self.run.tick(done, whole)
        if not found:
            raise self.pair.no_data_error()

    def chunk(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The product's bands in a window, uint8 (5, height, width), and its expected areas, float64 (K, K)."""
        around = window.grown(self.halo).intersection(self.pair.grid.window)
        pixels, expected = self._pixels(around, window)
        kept = large_patches(pixels.changed, self.areas.part(around), self.options.mmu)
        core = window.slices(around)
        return pixels.part(*core).bands(kept[core], len(self.pair.legend)), expected

    def _pixels(self, around: Window, core: Window) -> tuple[ChangePixels, NDArray[np.float64]]:
        """Pixels of a window, slab by slab, and the expected areas of a window inside it."""
        parts, expected = [], np.zeros_like(self.expected)
        step = _BYTE_ROWS if self.pair.bytewise else _SLAB_ROWS
        for row in range(around.row, around.row_end, step):
            slab = Window(row, around.col, min(step, around.row_end - row), around.width)
            weights = np.zeros((slab.height, slab.width))
            counted = core.intersection(slab)
            weights[counted.slices(slab)] = self.areas.part(counted).table()
            options = self.options
            pixels, sums = change_pixels(*self.pair.activations(slab), options.change_rate, options.threshold, weights)
            parts.append(pixels)
            expected += sums
        names = ChangePixels.__slots__
        return ChangePixels(*(np.concatenate([getattr(part, name) for part in parts]) for name in names)), expected
