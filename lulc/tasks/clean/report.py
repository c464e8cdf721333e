"""What cleaning did to a map: pixels and hectares that changed, patches, and the areas of the classes before and after."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lulc.io.product.reader import UNIT_TAG, open_product
from lulc.io.report.markdown import Blocks, markdown_table, number, page
from lulc.io.report.writer import plain
from lulc.legend import NODATA_CODE
from lulc.run import Run
from lulc.tasks.classify.memory import peak_resident_bytes
from lulc.tasks.clean.groups import Counts
from lulc.tasks.clean.options import CleanOptions
from lulc.tasks.clean.source import MapToClean
from lulc.tasks.clean.unit_pass import UnitPass

_CODES = 256
_MEGA, _GIGA = 1e6, 1e9
_COUNTED = "Areas are as counted, which is no estimate of area."


@dataclass(frozen=True, slots=True)
class CleanedClass:
    """A class before and after.

    Attributes:
        name: Its name.
        pixels_before: Its pixels in the map; of a merged class those of its members.
        pixels_after: Its pixels in the cleaned map.
        hectares_before: Their ground area; None where the CRS does not give one.
        hectares_after: Likewise.
    """

    name: str
    pixels_before: int
    pixels_after: int
    hectares_before: float | None
    hectares_after: float | None


@dataclass(frozen=True)
class CleanReport:
    """Report of a cleaned map.

    Attributes:
        output: The cleaned map.
        map: What it was made of.
        cleaned: What was done, as its tag says.
        changed_pixels: Pixels whose class is another one; being merged into a class is no change.
        changed_hectares: Their ground area; None where the CRS does not give one.
        changed_share: Their fraction of the pixels with data, 0..1.
        small_patches: Patches below the unit before it was applied; None without a unit.
        removed_patches: Those of them that are left no more.
        islands: Groups of patches below the unit that touch nothing but pixels without data, and stay as they are.
        island_patches: The patches in these.
        classes: Pixels and hectares of each class.
        notes: Remarks for the reader.
        resumed_chunks: Chunks taken over from an interrupted run.
        output_bytes: Size of the cleaned map.
        peak_bytes: Peak of the process's main memory.
        seconds: Wall time.
    """

    output: str
    map: str
    cleaned: str
    changed_pixels: int
    changed_hectares: float | None
    changed_share: float
    small_patches: int | None
    removed_patches: int | None
    islands: int | None
    island_patches: int | None
    classes: tuple[CleanedClass, ...]
    notes: tuple[str, ...]
    resumed_chunks: int
    output_bytes: int
    peak_bytes: int
    seconds: float

    def published(self, resumed: int, seconds: float) -> "CleanReport":
        """The report of a map that has its name."""
        size = Path(self.output).stat().st_size
        return replace(
            self, resumed_chunks=resumed, output_bytes=size, peak_bytes=peak_resident_bytes(), seconds=round(seconds, 3)
        )

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`."""
        return plain(asdict(self))

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        return page(self._blocks())

    def _blocks(self) -> Blocks:
        hectares = "" if self.changed_hectares is None else f", {self.changed_hectares:,.1f} ha"
        yield [f"# {self.output}: {self.map} cleaned"]
        yield [f"**{self.changed_pixels:,d} pixels{hectares} changed their class ({self.changed_share:.2%})**"]
        yield [f"- {line}" for line in (self.cleaned, *self._patches(), *self.notes)]
        rows = [
            [
                entry.name,
                f"{entry.pixels_before:,d}",
                f"{entry.pixels_after:,d}",
                number(entry.hectares_before, ",.1f"),
                number(entry.hectares_after, ",.1f"),
            ]
            for entry in self.classes
            if entry.pixels_before or entry.pixels_after
        ]
        yield markdown_table(["class", "pixels before", "after", "hectares before", "after"], rows)
        taken = f", {self.resumed_chunks} parts taken over" if self.resumed_chunks else ""
        cost = f"{self.output_bytes / _MEGA:.1f} MB, {self.seconds:.1f} s, peak memory {self.peak_bytes / _GIGA:.2f} GB"
        yield [f"{_COUNTED} {cost}{taken}"]

    def _patches(self) -> Iterator[str]:
        if self.small_patches is not None:
            yield f"{self.removed_patches:,d} of {self.small_patches:,d} patches below the unit are gone"
        if self.islands:
            yield f"{self.islands:,d} islands without neighbours stay below it ({self.island_patches:,d} patches)"


def clean_report(
    output: Path, whole: Path, source: MapToClean, unit_pass: UnitPass | None, options: CleanOptions, run: Run
) -> CleanReport:
    """Compare a map with what was made of it.

    Args:
        output: Name of the cleaned map.
        whole: The cleaned map, which need not have its name yet.
        source: The map.
        unit_pass: What was found of patches; None without a unit.
        options: What was asked for.
        run: Looked at between rows of blocks.
    """
    counts = Counts() if unit_pass is None else unit_pass.counts
    areas = source.areas
    pixels, hectares, changed = np.zeros((2, _CODES), np.int64), np.zeros((2, _CODES)), np.zeros(2)
    with open_product(whole) as product:
        for window in product.block_rows():
            run.check()
            pair = source.given(window), product.classes(window)
            ground = areas.part(window).table()
            for k, codes in enumerate(pair):
                pixels[k] += np.bincount(codes.ravel(), minlength=_CODES)
                hectares[k] += np.bincount(codes.ravel(), ground.ravel(), minlength=_CODES)
            differs = pair[0] != pair[1]
            changed += [np.count_nonzero(differs), ground[differs].sum()]
        done = product.tags["LULC_CLEANED"]
    told = unit_pass is not None
    return CleanReport(
        output=str(output),
        map=str(source.path),
        cleaned=done,
        changed_pixels=int(changed[0]),
        changed_hectares=_known(changed[1]),
        changed_share=float(changed[0] / max(pixels[0, :NODATA_CODE].sum(), 1)),
        small_patches=counts.patches if told else None,
        removed_patches=counts.patches - counts.island_patches if told else None,
        islands=counts.islands if told else None,
        island_patches=counts.island_patches if told else None,
        classes=tuple(
            CleanedClass(entry.name, *pixels[:, entry.code].tolist(), *map(_known, hectares[:, entry.code]))
            for entry in source.legend
        ),
        notes=_notes(source, options),
        resumed_chunks=0,
        output_bytes=0,
        peak_bytes=0,
        seconds=0.0,
    )


def _known(hectares: float) -> float | None:
    return float(hectares) if np.isfinite(hectares) else None


def _notes(source: MapToClean, options: CleanOptions) -> tuple[str, ...]:
    """What a reader should know."""
    found = list(source.crosswalk.merged)
    ignored = [entry.name for entry in source.crosswalk.ignored]
    if ignored:
        found.append(f"ignored by the crosswalk, so other classes take their place: {', '.join(ignored)}")
    if not (source.has_activations or source.crosswalk.is_identity):
        found.append(
            "the map has no activations, so its classes were renamed: a class made of several is found too seldom"
        )
    unit = source.tags.get(UNIT_TAG)
    if unit and source.moves:
        again = "" if options.mmu else "; give --mmu again"
        found.append(f"the map had a minimum mapping unit of {unit}: classes were told from activations anew{again}")
    return tuple(found)
