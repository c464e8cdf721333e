"""Two maps as two dates of one grid and one legend, or refused with both named."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from math import ceil, inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk, coarsened, crosswalk_ends, load_crosswalk
from lulc.errors import ConfigError, InputError, UsageError
from lulc.grid import Grid, Window
from lulc.io.files.fingerprint import Unchanged, file_fingerprint
from lulc.io.product.areas import EDGE_TAG, WHOLE, PixelAreas, edge_of, edge_tag
from lulc.io.product.maps import ClassMap, open_map
from lulc.io.product.on_grid import ProductOnGrid
from lulc.io.product.reader import UNIT_TAG, ProductReader
from lulc.io.scene.acquired import first_moment, iso_date, last_moment, moment, span
from lulc.legend import Legend, load_legend
from lulc.projection import GridProjection
from lulc.tasks.change.options import ChangedMapsOptions

Name = str | Path
Activations = NDArray[np.uint8] | NDArray[np.float32]

SIZE_TOLERANCE = 1.1
"""Ratio of pixel sides on the ground from which two maps are of different resolution."""

_DIGITS = 5
"""Of a fraction of a pixel."""

_COPIED = ("INPUT", "INPUT_KIND", "INPUT_SHA256", "MODEL", "MODEL_SHA256", "CELL", "STEP")
"""Tags of each map that a change map repeats, as LULC_BEFORE_... and LULC_AFTER_..."""


@dataclass(frozen=True, slots=True)
class DatedMap:
    """One of the two maps.

    Attributes:
        path: Its file.
        legend: Its classes.
        grid: Its pixels.
        tags: Its provenance.
        bytewise: True when its activations are bytes.
        has_activations: False for classes alone.
        made_here: False for a raster that lulc did not make.
        called: What to call it; None calls it by its file.
    """

    path: Path
    legend: Legend
    grid: Grid
    tags: dict[str, str]
    bytewise: bool
    has_activations: bool
    made_here: bool
    called: Path | None = None

    @property
    def name(self) -> Path:
        """What to call it."""
        return self.called or self.path

    @property
    def edge(self) -> tuple[float, float]:
        """How much of its last row and column lies inside its scene: less than all for cells of `lulc patches`."""
        return edge_of(self.tags, self.path)

    @property
    def unit_note(self) -> str:
        """What a minimum mapping unit means here."""
        unit = self.tags.get(UNIT_TAG)
        return f"{self.name} has a minimum mapping unit of {unit}, which its activations do not show: change is told from them"

    @property
    def acquired(self) -> str:
        """Date of acquisition as YYYY-MM-DD, or YYYY-MM-DD/YYYY-MM-DD; empty where the map does not say."""
        stated = iso_date(self.tags.get("LULC_ACQUIRED", "")) or self.tags.get("LULC_INPUT_KIND", "")
        return span(re.findall(r"\b\d{4}-\d{2}-\d{2}", stated))


@dataclass(frozen=True)
class MapPair:
    """Two dates on one grid and in one legend.

    Attributes:
        before: The earlier map.
        after: The later map.
        grid: The part of the earlier map's grid that both maps reach.
        crosswalk: From the maps' legend to that of the comparison.
        edge: How much of the last row and column of `grid` lies inside the scenes of both, 0..1.
        unchanged: The files of both as they were when they were opened.
        by_labels: True compares labels alone.
    """

    before: DatedMap
    after: DatedMap
    grid: Grid
    crosswalk: Crosswalk
    edge: tuple[float, float] = WHOLE
    unchanged: Unchanged = field(default_factory=Unchanged)
    by_labels: bool = False

    @property
    def legend(self) -> Legend:
        """Classes of the comparison."""
        return self.crosswalk.target

    @property
    def areas(self) -> PixelAreas:
        """Ground of the pixels of `grid`."""
        return PixelAreas.of(self.grid, self.edge)

    @cached_property
    def bytewise(self) -> bool:
        """True where both maps hold bytes for the very pixels of `grid`, and no classes are summed."""
        bytewise = self.before.bytewise and self.after.bytewise
        return self.crosswalk.is_identity and bytewise and all(one.shares_pixels for one in self._on_grid)

    def pixel_areas_ha(self) -> NDArray[np.float64]:
        """Hectares of a whole pixel of each row of `grid`.

        Raises:
            InputError: The CRS tells none.
        """
        found = self.grid.pixel_areas_ha()
        if not np.isfinite(found).any():
            raise InputError(
                f"{self.before.name}: its CRS tells no ground area of pixels, and change is told in hectares",
                "georeference both scenes, such as with gdal_edit.py -a_srs EPSG:N",
            )
        return found

    def activations(self, window: Window) -> tuple[Activations, Activations]:
        """Activations of both dates in a window of `grid`: float32 (K, height, width), NaN without data.

        Where `bytewise`, uint8 as stored, 255 without data.
        """
        before, after = (one.stored(window) if self.bytewise else self._of(one, window) for one in self._on_grid)
        return before, after

    def tags(self) -> dict[str, str]:
        """Provenance of both, and what they are called together."""
        found = {}
        for side, one in (("BEFORE", self.before), ("AFTER", self.after)):
            found[f"LULC_{side}_ACQUIRED"] = one.acquired
            found |= {f"LULC_{side}_{name}": one.tags.get(f"LULC_{name}", "") for name in _COPIED}
        attributions = dict.fromkeys(one.tags.get("LULC_ATTRIBUTION", "") for one in (self.before, self.after))
        cut = {EDGE_TAG: edge_tag(self.edge)} if self.edge != WHOLE else {}
        return (
            {name: text for name, text in found.items() if text}
            | cut
            | {
                "LULC_VERSION": version("lulc"),
                "LULC_BEFORE": self.before.name.name,
                "LULC_BEFORE_SHA256": file_fingerprint(self.before.path, times=False).hex(),
                "LULC_AFTER": self.after.name.name,
                "LULC_AFTER_SHA256": file_fingerprint(self.after.path, times=False).hex(),
                "LULC_INPUT": f"{self.before.name.name}, {self.after.name.name}",
                "LULC_CLASSES": self.legend.name,
                "LULC_ATTRIBUTION": " ".join(filter(None, attributions)),
            }
        )

    def notes(self) -> tuple[str, ...]:
        """What a reader should know about the two maps."""
        models = [one.tags.get("LULC_MODEL_SHA256", "") for one in (self.before, self.after)]
        found = [
            note for note in dict.fromkeys(one.tags.get("LULC_NOTE", "") for one in (self.before, self.after)) if note
        ]
        if models[0] != models[1]:
            found.append("the maps are of two models: what these see differently looks like change")
        if self.before.tags.get("LULC_CELL") != self.after.tags.get("LULC_CELL"):
            found.append("the maps are of cells of different sizes: what these see differently looks like change")
        before, after = self.before.acquired, self.after.acquired
        if before and after and moment(first_moment(before)) > moment(last_moment(after)):
            found.append(f"BEFORE is of {before}, AFTER of {after}: are they swapped?")
        found += [one.unit_note for one in (self.before, self.after) if UNIT_TAG in one.tags]
        found += self.crosswalk.merged
        ignored = _ignored(self.crosswalk)
        if ignored:
            found.append(f"ignored by the crosswalk, so other classes take their place: {', '.join(ignored)}")
        return tuple(found)

    def no_data_error(self) -> InputError:
        """What is wrong when no pixel has data at both dates."""
        both, ignored = f"{self.before.name} and {self.after.name}", _ignored(self.crosswalk)
        if not ignored:
            return InputError(f"{both} have no pixel with data in both", "give two maps of one place")
        left = f"no pixel with data in both that the crosswalk to {self.legend.name} does not ignore"
        return InputError(
            f"{both} have {left}; it ignores {', '.join(ignored)}", "give two maps of one place, or another --to"
        )

    @cached_property
    def _on_grid(self) -> tuple[ProductOnGrid, ProductOnGrid]:
        before, after = (ProductOnGrid(one.path, one.legend, one.grid, self.grid) for one in (self.before, self.after))
        return before, after

    def _of(self, one: ProductOnGrid, window: Window) -> NDArray[np.float32]:
        values = one.activations(window)
        return values if self.crosswalk.is_identity else self.crosswalk.sum_activations(values)


def open_pair(
    before: Path,
    after: Path,
    to: Name | None = None,
    crosswalk: Name | None = None,
    named: tuple[Path, Path] | None = None,
    maps: ChangedMapsOptions | None = None,
) -> MapPair:
    """Read the headers of two maps and bring the maps together.

    Args:
        before: Map of the earlier date; its grid is that of the comparison.
        after: Map of the later date, with the same classes, on any grid.
        to: Legend to compare in; None is that of the maps.
        crosswalk: File that leads there; None takes the shipped one.
        named: What to call the two maps; None calls them by their files.
        maps: What their values mean, and whether labels alone are compared.

    Raises:
        InputError: One is no map of a date, one alone lacks activations, they lack a place, differ in legend or pixel
            size, or do not overlap.
        UsageError: A map is compared with itself, or a crosswalk is given without `to`.
        ConfigError: No such legend or crosswalk.
    """
    if before.resolve() == after.resolve():
        raise UsageError(f"{before} is given for both dates", "give two maps")
    maps, unchanged = maps or ChangedMapsOptions(), Unchanged((before, after))
    first, second = (_dated(*one, maps) for one in zip((before, after), named or (None, None), strict=True))
    by_labels = _by_labels(first, second, maps)
    both = f"{first.name} and {second.name}"
    if first.legend.names != second.legend.names:
        raise InputError(
            f"{both} have different classes: {first.legend.name} and {second.legend.name}",
            "classify both scenes with models of one legend",
        )
    grid, edge = _common_ground(first, second, both)
    return MapPair(first, second, grid, _crosswalk(first.legend, to, crosswalk), edge, unchanged, by_labels)


def _ignored(crosswalk: Crosswalk) -> list[str]:
    """Names of the source classes that have no counterpart."""
    return [entry.name for entry in crosswalk.ignored]


def _crosswalk(legend: Legend, to: Name | None, file: Name | None) -> Crosswalk:
    if to is None:
        if file is not None:
            raise UsageError("--crosswalk leads to no legend", "say which with --to NAME|PATH")
        return load_crosswalk(legend, legend)
    target = load_legend(to)
    if file is not None and crosswalk_ends(file)[1] != target.name:
        raise ConfigError(f"crosswalk {file} does not lead to {target.name}", "give another, or another --to")
    (found,) = coarsened(load_crosswalk(legend, target, file))
    if len(_ignored(found)) == len(legend):
        raise ConfigError(
            f"the crosswalk from {legend.name} to {target.name} ignores every class", "give another --crosswalk or --to"
        )
    return found


def _dated(path: Path, called: Path | None, maps: ChangedMapsOptions) -> DatedMap:
    if not path.exists():
        raise InputError(f"there is no {path}", "check the path")
    with open_map(path, maps.legend, maps.nodata) as found:
        _check(path, found)
        product = found if isinstance(found, ProductReader) else None
        bytewise = product is not None and product.bytewise
        tags = dict(found.tags)
        made_here = product is not None
        return DatedMap(path, found.legend, found.grid, tags, bytewise, found.has_activations, made_here, called)


def _check(path: Path, found: ClassMap) -> None:
    if found.tags.get("LULC_KIND") == KIND:
        raise InputError(f"{path} is a change map itself", "give a map of one date")
    if found.grid.crs is None or found.grid.gcps:
        raise InputError(f"{path} has no CRS and transform", "warp its scene to a map projection and classify that")


def _by_labels(first: DatedMap, second: DatedMap, maps: ChangedMapsOptions) -> bool:
    """Whether labels alone are compared: where both maps have nothing else, and where that is asked for."""
    if first.made_here and second.made_here and (maps.legend is not None or maps.nodata is not None):
        raise UsageError(
            f"{first.name} and {second.name} were made by lulc and know their classes",
            "leave out --legend and --nodata",
        )
    without = [one for one in (first, second) if not one.has_activations]
    if len(without) == 1 and not maps.labels:
        remedy = (
            "classify the scene again without --activations none"
            if without[0].made_here
            else "give a map of lulc classify"
        )
        raise InputError(
            f"{without[0].name} has no activations, the other map has, and change is not found by differing labels",
            f"{remedy}, or compare labels alone with --labels",
        )
    return maps.labels or len(without) == 2  # noqa: PLR2004 - both


KIND = "change-map"
"""LULC_KIND of what `lulc change` writes."""


def _common_ground(first: DatedMap, second: DatedMap, both: str) -> tuple[Grid, tuple[float, float]]:
    """The part of the first grid that the second reaches, and how much of its last row and column both scenes show."""
    sides = [one.grid.pixel_size_m() for one in (first, second)]
    if sides[0] and sides[1] and not 1 / SIZE_TOLERANCE <= sides[1] / sides[0] <= SIZE_TOLERANCE:
        raise InputError(
            f"{both} have pixels of {sides[0]:.3g} and {sides[1]:.3g} m",
            "classify both scenes at one resolution",
        )
    common = GridProjection(first.grid, second.grid, both).covered()
    ends = np.array([(common.row_end, common.col_end), *(_scene_end(one, first.grid) for one in (first, second))])
    row_end, col_end = ends.min(axis=0).tolist()
    rows, columns = ceil(row_end) - common.row, ceil(col_end) - common.col
    if rows <= 0 or columns <= 0:
        raise InputError(f"{both} do not overlap", "give two maps of one place")
    part = Window(common.row, common.col, rows, columns)
    return first.grid.part(part), (row_end - part.row_end + 1, col_end - part.col_end + 1)


def _scene_end(one: DatedMap, grid: Grid) -> tuple[float, float]:
    """Row and column of a grid where the scene of a map ends inside its last pixels; endless where it ends with them.

    On grids of another CRS or direction that end is no row and no column, and the last pixels count whole.
    """
    a, b = one.grid.transform, grid.transform
    if one.edge == WHOLE or one.grid.crs != grid.crs or a.a * b.a < 0 or a.e * b.e < 0:
        return inf, inf
    shape, part = one.grid.shape, one.edge
    corner = np.array([shape.height - 1.5 + part[0]]), np.array([shape.width - 1.5 + part[1]])
    row, col = (
        round(float(axis[0]) + 0.5, _DIGITS) for axis in GridProjection(one.grid, grid, str(one.name)).locate(*corner)
    )
    return row, col
