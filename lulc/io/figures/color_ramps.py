"""Colour ramps of fractions on web maps: matplotlib's viridis and inferno (CC0), as 256 steps."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lulc.legend import NODATA_CODE, Legend

_STEPS = 256
_FRACTION_STEPS = 250
"""A fraction of 1 as a byte of a product."""

_OPAQUE = 255


@cache
def _ramp(name: str) -> NDArray[np.uint8]:
    """uint8 (256, 3)."""
    from matplotlib import colormaps

    colors = np.asarray(colormaps[name](np.linspace(0, 1, _STEPS)))[:, :3]
    return np.round(colors * _OPAQUE).astype(np.uint8)


@cache
def fraction_palette() -> NDArray[np.uint8]:
    """Colours of fractions stored as 0..250: uint8 (256, 4); 255, no data, is transparent."""
    indices = np.clip(np.arange(_STEPS) / _FRACTION_STEPS, 0, 1) * (_STEPS - 1)
    palette = np.full((_STEPS, 4), _OPAQUE, np.uint8)
    palette[:, :3] = _ramp("viridis")[indices.round().astype(int)]
    palette[NODATA_CODE] = 0
    return palette


@cache
def heat_palette() -> NDArray[np.uint8]:
    """Colours of heat as 0..254: uint8 (256, 4), the less heat the more transparent; 255, no data, wholly."""
    palette = np.empty((_STEPS, 4), np.uint8)
    palette[:, :3] = _ramp("inferno")
    palette[:, 3] = np.linspace(0, 230, _STEPS).round()
    palette[NODATA_CODE] = 0
    return palette


def class_palette(legend: Legend) -> NDArray[np.uint8]:
    """Colours of class codes: uint8 (256, 4); what is no class is transparent."""
    palette = np.zeros((_STEPS, 4), np.uint8)
    for entry in legend:
        palette[entry.code] = (*entry.rgb, _OPAQUE)
    return palette


def ramp_colors(count: int) -> list[str]:
    """So many colours of fractions from 0 to 1, as `#rrggbb`."""
    indices = np.linspace(0, _STEPS - 1, count).round().astype(int)
    return ["#{:02x}{:02x}{:02x}".format(*color) for color in _ramp("viridis")[indices]]
