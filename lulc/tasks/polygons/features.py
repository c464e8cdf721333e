"""Polygons with their attributes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from lulc.grid import map_points
from lulc.legend import Legend
from lulc.tasks.polygons.patches import Sums
from lulc.tasks.polygons.ragged import offsets
from lulc.tasks.polygons.rings import Rings


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Polygons and their attributes.

    Attributes:
        wkb: Polygons as bytes (n,) of ISO WKB, the outer ring counter-clockwise, in the CRS of the map.
        bounds: float64 (n, 4) their boxes: least x, least y, largest x, largest y.
        columns: Attributes by name, each (n,); NaN is no value.
    """

    wkb: NDArray[Any]
    bounds: NDArray[np.float64]
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return self.wkb.size

    @classmethod
    def of(cls, polygons: NDArray[Any], columns: dict[str, NDArray[Any]]) -> "Features":
        """Features of polygons of shapely, (n,), which need not be kept."""
        bounds = shapely.bounds(polygons).reshape(-1, 4)
        return cls(shapely.to_wkb(polygons), bounds, columns)

    def part(self, first: int, last: int) -> "Features":
        """Some that follow each other."""
        columns = {name: values[first:last] for name, values in self.columns.items()}
        return Features(self.wkb[first:last], self.bounds[first:last], columns)

    @classmethod
    def joined(cls, parts: "list[Features]") -> "Features":
        """All of one part or more."""
        columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
        wkb, bounds = (np.concatenate([getattr(part, name) for part in parts]) for name in ("wkb", "bounds"))
        return cls(wkb, bounds, columns)


def polygons_of(rings: Rings, count: int, transform: Affine) -> NDArray[Any]:
    """Polygons of shapely (n,), counter-clockwise, each ring from its first vertex on.

    Equal vertices get equal coordinates, whatever polygon they are of: each is computed by itself.

    Args:
        rings: Ordered by polygon, the outer ring first; every polygon has one.
        count: Polygons.
        transform: From lattice points (column, row) to the coordinates of the CRS.
    """
    ends = offsets(rings.size + 1)
    index = np.arange(ends[-1]) - np.repeat(np.arange(rings.size.size), rings.size + 1)
    index[ends[1:] - 1] = offsets(rings.size)[:-1]
    if transform.determinant > 0:  # what turns left on the lattice turns right on the map
        first, last = (np.repeat(edge, rings.size + 1) for edge in (ends[:-1], ends[1:] - 1))
        index = index[first + last - np.arange(ends[-1])]
    rows, columns = rings.points[:, index]
    coordinates = np.stack(map_points(transform, columns, rows), axis=1)
    by_polygon = np.searchsorted(rings.patch, np.arange(count + 1))
    return np.asarray(shapely.from_ragged_array(shapely.GeometryType.POLYGON, coordinates, (ends, by_polygon)))


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is told of each polygon.

    Attributes:
        legend: Classes of the map.
        per_hectare: Units of area in a hectare.
        activation: Worth of one step of an activation; None for a map without activations.
        flags: The map has the band `clouds`.
    """

    legend: Legend
    per_hectare: int
    activation: float | None
    flags: bool

    def of(self, code: NDArray[np.uint8], sums: Sums) -> dict[str, NDArray[Any]]:
        """Columns of some polygons, each (n,)."""
        names = np.array(["", *self.legend.names], object)
        confidence = np.nan if self.activation is None else self.activation
        flagged = {"flagged": sums.flagged / sums.pixels} if self.flags else {}
        return {
            "code": code.astype(np.int32),
            "name": names[code],
            "area_ha": sums.area / self.per_hectare,
            "pixels": sums.pixels,
            "confidence": sums.activation * confidence / sums.pixels,
            **flagged,
        }
