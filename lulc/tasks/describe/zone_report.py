"""The part of a report that tells of zones: a table for people, rows for spreadsheets, and JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lulc.io.files.csv_text import csv_text, safe_text
from lulc.io.product.maps import ClassMap
from lulc.io.report.markdown import Blocks, markdown_table, number
from lulc.legend import Legend
from lulc.metrics.area_estimate import LabelledPoints
from lulc.metrics.zone_estimate import (
    FEWEST_IN_CLASS,
    FEWEST_POINTS,
    MOST_UNKNOWN,
    ZoneEstimate,
    estimate_zone,
    synthetic_areas,
)
from lulc.tasks.accuracy.estimate import PlacedSample, placed_sample
from lulc.tasks.describe.zone_areas import ZoneAreas, count_zones
from lulc.tasks.describe.zone_files import ZONE_PICTURE, ZONE_TABLE

_MOST_ROWS = 30
"""Zones in the table of the page; the others are in the CSV."""

_WIDE = 20
"""Legends of more classes show those that occur alone."""

_MOST_COLUMNS = 12
"""Classes in the table of the page, the largest."""

POST_STRATIFIED = (
    f"Adjusted: estimated from the labelled points inside a zone, post-stratified by the class of the map, with 95 % intervals "
    f"(Wilson's in each class, put together by MOVER). A zone needs {FEWEST_POINTS} points, and classes with fewer than "
    f"{FEWEST_IN_CLASS} of them may cover {MOST_UNKNOWN:.0%} of it; others get no estimate. Adjusted areas are of the part with data. "
    "Zones are estimated one by one: estimates of zones that make up a map need not add up to its estimate."
)
SYNTHETIC = (
    "Synthetic: the error matrix of the whole map applied to the areas counted in the zone; it assumes that the map errs in "
    "this zone as it does as a whole (Rao & Molina 2015, Small Area Estimation, ch. 3), which nobody has checked, so it has no interval."
)
COUNTED = (
    "Hectares of classes are as counted: pixels times the part of each that lies in the zone, which carries the map's errors "
    "and is no estimate of area. Shares are of the part with data. The hectares of a zone itself are those of its outline on the ellipsoid; pixels in UTM and national grids count as what their sides say, within 0.5 % of that."
)


@dataclass(frozen=True, eq=False)
class ZoneReport:
    """What a report says of zones.

    Attributes:
        legend: Classes of the map, K.
        areas: As counted, of n zones.
        estimates: Of each zone, from points; None without points.
        synthetic_ha: float64 (n, K) hectares of the synthetic estimate; None without points.
    """

    legend: Legend
    areas: ZoneAreas
    estimates: tuple[ZoneEstimate, ...] | None = None
    synthetic_ha: NDArray[np.float64] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the zones."""
        return self.areas.zones.names

    @property
    def by_area(self) -> list[int]:
        """Numbers of the zones, those of which most is mapped first."""
        return [int(number) for number in np.argsort(-self.areas.mapped_ha, kind="stable")]

    @cached_property
    def shown(self) -> list[int]:
        """Indices of the classes that are told: all of a short legend, those that occur of a long one."""
        if len(self.legend) <= _WIDE:
            return list(range(len(self.legend)))
        seen = self.areas.classes_ha.sum(axis=0)
        if self.synthetic_ha is not None:
            seen = seen + np.nansum(self.synthetic_ha, axis=0)
        return [int(k) for k in np.flatnonzero(seen > 0)]

    @cached_property
    def _named(self) -> list[tuple[int, str]]:
        """Index and name of the classes that are told."""
        return [(k, self.legend.names[k]) for k in self.shown]

    def notes(self) -> list[str]:
        """What a reader must know."""
        areas, notes = self.areas, list(self.areas.zones.notes)
        if areas.shared_ha > _least(areas):
            notes.append(
                f"zones overlap: {areas.shared_ha:,.4g} ha lie in more than one zone; each zone counts in full, so sums over zones count them again"
            )
        beside = [name for name, shape in zip(self.names, areas.placed.shapes, strict=True) if shapely.is_empty(shape)]
        if beside:
            notes.append(f"zones that lie beside the map: {len(beside)}, such as {beside[0]!r}")
        if self.estimates is not None:
            few = sum(one.shares is None for one in self.estimates)
            notes.append(f"zones with too few points for an estimate: {few} of {len(self.estimates)}")
        return notes

    def explanations(self) -> list[str]:
        """What the numbers are."""
        return [COUNTED, *([POST_STRATIFIED, SYNTHETIC] if self.estimates is not None else [])]

    def section(self) -> Blocks:
        """The part of report.md."""
        order = self.by_area[:_MOST_ROWS]
        yield ["## Zones"]
        yield [f"- {note}" for note in self.notes()]
        yield self._table(order)
        if len(self.names) > len(order):
            yield [
                f"The {len(order)} zones of {len(self.names)} with most mapped area; `{ZONE_TABLE}` holds all of them."
            ]
        if self.estimates is not None:
            yield from self._adjusted(order)
        yield self.explanations()
        yield [f"![The zones]({ZONE_PICTURE})"]

    def _table(self, order: Sequence[int]) -> list[str]:
        areas, columns = self.areas, self._columns()
        head = ["zone", "zone, ha", "mapped, ha", "mapped", *(["flagged"] if areas.flagged_share is not None else [])]
        head += [*(["confidence"] if areas.confidence is not None else []), *(self.legend.names[k] for k in columns)]
        rows = []
        for n in order:
            row = [_cell(self.names[n]), f"{areas.placed.hectares[n]:,.1f}", f"{areas.mapped_ha[n]:,.1f}"]
            row += [f"{areas.mapped_share[n]:.1%}"]
            row += [number(float(areas.flagged_share[n]), ".1%")] if areas.flagged_share is not None else []
            row += [number(float(areas.confidence[n]), ".2f")] if areas.confidence is not None else []
            rows.append([*row, *(number(float(share), ".1%") for share in self.areas.shares[n, columns])])
        return markdown_table(head, rows)

    def _columns(self) -> list[int]:
        """The classes that occur and fit on a page, the largest, in the order of the legend."""
        whole = self.areas.classes_ha.sum(axis=0)
        if self.synthetic_ha is not None:
            whole = whole + np.nansum(self.synthetic_ha, axis=0)
        largest = sorted(np.flatnonzero(whole > 0).tolist(), key=lambda k: -whole[k])[:_MOST_COLUMNS]
        return sorted(largest)

    def _adjusted(self, order: Sequence[int]) -> Blocks:
        """Adjusted hectares of the zones that have an estimate."""
        assert self.estimates is not None
        columns, rows = self._columns(), []
        for n in order:
            found = self.estimates[n]
            lacking = "too few points" if found.points < FEWEST_POINTS else f"no points for {found.unknown:.1%} of it"
            cells = [lacking] + [""] * (len(columns) - 1)
            if found.shares is not None:
                whole = float(self.areas.mapped_ha[n])
                kept = (found.shares[k] for k in columns)
                cells = [f"{s.value * whole:,.0f} ({s.low * whole:,.0f} to {s.high * whole:,.0f})" for s in kept]
            rows.append([_cell(self.names[n]), str(found.points), *cells])
        yield ["### Adjusted areas, hectares (95 % interval)"]
        yield markdown_table(["zone", "points", *(self.legend.names[k] for k in columns)], rows)

    def to_csv(self) -> str:
        """One row a zone; cells of texts never become formulas."""
        rows = [self._row(n) for n in range(len(self.names))]
        names = [safe_text(name) for name in rows[0]]
        return csv_text(names, [[safe_text(str(row["zone"])), *(list(row.values())[1:])] for row in rows])

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "file": str(self.areas.zones.path),
            "named_by": self.areas.zones.named_by,
            "notes": [*self.notes(), *self.explanations()],
            "overlapping_ha": self.areas.shared_ha if self.areas.shared_ha > _least(self.areas) else 0.0,
            "zones": [self._json(n) for n in range(len(self.names))],
        }

    def _json(self, n: int) -> dict[str, Any]:
        areas = self.areas
        table: dict[str, Any] = {
            "name": self.names[n],
            "zone_ha": areas.placed.hectares[n],
            "mapped_ha": areas.mapped_ha[n],
            "mapped_share": areas.mapped_share[n],
            "flagged_share": None if areas.flagged_share is None else areas.flagged_share[n],
            "confidence": None if areas.confidence is None else areas.confidence[n],
            "classes": [
                {"name": name, "hectares": areas.classes_ha[n, k], "share": areas.shares[n, k]}
                for k, name in self._named
            ],
        }
        if self.estimates is not None and self.synthetic_ha is not None:
            found = self.estimates[n]
            table["points"], table["unknown_share"] = found.points, found.unknown
            for k, entry in zip(self.shown, table["classes"], strict=True):
                entry["adjusted_ha"], entry["low_ha"], entry["high_ha"] = _adjusted_ha(areas, found, n, k)
                entry["synthetic_ha"] = self.synthetic_ha[n, k]
        return table

    def _row(self, n: int) -> dict[str, str]:
        """Cells of one zone by their column."""
        areas, names = self.areas, self._named
        row = {"zone": self.names[n], "zone_ha": _ha(areas.placed.hectares[n]), "mapped_ha": _ha(areas.mapped_ha[n])}
        row["mapped_share"] = _share(areas.mapped_share[n])
        if areas.flagged_share is not None:
            row["flagged_share"] = _share(areas.flagged_share[n])
        if areas.confidence is not None:
            row["confidence"] = number(float(areas.confidence[n]), ".4f", none="")
        row |= {f"{name}_ha": _ha(areas.classes_ha[n, k]) for k, name in names}
        row |= {f"{name}_share": _share(self.areas.shares[n, k]) for k, name in names}
        if self.estimates is not None and self.synthetic_ha is not None:
            row["points"] = str(self.estimates[n].points)
            for k, name in names:
                ends = _adjusted_ha(areas, self.estimates[n], n, k)
                row |= {
                    f"{name}_{what}_ha": _ha(end) for what, end in zip(("adjusted", "low", "high"), ends, strict=True)
                }
            row |= {f"{name}_synthetic_ha": _ha(self.synthetic_ha[n, k]) for k, name in names}
        return row


def report_zones(source: ClassMap, path: Path, field: str | None, sample: Path | None) -> ZoneReport:
    """Count zones on a map, and estimate their areas where a labelled sample is given.

    Args:
        source: The map.
        path: Polygons.
        field: Column of their names.
        sample: Labelled points that `lulc sample` drew from the map.

    Raises:
        InputError: Zones or points are refused.
        StorageError: A block cannot be read.
    """
    placed = placed_sample(source, sample) if sample is not None else None
    areas = count_zones(source, path, field)
    if placed is None:
        return ZoneReport(source.legend, areas)
    estimates = tuple(
        estimate_zone(points, areas.classes_ha[n]) for n, points in enumerate(_points_of_zones(areas, placed))
    )
    synthetic = [synthetic_areas(placed.estimates.proportions, row) for row in areas.classes_ha]
    return ZoneReport(source.legend, areas, estimates, np.array(synthetic))


def _points_of_zones(areas: ZoneAreas, sample: PlacedSample) -> Iterator[LabelledPoints]:
    """The points whose pixel's centre lies in a zone, zone by zone."""
    centres = shapely.points(sample.columns + 0.5, sample.rows + 0.5)
    found, zones = shapely.STRtree(areas.placed.shapes).query(centres, predicate="intersects")
    points = sample.points
    for n in range(len(areas.zones.names)):
        mine = np.sort(found[zones == n])
        yield LabelledPoints(points.strata[mine], points.mapped[mine], points.reference[mine], points.areas[mine])


def _least(areas: ZoneAreas) -> float:
    """Hectares of overlap below which it is a matter of digits in the outlines: a millionth of what is counted."""
    return 1e-6 * float(areas.on_map_ha.sum())


def _adjusted_ha(areas: ZoneAreas, found: ZoneEstimate, n: int, k: int) -> tuple[float, float, float]:
    """Adjusted hectares of a class in a zone and the ends of their interval; NaN where points are too few."""
    if found.shares is None:
        return (np.nan,) * 3
    whole, share = float(areas.mapped_ha[n]), found.shares[k]
    return share.value * whole, share.low * whole, share.high * whole


def _ha(value: float) -> str:
    return number(float(value), ".4f", none="")


def _share(value: float) -> str:
    return number(float(value), ".6f", none="")


def _cell(name: str) -> str:
    """A name in a cell of a Markdown table."""
    return name.replace("|", "\\|")
