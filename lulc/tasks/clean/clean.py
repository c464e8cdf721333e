"""`lulc clean`: a map in, a cleaned map out.

MapToClean (merge, smooth) -> strips -> Sweep -> Verdicts; then again strips -> classes -> ProductWriter -> CleanReport -> published
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.files.fingerprint import code_fingerprint, file_fingerprint, named_fingerprint
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.outputs import check_outputs
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.product.reader import UNIT_TAG
from lulc.io.product.writer import ProductWriter
from lulc.run import Progress, Run, running, silent
from lulc.tasks.clean.options import CleanOptions
from lulc.tasks.clean.report import CleanReport, clean_report
from lulc.tasks.clean.source import MapToClean, open_map
from lulc.tasks.clean.unit import UnitAreas
from lulc.tasks.clean.unit_pass import STRIP_PIXELS, UnitPass, strip_windows
from lulc.threads import in_order, usable_cores

PANEL = 2048
"""Width of what is stored at once, pixels: whole blocks of the product."""

_GDAL_CACHE = 32 << 20
"""Strips are whole blocks, which are decoded once."""

_MOST_THREADS = 4
_WIDE = 2
"""Strips this much larger than usual are read one at a time."""


def clean(map_: AnyPath, output: AnyPath, options: CleanOptions, *, progress: Progress = silent) -> CleanReport:
    """Merge the classes of a map, smooth its activations, and remove patches below a minimum mapping unit, in this order.

    Args:
        map_: Product of one date.
        output: The cleaned map; published whole or not at all.
        options: What is asked for.
        progress: Called with the pixels done and in all.

    Raises:
        LulcError: The map or an option is refused, reading or writing failed, or Interrupted.
    """
    start, path, output = time.perf_counter(), as_path(map_), as_path(output)
    check_outputs([output], [path], overwrite=options.overwrite)
    with gdal_cache(_GDAL_CACHE), running(progress) as run:
        cleaning = _Cleaning(open_map(path, options), options, run)
        with cleaning.writer(output) as product:
            cleaning.decide()
            cleaning.store(product)
            with product.assembled() as whole:
                report = clean_report(output, whole, cleaning.source, cleaning.unit_pass, options, run)
                run.check()
    return report.published(cleaning.resumed, time.perf_counter() - start)


@dataclass
class _Cleaning:
    """The two passes over a map.

    Attributes:
        source: The map.
        options: What is asked for.
        run: Its progress advances after each strip.
        resumed: Chunks taken over from an interrupted run.
    """

    source: MapToClean
    options: CleanOptions
    run: Run
    resumed: int = 0

    @cached_property
    def unit_pass(self) -> UnitPass | None:
        """The first pass; None where there is no minimum mapping unit."""
        unit = self.options.unit
        if unit is None:
            return None
        return UnitPass(self.source, self.options, UnitAreas.of(unit, self.source.areas, self.source.path))

    def writer(self, output: Path) -> ProductWriter:
        """The writer of the cleaned map.

        Raises:
            LulcError: As `ProductWriter`.
        """
        _ = self.unit_pass  # what it refuses is refused before any file is made
        return ProductWriter(
            output,
            self.source.grid,
            self.source.legend,
            activations=self.source.stored,
            extra=self.source.extra,
            tags=self.tags,
            fingerprint=self._fingerprint(),
            creation_options=self.options.creation_options,
            overwrite=self.options.overwrite,
            resume=self.options.resume,
            inputs=self.source.unchanged,
        )

    @cached_property
    def tags(self) -> dict[str, str]:
        """Provenance: that of the map, and what was done to it."""
        source, unit = self.source, self.options.unit
        kept = {name: text for name, text in source.tags.items() if name != UNIT_TAG or not source.moves}
        done = "; ".join((*filter(None, [source.tags.get("LULC_CLEANED")]), f"lulc {version('lulc')}: {self._said()}"))
        return (
            kept
            | {
                "LULC_LEGEND": json.dumps(source.legend.to_table(), sort_keys=True),
                "LULC_ACTIVATIONS": source.stored,
                "LULC_CLEANED": done,
                "LULC_CLEANED_FROM": source.path.name,
                "LULC_CLEANED_FROM_SHA256": file_fingerprint(source.path, times=False).hex(),
            }
            | ({} if unit is None else {UNIT_TAG: str(unit)})
        )

    def decide(self) -> None:
        """The first pass."""
        if self.unit_pass is not None:
            self.unit_pass.run(self._threads, self.run, self._whole)

    def store(self, writer: ProductWriter) -> None:
        """The second pass: write what is not stored yet.

        Raises:
            LulcError: Reading or writing failed, no pixel has data, or Interrupted.
        """
        finished, done = frozenset(writer.finished), self._whole - self.source.grid.shape.size
        self.resumed = len(finished)
        for chunks, planes in in_order(lambda strip: self._cleaned(*strip, finished), self._strips(), self._threads):
            for index, window in chunks:
                if index not in finished:
                    writer.put(index, window, np.stack([plane[:, window.col : window.col_end] for plane in planes]))
                done += window.shape.size
                self.run.tick(done, self._whole)
        if not writer.holds_data():
            raise InputError(
                f"{self.source.path} has no pixel with data in the cleaned legend", "check it with lulc info"
            )

    @property
    def _whole(self) -> int:
        """Pixels of all passes."""
        return self.source.grid.shape.size * (1 if self.unit_pass is None else 2)

    @property
    def _threads(self) -> int:
        widest = self.source.grid.shape.width * next(strip_windows(self.source.grid.shape)).height
        return 1 if widest > _WIDE * STRIP_PIXELS else min(_MOST_THREADS, usable_cores())

    def _strips(self) -> Iterator[tuple[int, Window, list[tuple[int, Window]]]]:
        """Strips by number, each with its chunks by index."""
        index = 0
        for number, strip in enumerate(strip_windows(self.source.grid.shape)):
            chunks = []
            for col in range(0, strip.width, PANEL):
                chunks.append((index, Window(strip.row, col, strip.height, min(PANEL, strip.width - col))))
                index += 1
            yield number, strip, chunks

    def _cleaned(
        self, number: int, strip: Window, chunks: list[tuple[int, Window]], finished: frozenset[int]
    ) -> tuple[list[tuple[int, Window]], list[NDArray[Any]]]:
        """The chunks of a strip, and its bands as stored; no bands where all chunks are."""
        if all(index in finished for index, _ in chunks):
            return chunks, []
        bands = self.source.bands(strip)
        if self.unit_pass is not None:
            bands[0] = self.unit_pass.applied(number, strip, bands[0].astype(np.uint8, copy=False))
        return chunks, [*bands, *self.source.extra_bands(strip, bands[0])]

    def _said(self) -> str:
        """What was done, in words."""
        options, said = self.options, []
        if options.to is not None:
            said.append(f"classes of {self.source.crosswalk.source.name} brought to {self.source.legend.name}")
        said += [f"merged {text}" for text in options.merge]
        if options.smooth:
            said.append(
                f"smoothed by {options.smooth}, window {options.smooth_window} px, strength {options.smooth_strength:g}"
            )
        if options.unit is not None:
            said.append(f"minimum mapping unit {options.unit}, by {options.mmu_by}, {options.connectivity}-connected")
        return ", ".join(said)

    def _fingerprint(self) -> str:
        """Over everything that decides the product's bytes, of `named_fingerprint`."""
        settings = [self.tags, self.source.crosswalk.codes, self.options.creation_options, STRIP_PIXELS, PANEL]
        maps = file_fingerprint(self.source.path).hex()
        return named_fingerprint({"map": maps, "lulc": code_fingerprint(), "settings": settings})
