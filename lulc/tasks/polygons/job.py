"""What is asked of a map: which classes, how large, how simple; and the features that follow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError, UsageError, did_you_mean
from lulc.io.product.areas import PixelAreas, edge_of
from lulc.io.product.reader import ProductReader
from lulc.legend import Legend
from lulc.tasks.polygons.features import Attributes, Features, polygons_of
from lulc.tasks.polygons.marks import Marks
from lulc.tasks.polygons.options import PolygonsOptions
from lulc.tasks.polygons.patches import Sums
from lulc.tasks.polygons.report import Tally
from lulc.tasks.polygons.rings import Rings
from lulc.tasks.polygons.simplify import Simplifier
from lulc.tasks.polygons.strips import AreaUnits, activation_unit
from lulc.tasks.polygons.tracer import Traced

_CODES = 256
_SLACK = 1e-9
"""Of the smallest size: fifty pixels of 0.01 ha are half a hectare, whatever the last digit says."""

_VERTICES = 1 << 19
"""Vertices that become polygons at once; a polygon with more does so by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A map and what is asked of it.

    Attributes:
        product: The map.
        wanted: bool (256,) which class codes.
        units: In which its areas are counted.
        attributes: What is told of each polygon.
        least_units: Smaller polygons are left out.
        limit_px: Largest triangle that simplification cuts off, pixels; 0 simplifies nothing.
        tags: Provenance of the polygons.
    """

    product: ProductReader
    wanted: NDArray[np.bool_]
    units: AreaUnits
    attributes: Attributes
    least_units: float
    limit_px: float
    tags: Mapping[str, str]

    @classmethod
    def of(cls, product: ProductReader, options: PolygonsOptions) -> "Job":
        """Hold options against a map.

        Raises:
            UsageError: A class is unknown.
            InputError: The map has no place on the ground.
        """
        wanted = _wanted(product.legend, options.classes)
        areas = PixelAreas.of(product.grid, edge_of(product.tags, product.path))
        if not np.isfinite(areas.rows).all():
            raise InputError(
                f"{product.path} has no CRS", "polygons need a place on the ground: georeference the map first"
            )
        units = AreaUnits.of(areas)
        activation = activation_unit(product) if product.has_activations else None
        attributes = Attributes(product.legend, units.per_hectare, activation, product.flags_clouds)
        side_m = product.grid.pixel_size_m()
        assert side_m is not None
        least_units = options.min_ha * (1 - _SLACK) * units.per_hectare
        limit_px = (options.simplify / side_m) ** 2
        return cls(product, wanted, units, attributes, least_units, limit_px, _tags(product, options))

    def features(self, traced: Traced, marks: Marks | None, tally: Tally) -> Iterator[Features]:
        """The polygons of some patches, without those that are too small.

        Args:
            traced: Whole patches.
            marks: Vertices of all borders they reach; needed to simplify.
            tally: Counts them.
        """
        written = traced.sums.area >= self.least_units
        tally.add(traced, written)
        for part in traced.of(written).parts(_VERTICES):
            yield self._drawn(part, marks, tally)

    def _drawn(self, part: Traced, marks: Marks | None, tally: Tally) -> Features:
        rings = part.rings()
        if marks is not None:
            rings = Simplifier(marks, self.limit_px).simplified(rings)
        tally.vertices += rings.points.shape[1]
        polygons = polygons_of(rings, part.code.size, self.product.grid.transform)
        return Features.of(polygons, self.attributes.of(part.code, part.sums))

    def nothing(self) -> Features:
        """No polygon, with all columns."""
        none = np.zeros(0, np.int64)
        rings = Rings(none, none, np.zeros((2, 0), np.int32))
        polygons = polygons_of(rings, 0, self.product.grid.transform)
        return Features.of(polygons, self.attributes.of(np.zeros(0, np.uint8), Sums.none(0)))


def _wanted(legend: Legend, names: tuple[str, ...] | None) -> NDArray[np.bool_]:
    for name in names or ():
        if name not in legend.names:
            raise UsageError(f"--classes: legend {legend.name} has no class {name!r}", did_you_mean(name, legend.names))
    wanted = np.zeros(_CODES, np.bool_)
    wanted[[entry.code for entry in legend if names is None or entry.name in names]] = True
    return wanted


def _tags(product: ProductReader, options: PolygonsOptions) -> dict[str, str]:
    """Provenance of the map, and what was asked of it."""
    own = {
        "LULC_POLYGONS_OF": product.path.name,
        "LULC_POLYGONS_VERSION": version("lulc"),
        "LULC_POLYGONS_CLASSES": ",".join(options.classes or product.legend.names),
        "LULC_POLYGONS_MIN_HA": f"{options.min_ha:g}",
        "LULC_POLYGONS_SIMPLIFY_M": f"{options.simplify:g}",
    }
    return {**product.tags, **own}
