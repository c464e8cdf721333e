"""Colour masks: class labels painted as RGB, perhaps smeared by JPEG."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lulc.errors import ConfigError, InputError
from lulc.legend import NODATA_CODE, Legend

_PATCH = 5  # pixels; the smear of JPEG is narrower, a class is wider
_NEAR = 48  # levels that JPEG moves a colour inside an area
_LEAST_NEAR = 0.5
_ENOUGH = 4096  # pixels; less may be all border


def decode_colors(
    rgb: NDArray[np.uint8], legend: Legend, tolerance: int | None = None, name: str = "the mask"
) -> NDArray[np.uint8]:
    """Class codes of a colour mask.

    A pixel takes the class of the nearest colour of the legend, if no channel differs by more than the tolerance. JPEG
    leaves mixtures along the borders of classes that belong to neither: they are not labelled. A patch of an unknown
    colour is an error, and so is any unknown colour in a mask whose other colours are exact.

    Args:
        rgb: uint8 (3, height, width).
        legend: Its colours; `nodata_colors` are not labelled.
        tolerance: Largest difference per channel; None takes half the least difference between two colours (127 for
            DeepGlobe, whose authors say to cut each channel at 128).
        name: What to call the mask in an error.

    Returns:
        uint8 (height, width), 255 where not labelled.

    Raises:
        InputError: A colour that is not in the legend, or a photograph.
        ConfigError: Two classes of the legend have one colour.
    """
    colors, codes = _palette(legend)
    packed = _packed(rgb.astype(np.uint32))
    decoded = np.full(packed.shape, NODATA_CODE, np.uint8)
    inexact = np.ones(packed.shape, dtype=bool)
    for color, code in zip(_packed(colors.T.astype(np.uint32)), codes, strict=True):
        here = packed == color
        decoded[here] = code
        inexact &= ~here
    if not inexact.any():
        return decoded
    found, inverse = np.unique(packed[inexact], return_inverse=True)
    nearest, distance = _nearest(found, colors)
    if tolerance is None:
        _refuse_photographs(np.concatenate([distance[inverse], np.zeros(packed.size - len(inverse), np.int16)]), name)
    known = distance <= (_unambiguous(colors) if tolerance is None else tolerance)
    decoded[inexact] = np.where(known, codes[nearest], NODATA_CODE)[inverse]
    if not known.all():
        unknown = np.zeros(packed.shape, dtype=bool)
        unknown[inexact] = ~known[inverse]
        _refuse_patches(unknown, rgb, name, side=_PATCH if known.any() else 1)
    return decoded


def _packed(rgb: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """One number a colour, from (3, ...)."""
    packed: NDArray[np.uint32] = (rgb[0] << 16) | (rgb[1] << 8) | rgb[2]
    return packed


def _nearest(found: NDArray[np.uint32], colors: NDArray[np.int16]) -> tuple[NDArray[np.intp], NDArray[np.int16]]:
    """Position of the nearest colour and the largest difference of a channel to it, for packed colours (n,)."""
    parts = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.int16)
    nearest, least = np.zeros(len(found), np.intp), np.full(len(found), 256, np.int16)
    for position, color in enumerate(colors):  # one at a time: a photograph has millions of colours
        distance = np.abs(parts - color).max(axis=1)
        nearest[distance < least] = position
        least = np.minimum(least, distance)
    return nearest, least


def _palette(legend: Legend) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Colours (n, 3) and their codes."""
    plain = [int(color[1:], 16) for color in legend.nodata_colors]
    colors = [entry.rgb for entry in legend] + [(value >> 16, value >> 8 & 255, value & 255) for value in plain]
    if len(set(colors)) != len(colors):
        raise ConfigError(f"legend {legend.name} has one colour for two classes", "give each class its own in the file")
    codes = [entry.code for entry in legend] + [NODATA_CODE] * len(plain)
    return np.array(colors, np.int16), np.array(codes, np.uint8)


def _unambiguous(colors: NDArray[np.int16]) -> int:
    """Largest tolerance with which no pixel is near two colours."""
    least = min((np.abs(one - other).max() for one, other in combinations(colors, 2)), default=255)
    return int((least - 1) // 2)


def _refuse_photographs(distance: NDArray[np.int16], name: str) -> None:
    """Raise when most pixels are far from any colour: in DeepGlobe's colours an image would look like a mask."""
    near = float((distance <= _NEAR).mean())
    if distance.size >= _ENOUGH and near < _LEAST_NEAR:
        raise InputError(
            f"{name} is no mask in the legend's colours: {near:.0%} of its pixels are near one",
            "give the mask, not the image, or choose another --legend",
        )


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
