"""Colour masks: class labels painted as RGB, perhaps smeared by JPEG."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.legend import NODATA_CODE, Legend

_LOSSLESS_COLORS = 4
_PATCH = 5


def decode_colors(
    rgb: NDArray[np.uint8], legend: Legend, tolerance: int | None = None, name: str = "the mask"
) -> NDArray[np.uint8]:
    """Class codes of a colour mask.

    A pixel takes the class of the nearest colour of the legend, if no channel differs by more than the tolerance. JPEG
    leaves mixtures along the borders of classes that belong to neither: they are not labelled. A patch of an unknown
    colour is an error, and so is any unknown colour in a mask that is not smeared.

    Args:
        rgb: uint8 (3, height, width).
        legend: Its colours; `nodata_colors` are not labelled.
        tolerance: Largest difference per channel; None takes half the least difference between two colours.
        name: What to call the mask in an error.

    Returns:
        uint8 (height, width), 255 where not labelled.

    Raises:
        InputError: A colour that is not in the legend.
    """
    colors, codes = _palette(legend)
    reach = _unambiguous(colors) if tolerance is None else tolerance
    packed = (rgb[0].astype(np.uint32) << 16) | (rgb[1].astype(np.uint32) << 8) | rgb[2]
    found, place = np.unique(packed, return_inverse=True)
    parts = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.int16)
    distance = np.abs(parts[:, None] - colors[None]).max(axis=2)
    nearest = distance.argmin(axis=1)
    known = distance.min(axis=1) <= reach
    decoded = np.where(known, codes[nearest], NODATA_CODE).astype(np.uint8)
    if not known.all():
        lossless = len(found) <= _LOSSLESS_COLORS * len(colors)
        _refuse_patches(~known[place].reshape(packed.shape), rgb, name, side=1 if lossless else _PATCH)
    result: NDArray[np.uint8] = decoded[place].reshape(packed.shape)
    return result


def _palette(legend: Legend) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Colours (n, 3) and their codes."""
    plain = [int(color[1:], 16) for color in legend.nodata_colors]
    colors = [entry.rgb for entry in legend] + [(value >> 16, value >> 8 & 255, value & 255) for value in plain]
    codes = [entry.code for entry in legend] + [NODATA_CODE] * len(plain)
    return np.array(colors, np.int16), np.array(codes, np.uint8)


def _unambiguous(colors: NDArray[np.int16]) -> int:
    """Largest tolerance with which no pixel is near two colours."""
    return int((min(np.abs(one - other).max() for one, other in combinations(colors, 2)) - 1) // 2)


def _refuse_patches(unknown: NDArray[np.bool_], rgb: NDArray[np.uint8], name: str, side: int) -> None:
    """Raise when unknown pixels fill a square of `side` pixels somewhere."""
    patch = unknown
    for axis in (0, 1):
        for _ in range(side - 1):
            patch = patch & np.roll(patch, -1, axis=axis)
            patch = patch[:-1] if axis == 0 else patch[:, :-1]
    if not patch.any():
        return
    row, col = (int(index[0]) + side // 2 for index in np.nonzero(patch))
    color = "#" + "".join(f"{int(value):02x}" for value in rgb[:, row, col])
    raise InputError(
        f"{name} has the colour {color} at row {row}, column {col} ({int(unknown.sum())} pixels of unknown colours)",
        "add it to the legend, or raise --tolerance",
    )
