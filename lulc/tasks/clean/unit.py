"""The minimum mapping unit, and areas as whole numbers: sums of them do not depend on their order."""

import re
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.product.areas import SLACK, PixelAreas

Integers = NDArray[np.int64]

_TEXT = re.compile(r"(?P<number>\d+\.?\d*|\.\d+)\s*(?P<measure>ha|px|)")
_MOST_DIGITS = 9
"""Of the area of a pixel. They are decimal, as the part of a pixel that lies inside its scene is stated: so two halves are one."""

_NEVER = 1 << 62
"""An area that no patch of a map reaches."""


@dataclass(frozen=True, slots=True)
class MinimumUnit:
    """Smallest patch that a map shows.

    Attributes:
        number: How much; above 0.
        measure: Hectares or pixels.
    """

    number: float
    measure: Literal["ha", "px"]

    @classmethod
    def parse(cls, text: str) -> "MinimumUnit":
        """A unit such as `0.5ha`, `10px`, or `0.5`, which is hectares.

        Raises:
            ValueError: It is none.
        """
        found = _TEXT.fullmatch(text.strip().lower())
        number = float(found["number"]) if found else 0.0
        if found is None or not (number > 0 and isfinite(number)):
            raise ValueError(f"{text!r} is no minimum mapping unit; write hectares or pixels, such as 0.5ha or 10px")
        return cls(number, "px" if found["measure"] == "px" else "ha")

    def __str__(self) -> str:
        return f"{self.number:.15g} {self.measure}"


@dataclass(frozen=True, slots=True, eq=False)
class UnitAreas:
    """Areas of pixels in whole numbers, and the area that a patch must reach.

    Attributes:
        rows: int64 (height,) area of a pixel of each row; the largest is 10**9 for maps of up to 4e9 pixels.
        last: int64 (height,) of the pixel in the last column, which may reach beyond the scene.
        width: Columns.
        least: Area of a patch that is not below the unit.
    """

    rows: Integers
    last: Integers
    width: int
    least: int

    @classmethod
    def of(cls, unit: MinimumUnit, areas: PixelAreas, path: Path) -> "UnitAreas":
        """Areas of a map.

        Args:
            unit: The minimum mapping unit.
            areas: Ground of the map's pixels.
            path: The map, for messages.

        Raises:
            InputError: The unit is in hectares, and the ground area of some pixel is not known.
        """
        height, width = areas.rows.size, areas.columns.size
        if unit.measure == "px":
            ones = np.ones(height, np.int64)
            return cls(ones, ones, width, min(ceil(unit.number), _NEVER))
        if not (np.isfinite(areas.rows).all() and (areas.rows > 0).all()):
            raise InputError(
                f"{path}: its CRS does not tell the ground area of every pixel, which a unit in hectares needs",
                "give --mmu in pixels, such as --mmu 50px, or georeference the map with gdal_edit.py -a_srs EPSG:N",
            )
        digits = min(_MOST_DIGITS, len(str(_NEVER // (height * width))) - 1)
        scale = 10**digits / float(areas.rows.max())
        rows, last = (np.rint(part * scale).astype(np.int64) for part in (areas.rows, areas.rows * areas.columns[-1]))
        return cls(rows, last, width, ceil(min(unit.number * (1 - SLACK) * scale, _NEVER)))

    def part(self, window: Window) -> "UnitAreas":
        """Areas of some whole rows."""
        rows, _ = window.slices()
        return UnitAreas(self.rows[rows], self.last[rows], self.width, self.least)

    def of_runs(self, rows: NDArray[np.intp], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> Integers:
        """Areas of runs by their row, first column and the column after the last: int64 (n,)."""
        whole = self.rows[rows]
        area: Integers = whole * (ends - starts) + np.where(ends == self.width, self.last[rows] - whole, 0)
        return area
