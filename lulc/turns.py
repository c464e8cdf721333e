"""Longitudes come round: 190 degrees east is 170 west, and x in Mercator repeats with the girth of the Earth."""

from functools import lru_cache
from math import tau
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

Floats = NDArray[np.float64]

_QUARTERS = ((0.0, 45.0), (90.0, 135.0))
"""Longitudes an eighth of a turn apart; a projection's own edge lies between one pair at most."""


def turn_of(crs: CRS) -> float | None:
    """Units of a CRS after which its first axis comes round; None where it does not.

    That is 360 in degrees, and the projected girth of the Earth in Mercator and other cylindrical projections.
    """
    return _turn(crs.to_wkt())


@lru_cache(maxsize=64)
def _turn(wkt: str) -> float | None:
    import pyproj

    crs = pyproj.CRS.from_wkt(wkt)
    if crs.is_geographic:
        return round(tau / crs.axis_info[0].unit_conversion_factor, 9)
    method = crs.coordinate_operation.method_name.replace("_", " ") if crs.coordinate_operation else ""
    oblique = any(word in method for word in ("Transverse", "Oblique"))
    if oblique or not any(word in method for word in ("Mercator", "Cylindrical", "Plate Carr")):
        return None
    assert crs.geodetic_crs is not None
    forward = pyproj.Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    steps = [float(np.diff(forward.transform(quarter, (0.0, 0.0))[0])[0]) for quarter in _QUARTERS]
    return 8 * max(steps)


def unwrapped(x: Any, middle: float, turn: float | None) -> Floats:  # noqa: ANN401 - what numpy takes
    """Coordinates moved by whole turns to within half a turn of the middle; those within it stay as they are, to the bit.

    Args:
        x: First coordinates, float64 of any shape; NaN stays NaN.
        middle: Of the raster that they are compared with.
        turn: From `turn_of`; None moves nothing.
    """
    x = np.asarray(x, np.float64)
    near = (
        x
        if turn is None
        else np.where(abs(x - middle) <= turn / 2, x, middle + (x - middle + turn / 2) % turn - turn / 2)
    )
    return np.asarray(near)
