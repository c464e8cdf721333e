"""Images with clouds, shadows and neither: real pairs, clear patches, and clouds painted on clear patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data import BANDS, Patch
from numpy.typing import NDArray
from scipy import ndimage

CLEAR, CLOUD, SHADOW, UNKNOWN = 0, 1, 2, 255
"""Codes of a sky; the first three are the outputs of the cloud head, in their order."""

MISLEADING = ("1868_summer_100_p100", "1868_summer_100_p500", "1868_summer_102_p100", "1868_summer_102_p500")
"""Pairs whose mask tells thin haze over sea, fields that changed, or smoke: seen on a contact sheet."""

CLOUD_BLUE = 0.18
"""A cloud of the rule-made masks that is darker than this in blue is haze over bright ground, and is not used."""

_WHITE = np.array([1.0, 0.98, 1.0, 1.02, 1.03, 1.04, 1.05, 0.75, 0.58], np.float32)
"""Colour of a thick cloud in each of `BANDS`, relative to blue: water and ice absorb in the short-wave infrared."""

_DIRECT = np.array([0.72, 0.8, 0.87, 0.9, 0.93, 0.95, 0.97, 1.0, 1.0], np.float32)
"""Part of the light that comes straight from the sun in each of `BANDS`, relative to the last."""

_THICK, _NONE = 0.45, 0.02
_DARK_GROUND = 0.06


@dataclass(frozen=True)
class Sky:
    """An image and what hides the ground in it.

    Attributes:
        place: Region of the image; no region is trained on and measured on.
        level: `L1C` or `L2A`.
        image: float32 (9, height, width), reflectance, bands as in `BANDS`; NaN where no data.
        codes: uint8 (height, width), `CLEAR`, `CLOUD`, `SHADOW`, or `UNKNOWN`.
    """

    place: str
    level: str
    image: NDArray[np.float32]
    codes: NDArray[np.uint8]


def cloudy_pairs(data: Path) -> list[Sky]:
    """The cloudy images with their rule-made masks, and the clear image of each pair.

    Where the rule is undecided, nothing is claimed.
    """
    found = []
    with np.load(data / "segmentation" / "clouds_l1c.npz") as archive:
        if tuple(archive["bands"]) != BANDS:
            raise ValueError("clouds_l1c.npz: bands are not in the expected order")
        cloudy, clear = (archive[name].astype(np.float32) / 10000 for name in ("cloudy", "clear"))
        for number, (place, source) in enumerate(zip(archive["place"], archive["source"], strict=True)):
            name = str(source).removeprefix("ROIs").removesuffix(".tif").replace("_s2_cloudy", "")
            if not any(name == wrong for wrong in MISLEADING):
                codes = archive["mask"][number].copy()
                codes[(codes == CLOUD) & (cloudy[number, 0] < CLOUD_BLUE)] = UNKNOWN
                found.append(Sky(str(place), "L1C", cloudy[number], codes))
            found.append(Sky(str(place), "L1C", clear[number], np.zeros(clear.shape[-2:], np.uint8)))
    return found


def clear_sky(patch: Patch) -> Sky:
    """A patch as an image without clouds; what is cut off or has no data is unknown."""
    image = patch.image.astype(np.float32) / 10000
    known = (patch.image != 0).any(axis=0)
    image[:, ~known] = np.nan
    return Sky(patch.place, patch.level, image, np.where(known, CLEAR, UNKNOWN).astype(np.uint8))


def with_painted_clouds(sky: Sky, random: np.random.Generator) -> Sky:
    """A clear image with clouds and their shadows painted on it.

    A cloud is fractal noise above a random height. It covers the ground by its opacity and is white in the visible bands,
    darker in the short-wave infrared. Its shadow lies some way off and loses most of the direct sunlight.
    """
    height, width = sky.codes.shape
    reach = 48
    field = _fractal((height + 2 * reach, width + 2 * reach), random)
    cover, edge = random.uniform(0.05, 0.9), random.uniform(0.3, 1.2)
    opacity = np.clip((field - np.quantile(field, 1 - cover)) / edge, 0, 1)
    down, across = random.integers(-reach, reach + 1, 2)
    rows, cols = slice(reach, reach + height), slice(reach, reach + width)
    over = opacity[rows, cols]
    behind = opacity[reach + down : reach + down + height, reach + across : reach + across + width]
    dark = random.uniform(0.45, 0.85) * behind
    bright = random.uniform(0.3, 1.0) * (0.85 + 0.3 * (field[rows, cols] - field.min()) / np.ptp(field))
    colour = _WHITE * random.normal(1, 0.015, len(BANDS)) * np.where(_WHITE < 1, random.uniform(0.75, 1.2), 1)
    ground = sky.image * (1 - dark * _DIRECT[:, None, None])
    image = ground * (1 - over) + over * bright * colour[:, None, None]
    codes = np.where(sky.codes == CLEAR, _codes(over, behind, sky.image), sky.codes)
    return Sky(sky.place, sky.level, image.astype(np.float32), codes.astype(np.uint8))


def _codes(over: NDArray[np.floating], behind: NDArray[np.floating], ground: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What is told of painted clouds: thin edges are unknown, and so is a shadow on ground that is dark anyway."""
    codes = np.full(over.shape, UNKNOWN, np.uint8)
    codes[(over < _NONE) & (behind < _NONE)] = CLEAR
    lit = ground[BANDS.index("B08")] > _DARK_GROUND
    codes[(over < _NONE) & (behind > _THICK) & lit] = SHADOW
    codes[over > _THICK] = CLOUD
    return codes


def _fractal(shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.float64]:
    """Noise with as much detail at each scale as clouds have, mean 0, deviation 1."""
    field = np.zeros(shape)
    scale = float(random.uniform(32, 96))
    amplitude = 1.0
    while scale >= 1:
        cells = random.normal(size=tuple(int(np.ceil(side / scale)) + 2 for side in shape))
        zoomed = ndimage.zoom(cells, scale, order=1)[: shape[0], : shape[1]]
        field += amplitude * zoomed
        scale, amplitude = scale / 2, amplitude * 0.55
    return (field - field.mean()) / field.std()


def crop_of(sky: Sky, side: int, random: np.random.Generator) -> Sky:
    """A random square of an image; a smaller image is mirrored at its edges."""
    short = [max(0, side - size) for size in sky.codes.shape]
    margins = [(0, missing) for missing in short]
    image = np.pad(sky.image, ((0, 0), *margins), mode="symmetric")
    codes = np.pad(sky.codes, margins, mode="symmetric")
    row, col = (int(random.integers(size - side + 1)) for size in codes.shape)
    part = (slice(row, row + side), slice(col, col + side))
    return Sky(sky.place, sky.level, image[:, *part], codes[part])
