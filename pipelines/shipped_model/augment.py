"""Training batches: canvases of mosaicked chips and scene crops, with geometric and radiometric jitter.

A 64-px chip is smaller than the receptive field, so a network trained on single chips would always see its own
zero padding and never does so in a scene. Four unrelated chips per 128-px canvas fill the field instead, and teach the
network that what lies beyond a chip's ignored border is not to be trusted blindly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from data import BANDS, Tiles
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Piece = tuple[Floats, NDArray[np.uint8], NDArray[np.bool_]]
"""Reflectance (9, h, w), teacher percent (9, h, w), usable (h, w)."""

CANVAS = 128
CHIP = 64
_HAZE_CHANCE = 0.3

PATH_REFLECTANCE = np.array([666, 396, 221, 183, 158, 132, 106, 22, 12], np.float32) / 10000
TRANSMITTANCE = np.array([0.774, 0.807, 0.877, 0.890, 0.917, 0.926, 0.906, 0.960, 0.931], np.float32)
"""Additive and multiplicative effect per band of a clear atmosphere (aerosol depth 0.15), from the data README."""

HAZE = (np.array([0.49, 0.56, 0.665, 0.705, 0.74, 0.783, 0.842, 1.61, 2.19], np.float32) / 0.49) ** -1.5
"""Relative brightness of thin haze per band: falls with wavelength (aerosol power law)."""


@dataclass(frozen=True)
class Jitter:
    """How far the radiometry of a training chip is moved. All zero switches the jitter off.

    Attributes:
        common_gain: half width of a factor common to all bands.
        band_gain: standard deviation of the factor of each band.
        band_offset: standard deviation of the reflectance added to each band.
        haze: largest reflectance of haze added at B02.
        noise: standard deviation of white noise per pixel.
        atmosphere: probability of adding an atmosphere to L2A, or taking it from L1C, in a random strength.
    """

    common_gain: float = 0.15
    band_gain: float = 0.06
    band_offset: float = 0.006
    haze: float = 0.04
    noise: float = 0.003
    atmosphere: float = 0.5

    @classmethod
    def mild(cls) -> Jitter:
        """Half the jitter and less often another atmosphere (for the comparison)."""
        return cls(0.08, 0.03, 0.003, 0.02, 0.002, 0.3)

    @classmethod
    def off(cls) -> Jitter:
        """No radiometric augmentation (for the comparison)."""
        return cls(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Batch:
    """A training batch.

    Attributes:
        reflectance: ``(n, 9, h, w)`` float32.
        target: ``(n, 9, h, w)`` float32 class probabilities.
        weight: ``(n, h, w)`` float32, 0 where the loss is ignored.
        hole: ``(n, h, w)`` bool, True where the network must see nodata.
    """

    reflectance: Floats
    target: Floats
    weight: Floats
    hole: NDArray[np.bool_]


class Sampler:
    """Draws training batches from sources in given proportions.

    Args:
        sources: chips of 64 px and scenes; a scene is cut into random 128-px crops.
        shares: relative probability per source name that a quarter canvas comes from it.
        jitter: the radiometric jitter.
        seed: of the random generator.
    """

    def __init__(self, sources: list[Tiles], shares: dict[str, float], jitter: Jitter, seed: int) -> None:
        self._sources = sources
        weights = np.array([shares[s.name] for s in sources], float)
        self._probabilities = weights / weights.sum()
        self._usable = [s.usable() for s in sources]
        self._jitter = jitter
        self._rng = np.random.default_rng(seed)

    def draw(self, size: int) -> Batch:
        """Draw ``size`` canvases."""
        canvases = [self._canvas() for _ in range(size)]
        reflectance, percent, usable = (np.stack(parts) for parts in zip(*canvases, strict=True))
        target = percent / np.maximum(percent.sum(axis=1, keepdims=True), 1)
        hole = self._holes(size) | (reflectance == 0).all(axis=1)
        if self._jitter.noise:
            reflectance += self._rng.normal(0, self._jitter.noise, reflectance.shape).astype(np.float32)
        weight = (usable & ~hole).astype(np.float32)
        return Batch(reflectance, target.astype(np.float32), weight, hole)

    def _canvas(self) -> Piece:
        index = self._rng.choice(len(self._sources), p=self._probabilities)
        if self._sources[index].images.shape[-1] > CHIP:
            return self._piece(index, CANVAS)
        return self._mosaic()

    def _mosaic(self) -> Piece:
        chips = [i for i, s in enumerate(self._sources) if s.images.shape[-1] == CHIP]
        shares = self._probabilities[chips] / self._probabilities[chips].sum()
        pieces = [self._piece(self._rng.choice(chips, p=shares), CHIP) for _ in range(4)]

        images, percents, masks = (np.block([[a, b], [c, d]]) for a, b, c, d in zip(*pieces, strict=True))
        return images, percents, masks

    def _piece(self, index: int, size: int) -> Piece:
        """One jittered ``size`` px square of a source: reflectance, label, usable."""
        source = self._sources[index]
        which = self._rng.integers(len(source))
        height, width = source.images.shape[-2:]
        row, col = self._rng.integers(height - size + 1), self._rng.integers(width - size + 1)
        part = (which, ..., slice(row, row + size), slice(col, col + size))
        image = source.images[part].astype(np.float32) / 10000
        nodata = (image == 0).all(axis=0)
        gain, offset = self._band_jitter(str(source.level[which]))
        image = image * gain[:, None, None] + offset[:, None, None]
        image[:, nodata] = 0
        turns, flip = self._rng.integers(4), bool(self._rng.integers(2))
        percent, usable = source.percent[part], self._usable[index][part]
        return _turn(image, turns, flip), _turn(percent, turns, flip), _turn(usable, turns, flip)

    def _band_jitter(self, level: str) -> tuple[Floats, Floats]:
        """Gain and offset per band of one piece: atmosphere, then sensor and product differences, then haze."""
        jitter, rng, bands = self._jitter, self._rng, len(BANDS)
        gain, offset = np.ones(bands, np.float32), np.zeros(bands, np.float32)
        if rng.random() < jitter.atmosphere:
            gain, offset = _atmosphere(level, strength=rng.uniform(0.2, 1.3))
        scale = (1 + rng.uniform(-jitter.common_gain, jitter.common_gain)) * rng.normal(1, jitter.band_gain, bands)
        shift = rng.normal(0, jitter.band_offset, bands) + HAZE * rng.uniform(0, jitter.haze) * (
            rng.random() < _HAZE_CHANCE
        )
        return (gain * scale).astype(np.float32), (offset * scale + shift).astype(np.float32)

    def _holes(self, size: int, probability: float = 0.25) -> NDArray[np.bool_]:
        """Random rectangles that the network sees as nodata, a third of them reaching the canvas edge."""
        holes = np.zeros((size, CANVAS, CANVAS), bool)
        for canvas in holes:
            if self._rng.random() < probability:
                height, width = self._rng.integers(4, CANVAS // 2, 2)
                row, col = self._rng.integers(-height // 2, CANVAS - height // 2), self._rng.integers(0, CANVAS)
                canvas[max(row, 0) : row + height, col : col + width] = True
        return holes


def _atmosphere(level: str, strength: float) -> tuple[Floats, Floats]:
    """Gain and offset that bring surface reflectance to the top of the atmosphere (L2A), or back (L1C)."""
    gain, path = TRANSMITTANCE**strength, PATH_REFLECTANCE * strength
    return (gain, path) if level == "L2A" else (1 / gain, -path / gain)


def _turn(array: NDArray[Any], turns: int, flip: bool) -> NDArray[Any]:  # noqa: FBT001 - drawn, not chosen
    turned = np.rot90(array, turns, axes=(-2, -1))
    return turned[..., ::-1] if flip else turned
