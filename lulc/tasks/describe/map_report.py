"""`lulc report`: areas of a map as counted, its confidence, its provenance and a picture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lulc.io.figures.quicklook import quicklook_of
from lulc.io.product.areas import ClassArea, class_areas, sky_areas
from lulc.io.product.bands import CLEAR
from lulc.io.product.reader import ProductReader, given_activation, open_product
from lulc.io.report.markdown import markdown_table, number, page
from lulc.io.report.writer import JSON, MARKDOWN, check_report, write_report
from lulc.legend import NODATA_CODE
from lulc.tiling import block_windows

PICTURE = "map.png"

FILES = (JSON, MARKDOWN, PICTURE)
"""What is written."""

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

_FLAGGED = (
    "Areas count pixels under clouds and shadows as the class they were given; `flagged` is their share of the class."
)
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
        flagged: Fraction of the pixels of each class that are flagged, in the order of `classes`; None where the class
            is not given, or the map flags none.
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
    flagged: tuple[float | None, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        size = f"{self.map}: {self.width} x {self.height} pixels, {self.crs}, {self.valid_share:.1%} with data"
        facts = [f"* {name}: {text}" for name, text in self.facts.items()]
        told = [*self.clouds_lines(), _FLAGGED] if self.clouds else []
        parts = [[f"# {self.title}"], [size], facts, self.table(), [" ".join(told)] if told else [], [_NOTE]]
        return page([*parts, [f"![The map]({PICTURE})"]])

    def clouds_lines(self) -> list[str]:
        """One line that says how much is flagged; none for a map that flags nothing."""
        areas = ["" if entry.hectares is None else f"{entry.hectares:,.1f} ha, " for entry in self.clouds]
        said = [f"{area}{entry.share:.2%} {entry.name}" for area, entry in zip(areas, self.clouds, strict=True)]
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
                *([number(hidden, ".2%", none="")] if self.clouds else []),
            )
            for entry, sure, hidden in zip(self.classes, self.confidence, self.flagged, strict=True)
            if entry.pixels or len(self.classes) <= _SHOWN_THOUGH_ABSENT
        ]
        flagged = ["flagged"] if self.clouds else []
        return markdown_table(("class", "pixels", "hectares", "share", "confidence", *flagged), rows)


def report_map(product: Path, folder: Path, *, title: str | None = None, overwrite: bool = False) -> MapReport:
    """Write `report.json`, `report.md` and `map.png` of a map into a folder, which is made when it is not there.

    Args:
        product: The map.
        folder: Where the report is written.
        title: Its heading; None takes the map's file name, and the picture that of what the map was made of.
        overwrite: Replace the files of an earlier report.

    Raises:
        InputError: It is no product of lulc.
        StorageError: A file exists and may not be replaced, or cannot be read or written.
    """
    check_report(folder, (PICTURE,), overwrite=overwrite)
    title = _one_line(title or "")
    report = _report(product, title or product.name)
    hectares = {entry.name: entry.hectares for entry in report.classes}
    picture = {PICTURE: lambda path: quicklook_of(product, None, path, hectares, title)}
    write_report(report, folder, picture, overwrite=overwrite)
    return report


def provenance_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Provenance in a product's tags, by names for people."""
    return {name: tags[tag] for tag, name in _TAG_TITLES.items() if tags.get(tag)}


def _one_line(title: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())


def _report(path: Path, title: str) -> MapReport:
    areas = class_areas(path)
    pixels = [entry.pixels for entry in areas]
    with open_product(path) as product:
        shape, crs = product.grid.shape, product.grid.crs
        return MapReport(
            title=title,
            map=path.name,
            height=shape.height,
            width=shape.width,
            crs=crs.to_string() if crs else "",
            valid_share=sum(entry.pixels for entry in areas) / shape.size,
            classes=areas,
            confidence=_confidence(product, pixels),
            facts=provenance_of(product.tags),
            clouds=tuple(entry for entry in sky_areas(path) if entry.code != CLEAR),
            flagged=_flagged(product, pixels),
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
    """Fraction of the pixels of each class that are under clouds or shadows."""
    if not product.flags_clouds:
        return (None,) * len(pixels)
    total = np.zeros(len(pixels) + 1, np.int64)
    for window in block_windows(product.grid.shape, _SIDE):
        codes, sky = product.classes(window), product.sky(window)
        total += np.bincount(codes[(sky != CLEAR) & (codes != NODATA_CODE)], minlength=total.size)
    return tuple(float(part / count) if count else None for part, count in zip(total[1:], pixels, strict=True))
