"""What `lulc polygons` has written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.legend import Legend
from lulc.tasks.polygons.tracer import Traced


@dataclass(frozen=True, slots=True)
class ClassPolygons:
    """Polygons of a class.

    Attributes:
        code: Code of the class.
        name: Its name.
        polygons: How many were written.
        hectares: Ground of their pixels.
        left_out: Polygons below the smallest size, which were not written.
        hectares_left_out: Ground of their pixels.
    """

    code: int
    name: str
    polygons: int
    hectares: float
    left_out: int
    hectares_left_out: float


@dataclass(frozen=True, slots=True)
class PolygonsReport:
    """Result of a run of `lulc polygons`.

    Attributes:
        map_path: The map.
        output: The file of polygons.
        vertices: Vertices in the file; the first of a ring counts once.
        min_ha: Smallest polygon, hectares.
        classes: What was written of each class that was asked for.
    """

    map_path: Path
    output: Path
    vertices: int
    min_ha: float
    classes: tuple[ClassPolygons, ...]

    @property
    def polygons(self) -> int:
        """Polygons in the file."""
        return sum(entry.polygons for entry in self.classes)

    @property
    def left_out(self) -> int:
        """Polygons that were too small."""
        return sum(entry.left_out for entry in self.classes)

    @property
    def hectares_left_out(self) -> float:
        """Ground of the polygons that were too small."""
        return sum(entry.hectares_left_out for entry in self.classes)

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "map": str(self.map_path),
            "output": str(self.output),
            "polygons": self.polygons,
            "vertices": self.vertices,
            "min_ha": self.min_ha,
            "left_out": {"polygons": self.left_out, "hectares": self.hectares_left_out},
            "classes": [{name: getattr(entry, name) for name in ClassPolygons.__slots__} for entry in self.classes],
        }

    def to_text(self) -> str:
        """Aligned columns for people."""
        there = [entry for entry in self.classes if entry.polygons or entry.left_out]
        width = max((len(entry.name) for entry in there), default=0)
        lines = [f"{self.output}: {self.polygons:,} polygons of {self.map_path}, {self.vertices:,} vertices"]
        lines += [f"{entry.name:<{width}}  {entry.polygons:>11,}  {entry.hectares:>13,.1f} ha" for entry in there]
        if self.left_out:
            whole = self.hectares_left_out + sum(entry.hectares for entry in there)
            share = self.hectares_left_out / whole
            lines.append(
                f"left out: {self.left_out:,} polygons below {self.min_ha:g} ha, {self.hectares_left_out:,.1f} ha in all"
                f" ({share:.2%}), which are gaps now"
            )
        return "\n".join(lines)


class Tally:
    """Counts what becomes of the polygons of each class.

    Args:
        legend: Classes of the map.
        per_hectare: Units of area in a hectare.
    """

    def __init__(self, legend: Legend, per_hectare: int) -> None:
        self._legend, self._per_hectare = legend, per_hectare
        self._polygons = np.zeros((2, len(legend) + 1), np.int64)
        self._area = np.zeros((2, len(legend) + 1), np.int64)
        self.vertices = 0

    def add(self, traced: Traced, written: NDArray[np.bool_]) -> None:
        """Count some polygons, bool (n,) which of them are written."""
        kind = (~written).astype(np.intp)
        np.add.at(self._polygons, (kind, traced.code), 1)
        np.add.at(self._area, (kind, traced.code), traced.sums.area)

    def classes(self, wanted: NDArray[np.bool_]) -> tuple[ClassPolygons, ...]:
        """What became of those that were asked for, by code."""
        return tuple(
            ClassPolygons(
                entry.code,
                entry.name,
                int(self._polygons[0, entry.code]),
                float(self._area[0, entry.code] / self._per_hectare),
                int(self._polygons[1, entry.code]),
                float(self._area[1, entry.code] / self._per_hectare),
            )
            for entry in self._legend
            if wanted[entry.code]
        )
