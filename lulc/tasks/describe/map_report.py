"""`lulc report`: areas of a map as counted, its confidence, its provenance and a picture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lulc.errors import UsageError
from lulc.io.figures.quicklook import ReducedMap, draw_map
from lulc.io.files.atomic import write_whole
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.outputs import refuse_inputs
from lulc.io.product.areas import ClassArea, area_of_unfamiliar, areas_of_classes, areas_of_sky
from lulc.io.product.bands import CLEAR
from lulc.io.product.maps import ClassMap, open_map
from lulc.io.product.reader import ProductReader, given_activation
from lulc.io.report.markdown import markdown_table, number, page
from lulc.io.report.writer import JSON, MARKDOWN, FileWriter, check_report, write_report
from lulc.legend import NODATA_CODE
from lulc.tasks.describe.options import ReportOptions
from lulc.tasks.describe.zone_files import ZONE_PICTURE, ZONE_TABLE
from lulc.tiling import block_windows

if TYPE_CHECKING:  # zones need shapely and tables of points, which a report without them does not
    from lulc.tasks.describe.zone_report import ZoneReport

PICTURE = "map.png"

FILES = (JSON, MARKDOWN, PICTURE)
"""What is written."""

_GDAL_CACHE = 128 << 20
_SIDE = 2048
_SHOWN_THOUGH_ABSENT = 20
"""Legends of more classes show those that occur alone."""

_TAG_TITLES = {
    "LULC_INPUT": "input",
    "LULC_MODEL": "model",
    "LULC_MAPS": "maps",
    "LULC_METHOD": "merged by",
    "LULC_CLEANED": "cleaned",
    "LULC_ACQUIRED": "acquired",
    "LULC_ATTRIBUTION": "attribution",
}
AS_COUNTED = (
    "Areas are as counted: pixels times their ground area. A count carries the map's errors and is no estimate of area; "
    "`lulc sample` and `lulc evaluate` make one, with intervals."
)
"""Remark that stands wherever areas of a map are shown."""

_FLAGGED = "Areas count flagged pixels as the class they were given; `flagged` is their share of the class."
_NOTE = f"{AS_COUNTED} Confidence is the mean activation of the class given, which is not accuracy."


@dataclass(frozen=True)
class MapReport:
    """Report of a map.

    Attributes:
        title: Of the report.
        map: Its file name.
        height: Rows.
        width: Columns.
        crs: As EPSG:32631 or WKT; empty when it has none.
        valid_share: Fraction of the pixels with data.
        classes: Pixels and hectares of each class, as counted.
        confidence: Mean activation of each class where it is given, in the order of `classes`; None where it is not
            given, or the map does not say.
        facts: Provenance, by name.
        clouds: Pixels and hectares flagged as cloud and as shadow; empty for a map that flags none.
        unfamiliar: Pixels and hectares that are unlike the training of the model; None for a map that does not tell.
        flagged: Fraction of the pixels of each class that are flagged in either way, in the order of `classes`; None where the class
            is not given, or the map flags none.
        zones: What it holds inside zones; None without them.
    """

    title: str
    map: str
    height: int
    width: int
    crs: str
    valid_share: float
    classes: tuple[ClassArea, ...]
    confidence: tuple[float | None, ...]
    facts: dict[str, str]
    clouds: tuple[ClassArea, ...]
    unfamiliar: ClassArea | None
    flagged: tuple[float | None, ...]
    zones: "ZoneReport | None" = None

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        table = asdict(replace(self, zones=None))
        return table | {"zones": self.zones.to_json() if self.zones else None}

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        size = f"{self.map}: {self.width} x {self.height} pixels, {self.crs}, {self.valid_share:.1%} with data"
        facts = [f"* {name}: {text}" for name, text in self.facts.items()]
        told = [*self.flagged_lines(), _FLAGGED] if self.flags else []
        parts = [[f"# {self.title}"], [size], facts, self.table(), [" ".join(told)] if told else [], [_NOTE]]
        return page([*parts, [f"![The map]({PICTURE})"]], self.zones.section() if self.zones else ())

    @property
    def flags(self) -> tuple[ClassArea, ...]:
        """What is flagged, by kind."""
        return (*self.clouds, *([self.unfamiliar] if self.unfamiliar else []))

    def flagged_lines(self) -> list[str]:
        """One line that says how much is flagged; none for a map that flags nothing."""
        areas = ["" if entry.hectares is None else f"{entry.hectares:,.1f} ha, " for entry in self.flags]
        said = [f"{area}{entry.share:.2%} {entry.name}" for area, entry in zip(areas, self.flags, strict=True)]
        return [f"Flagged: {'; '.join(said)}."] if said else []

    def table(self) -> list[str]:
        """Lines of a Markdown table of the classes."""
        rows = [
            (
                entry.name,
                f"{entry.pixels:,d}",
                number(entry.hectares, ",.1f", none=""),
                f"{entry.share:.2%}",
                number(sure, ".2f", none=""),
                *([number(hidden, ".2%", none="")] if self.flags else []),
            )
            for entry, sure, hidden in zip(self.classes, self.confidence, self.flagged, strict=True)
            if entry.pixels or len(self.classes) <= _SHOWN_THOUGH_ABSENT
        ]
        flagged = ["flagged"] if self.flags else []
        return markdown_table(("class", "pixels", "hectares", "share", "confidence", *flagged), rows)


def report_map(map_path: Path, folder: Path, options: ReportOptions | None = None) -> MapReport:
    """Write the report of a map into a folder, which is made when it is not there.

    It is `report.json`, `report.md` and `map.png`; with zones also `zones.csv` and `zones.png`.

    Args:
        map_path: A product of lulc, or a raster of classes with `options.legend`.
        folder: Where the report is written.
        options: What to report.

    Raises:
        InputError: The map, its zones or its points are refused.
        UsageError: A legend is needed and not given, or given for a map that has one.
        StorageError: A file exists and may not be replaced, or cannot be read or written.
    """
    chosen = options or ReportOptions()
    pictures = (PICTURE, ZONE_PICTURE, ZONE_TABLE) if chosen.zones else (PICTURE,)
    refuse_inputs(
        [folder / name for name in (*FILES, *pictures)], [p for p in (map_path, chosen.zones, chosen.sample) if p]
    )
    check_report(folder, pictures, overwrite=chosen.overwrite)
    title = _one_line(chosen.title)
    with gdal_cache(_GDAL_CACHE), open_map(map_path, chosen.legend, chosen.nodata) as source:
        if isinstance(source, ProductReader) and (chosen.legend is not None or chosen.nodata is not None):
            raise UsageError(f"{map_path} was made by lulc and knows its classes", "leave out --legend and --nodata")
        report = _report(source, title or map_path.name, chosen)
        drawn = (
            ReducedMap.of(map_path)
            if isinstance(source, ProductReader)
            else ReducedMap.sampled(source.classes, source.grid, source.legend)
        )
    write_report(
        report,
        folder,
        _others(report, drawn, title or drawn.tags.get("LULC_INPUT", map_path.name)),
        overwrite=chosen.overwrite,
    )
    return report


def _others(report: MapReport, drawn: ReducedMap, title: str) -> dict[str, FileWriter | None]:
    """Pictures and tables beside the texts."""
    hectares = {entry.name: entry.hectares for entry in report.classes}
    others: dict[str, FileWriter | None] = {PICTURE: lambda path: draw_map(drawn, path, hectares, title)}
    zones = report.zones
    if zones is None:
        return others
    from lulc.tasks.describe.zone_figure import write_zone_figure

    return others | {
        ZONE_TABLE: lambda path: write_whole(path, zones.to_csv().encode(errors="backslashreplace")),
        ZONE_PICTURE: lambda path: write_zone_figure(path, drawn, zones, title),
    }


def _zones(source: ClassMap, options: ReportOptions) -> "ZoneReport | None":
    if options.zones is None:
        return None
    from lulc.tasks.describe.zone_report import report_zones

    return report_zones(source, options.zones, options.zone_field, options.sample)


def provenance_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Provenance in a product's tags, by names for people."""
    return {name: tags[tag] for tag, name in _TAG_TITLES.items() if tags.get(tag)}


def _one_line(title: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())


def _report(source: ClassMap, title: str, options: ReportOptions) -> MapReport:
    zones = _zones(source, options)  # they are refused before the map is read
    areas = areas_of_classes(source)
    pixels = [entry.pixels for entry in areas]
    shape, crs = source.grid.shape, source.grid.crs
    product = source if isinstance(source, ProductReader) else None
    return MapReport(
        title=title,
        map=source.path.name,
        height=shape.height,
        width=shape.width,
        crs=crs.to_string() if crs else "",
        valid_share=sum(entry.pixels for entry in areas) / shape.size,
        classes=areas,
        confidence=_confidence(product, pixels) if product else (None,) * len(pixels),
        facts=provenance_of(source.tags) if product else {"legend": source.legend.title},
        clouds=tuple(entry for entry in areas_of_sky(source) if entry.code != CLEAR),
        unfamiliar=area_of_unfamiliar(source),
        flagged=_flagged(product, pixels) if product else (None,) * len(pixels),
        zones=zones,
    )


def _confidence(product: ProductReader, pixels: list[int]) -> tuple[float | None, ...]:
    """Mean activation of each class over the pixels that have it."""
    if not product.has_activations:
        return (None,) * len(pixels)
    total = np.zeros(len(pixels) + 1)
    for window in block_windows(product.grid.shape, _SIDE):
        codes = product.classes(window)
        valid = codes != NODATA_CODE
        sure = given_activation(product.activations(window), codes)[valid]
        total += np.bincount(codes[valid], weights=sure, minlength=total.size)
    return tuple(float(part / count) if count else None for part, count in zip(total[1:], pixels, strict=True))


def _flagged(product: ProductReader, pixels: list[int]) -> tuple[float | None, ...]:
    """Fraction of the pixels of each class that are flagged."""
    if not (product.flags_clouds or product.flags_unfamiliar):
        return (None,) * len(pixels)
    total = np.zeros(len(pixels) + 1, np.int64)
    for window in block_windows(product.grid.shape, _SIDE):
        total += np.bincount(product.classes(window)[product.flagged(window)], minlength=total.size)
    return tuple(float(part / count) if count else None for part, count in zip(total[1:], pixels, strict=True))
