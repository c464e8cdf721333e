"""What a map holds inside zones: hectares of its classes, clouds and confidence, with exact parts of pixels.

The map is read once, tile by tile, on a lattice that counts from its upper left corner; in each tile, the zones that meet
it are counted one after the other. Memory depends on neither the map nor the number of zones, apart from their outlines.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.labels.coverage import PixelFrame
from lulc.io.labels.zone_shapes import PlacedZones, place_zones
from lulc.io.labels.zones import Zones, read_zones
from lulc.io.product.areas import PixelAreas, edge_of
from lulc.io.product.bands import CLEAR
from lulc.io.product.maps import ClassMap
from lulc.io.product.reader import ProductReader, given_activation
from lulc.legend import NODATA_CODE
from lulc.tiling import block_windows

_TILE = 1024
"""Side of a tile, pixels. Sums are taken tile by tile, so it decides their last digits; blocks of the file do not."""

_CODES = NODATA_CODE + 1
_OVERLAP = 1e-5
"""Fraction of a pixel that rounding may let touching zones share."""


@dataclass(frozen=True, eq=False)
class ZoneAreas:
    """Areas of n zones on a map of K classes. Hectares are those of whole and partial pixels, as counted.

    Attributes:
        zones: The zones.
        placed: The same on the map's grid.
        classes_ha: float64 (n, K) of each class.
        on_map_ha: float64 (n,) of pixels with and without data.
        flagged_ha: float64 (n,) of pixels with data under clouds and shadows; None for a map that flags none.
        confidence: float64 (n,) mean activation of the class given, weighted by area, NaN where there is no data; None
            for a map without activations.
        shared_ha: Hectares with data or without that lie in more than one zone, once for each further zone.
    """

    zones: Zones
    placed: PlacedZones
    classes_ha: NDArray[np.float64]
    on_map_ha: NDArray[np.float64]
    flagged_ha: NDArray[np.float64] | None
    confidence: NDArray[np.float64] | None
    shared_ha: float

    @cached_property
    def mapped_ha(self) -> NDArray[np.float64]:
        """Hectares with data: float64 (n,)."""
        return np.asarray(self.classes_ha.sum(axis=1))

    @cached_property
    def mapped_share(self) -> NDArray[np.float64]:
        """Fraction of each zone that the map covers with data: float64 (n,), 0..1."""
        known = self.mapped_ha / np.where(self.on_map_ha > 0, self.on_map_ha, 1.0)
        return np.asarray(np.minimum(known * self.placed.inside, 1.0))

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Fraction of the mapped area of each zone in each class: float64 (n, K), NaN where nothing is mapped."""
        return np.asarray(self.classes_ha / self._mapped_or_nan[:, None])

    @cached_property
    def flagged_share(self) -> NDArray[np.float64] | None:
        """Fraction of the mapped area of each zone under clouds and shadows: float64 (n,), NaN where nothing is mapped."""
        return None if self.flagged_ha is None else np.asarray(self.flagged_ha / self._mapped_or_nan)

    @cached_property
    def _mapped_or_nan(self) -> NDArray[np.float64]:
        return np.where(self.mapped_ha > 0, self.mapped_ha, np.nan)


def count_zones(source: ClassMap, path: Path, field: str | None = None) -> ZoneAreas:
    """Count the classes of a map inside zones.

    Args:
        source: The map, with a CRS and a transform.
        path: Polygons, as `read_zones` takes them.
        field: Column of their names.

    Raises:
        InputError: The map has no place, the zones are refused, or none of them meets the map.
        StorageError: A block cannot be read.
    """
    grid = source.grid
    if grid.crs is None or grid.gcps or not np.isfinite(grid.pixel_areas_ha()).all():
        raise InputError(
            f"{source.path} has no CRS and transform that give its pixels an area", "warp it to a map projection"
        )
    zones = read_zones(path, field)
    edge = edge_of(source.tags, source.path)
    placed = place_zones(zones, grid, edge, str(source.path))
    if shapely.is_empty(placed.shapes).all():
        count = f"none of the {len(zones.names)} zones of {path} meets"
        said = count if len(zones.names) > 1 else f"the zone of {path} does not meet"
        raise InputError(f"{said} {source.path}", "check the CRS of both")
    counts = _Counts(source, len(zones.names))
    tree = shapely.STRtree(placed.shapes)
    for window in block_windows(grid.shape, _TILE):
        box = shapely.box(window.col, window.row, window.col_end, window.row_end)
        numbers = np.sort(tree.query(box, predicate="intersects"))
        if numbers.size:
            counts.add(window, {number: placed.shapes[number] for number in numbers.tolist()})
    return counts.result(zones, placed)


class _Counts:
    """Sums over tiles."""

    def __init__(self, source: ClassMap, zones: int) -> None:
        self._source = source
        self._product = source if isinstance(source, ProductReader) else None
        # Zones are cut at the map's edge, so the parts of edge pixels that are no map are never covered.
        self._areas = PixelAreas.of(source.grid)
        self._codes_ha = np.zeros((zones, _CODES))
        self._flagged_ha, self._sure_ha = np.zeros(zones), np.zeros(zones)
        self._shared_ha = 0.0
        self._has_clouds = source.flags_clouds
        self._has_activations = source.has_activations

    def add(self, window: Window, shapes: dict[int, shapely.Geometry]) -> None:
        """Count the zones that meet a tile."""
        codes, hidden, sure = self._read(window)
        area = self._areas.part(window).table().ravel()
        covered, frame = np.zeros(codes.size), PixelFrame(window)
        for number, shape in shapes.items():
            cells, fractions = frame.covered_by(shape)
            covered[cells] += fractions
            hectares = fractions * area.take(cells)
            self._codes_ha[number] += np.bincount(codes.take(cells), hectares, minlength=_CODES)
            # Sums of products: a dot product would be a threaded one, which is slower here and adds in any order.
            if hidden is not None:
                self._flagged_ha[number] += (hectares * hidden.take(cells)).sum()
            if sure is not None:
                self._sure_ha[number] += (hectares * sure.take(cells)).sum()
        twice = covered > 1 + _OVERLAP
        self._shared_ha += float(((covered[twice] - 1) * area[twice]).sum())

    def _read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Of the pixels of a tile, row by row: codes, 1 where flagged, activation of the class given; None for what is not there.

        The last two are 0 without data.
        """
        codes = self._source.classes(window).ravel()
        if self._product is None:
            return codes, None, None
        known, hidden = codes != NODATA_CODE, None
        if self._has_clouds:
            hidden = (known & (self._product.sky(window).ravel() != CLEAR)).astype(np.float64)
        if not self._has_activations:
            return codes, hidden, None
        stored = self._product.stored(window)
        given = given_activation(stored[1:], stored[0].astype(np.uint8, copy=False)).ravel()
        return codes, hidden, np.where(known, given * np.float64(self._product.activation_scale), 0.0)

    def result(self, zones: Zones, placed: PlacedZones) -> ZoneAreas:
        """What all tiles hold."""
        classes = self._codes_ha[:, 1 : len(self._source.legend) + 1]
        mapped = classes.sum(axis=1)
        sure = self._sure_ha / np.where(mapped > 0, mapped, np.nan)
        return ZoneAreas(
            zones=zones,
            placed=placed,
            classes_ha=classes,
            on_map_ha=self._codes_ha.sum(axis=1),
            flagged_ha=self._flagged_ha if self._has_clouds else None,
            confidence=sure if self._has_activations else None,
            shared_ha=self._shared_ha,
        )
