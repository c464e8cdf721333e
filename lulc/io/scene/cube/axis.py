"""One axis of a cube: evenly spaced coordinates in the units of its CRS."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.crs import CRS

from lulc.errors import InputError

_EVEN = 1e-3
"""Share of a pixel by which the spacing of an axis may vary."""

_ULPS = 2.0
"""Roundings by which two steps between rounded coordinates may differ: half of one at each end of each."""

_FOOT, _SURVEY_FOOT = 0.3048, 1200 / 3937
_METRES = {
    re.compile(r"m|met(er|re)s?"): 1.0,
    re.compile(r"km|kilomet(er|re)s?"): 1000.0,
    re.compile(r"hm|hectomet(er|re)s?"): 100.0,
    re.compile(r"cm|centimet(er|re)s?"): 0.01,
    re.compile(r"mm|millimet(er|re)s?"): 0.001,
    re.compile(r"ft|foot|feet|international_f(oo|ee)t"): _FOOT,
    re.compile(r"us_survey_f(oo|ee)t|survey_f(oo|ee)t|us-ft|ftus"): _SURVEY_FOOT,
    re.compile(r"yd|yards?"): 0.9144,
    re.compile(r"mi|miles?"): 1609.344,
}
"""Units of length, metres."""

_DEGREES = {
    re.compile(r"deg|degrees?(_?(e|n|east|north))?|\N{DEGREE SIGN}"): 1.0,
    re.compile(r"rad|radians?"): 180 / np.pi,
    re.compile(r"arc_?min(ute)?s?"): 1 / 60,
    re.compile(r"arc_?sec(ond)?s?"): 1 / 3600,
}
"""Units of angle, degrees."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Evenly spaced coordinates.

    Attributes:
        first: The first of them.
        step: From one to the next; None for a single one.
        rounding: By how much each may be off, because its type holds no more digits.
    """

    first: float
    step: float | None
    rounding: float


def axis_of(plane: xr.DataArray, name: str, crs: CRS | None, path: Path) -> Coordinates:
    """The coordinates along a dimension, in the units of the CRS.

    Raises:
        InputError: No finite numbers, unevenly spaced, or in units that are no lengths or no angles as the CRS's are.
    """
    coordinate = plane.coords[name]
    values = coordinate.to_numpy()
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise InputError(
            f"{path}: the coordinates {name} are no finite numbers", "give map coordinates of pixel centres"
        )
    axis: NDArray[np.float64] = np.asarray(values, np.float64) * _factor(coordinate, crs, path)
    rounding = _rounding(coordinate, axis)
    return Coordinates(float(axis[0]), _spacing(axis, rounding, name, path), rounding)


def _rounding(coordinate: xr.DataArray, axis: NDArray[np.float64]) -> float:
    """What the last digit of the largest coordinate is worth in the type that stores it."""
    kinds = [np.dtype(kind) for kind in (coordinate.dtype, coordinate.encoding.get("dtype", coordinate.dtype))]
    return max((float(np.finfo(kind).eps * np.abs(axis).max()) for kind in kinds if kind.kind == "f"), default=0.0)


def _spacing(axis: NDArray[np.float64], rounding: float, name: str, path: Path) -> float | None:
    """Step from one pixel to the next; None for a single one."""
    if len(axis) == 1:
        return None
    step = float(axis[-1] - axis[0]) / (len(axis) - 1)
    if not step or np.ptp(np.diff(axis)) > _EVEN * abs(step) + min(_ULPS * rounding, abs(step) / 2):
        raise InputError(f"{path} has unevenly spaced coordinates {name}", "resample it to a regular grid")
    return step


def _factor(coordinate: xr.DataArray, crs: CRS | None, path: Path) -> float:
    """How many units of the CRS one unit of the axis is; 1 where either is not known."""
    units = str(coordinate.attrs.get("units", "")).strip()
    own = re.sub(r"[\s]+", "_", units.lower())
    lengths = [metres for pattern, metres in _METRES.items() if pattern.fullmatch(own)]
    angles = [degrees for pattern, degrees in _DEGREES.items() if pattern.fullmatch(own)]
    if crs is None or not (crs.is_projected or crs.is_geographic) or not (lengths or angles):
        return 1.0
    unit, size = crs.units_factor
    if bool(lengths) != crs.is_projected:
        raise InputError(
            f"{path}: the coordinates {coordinate.name} are in {units[:20]}, but their CRS is in {unit}",
            "correct the attribute units, or the CRS",
        )
    factor = lengths[0] / size if lengths else angles[0] / np.degrees(size)
    return 1.0 if abs(factor - 1) < 1e-9 else float(factor)  # noqa: PLR2004 - WKT rounds
