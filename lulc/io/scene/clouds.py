"""Clouds: which pixels of a scene do not show the ground, by SCL or QA60, and a scene without them.

SCL classes: Sentinel-2 Level-2A Algorithm Theoretical Basis Document, S2-PDGS-MPC-ATBD-L2A. Bits of QA60: 10 opaque clouds,
11 cirrus (Sentinel-2 Products Specification Document).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lulc.errors import UsageError, did_you_mean
from lulc.grid import Grid, Window
from lulc.io.scene.quality import QualityBand
from lulc.io.scene.scene import Scene, SceneInfo
from lulc.io.scene.source import Raster

SCL_CLASSES = (
    "nodata",
    "saturated",
    "dark",
    "shadow",
    "vegetation",
    "bare",
    "water",
    "unclassified",
    "cloud-medium",
    "cloud-high",
    "cirrus",
    "snow",
)
"""Names of the SCL codes 0, 1, 2, ..."""

DEFAULT_CLASSES = (1, 3, 8, 9, 10)
"""Saturated or defective, cloud shadow, clouds of medium and high probability, thin cirrus. Dark areas (2) are mostly
mountain shadow and water, unclassified (7) mostly bright soil, and snow (11) is ground."""

NETWORK = "network"
"""What a scene is masked by whose clouds the network that classifies it tells, after it was read."""

_QA60_BITS = (1 << 10) | (1 << 11)


class Clouds(Protocol):
    """Says where a scene shows clouds."""

    def read(self, window: Window) -> NDArray[np.bool_]:
        """True where there is a cloud or its shadow: bool (height, width) of a window inside the scene."""


def scl_codes(names: Sequence[str]) -> tuple[int, ...]:
    """SCL codes from names or numbers, such as `cirrus` or `10`.

    Raises:
        UsageError: One is no SCL class, or there is none.
    """
    if not any(name.strip() for name in names):
        raise UsageError("--cloud-classes names no class", "name some, such as shadow,cirrus, or leave the option out")
    codes = []
    for name in names:
        plain = name.strip().lower().replace("_", "-").replace(" ", "-")
        code = SCL_CLASSES.index(plain) if plain in SCL_CLASSES else -1
        if plain.isascii() and plain.isdigit():
            code = int(plain[:3])
        if not 0 <= code < len(SCL_CLASSES):
            raise UsageError(f"{name!r} is no SCL class", f"{did_you_mean(plain, SCL_CLASSES)} (or 0 to 11)")
        codes.append(code)
    return tuple(dict.fromkeys(codes))


@dataclass(frozen=True)
class SclClouds:
    """Pixels of chosen classes of the scene classification."""

    band: QualityBand
    codes: tuple[int, ...] = DEFAULT_CLASSES

    def read(self, window: Window) -> NDArray[np.bool_]:
        """True where the class is one of them."""
        return np.isin(self.band.read(window), self.codes)


@dataclass(frozen=True)
class Qa60Clouds:
    """Pixels with a cloud bit in QA60."""

    band: QualityBand

    def read(self, window: Window) -> NDArray[np.bool_]:
        """True where one of the two bits is set."""
        clouded: NDArray[np.bool_] = (self.band.read(window) & _QA60_BITS) != 0
        return clouded


@dataclass(frozen=True)
class Dilated:
    """Clouds grown by a disc: every pixel at most `radius` pixels from a cloud counts as one."""

    clouds: Clouds
    radius: int
    grid: Grid

    def read(self, window: Window) -> NDArray[np.bool_]:
        """The grown clouds; what lies around the window is read too, so that they do not depend on its cut."""
        wide = window.grown(self.radius).intersection(self.grid.window)
        return dilate(self.clouds.read(wide), self.radius)[window.slices(wide)]


def dilate(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Dilation with the disc of all pixels whose centres are at most `radius` pixels away.

    Args:
        mask: (height, width).
        radius: Pixels, 0 or more.
    """
    if not mask.any():
        return mask
    grown = np.zeros_like(mask)
    height = mask.shape[0]
    for half in dict.fromkeys(int(np.sqrt(radius**2 - down**2)) for down in range(radius + 1)):
        wide = _along_rows(mask, half)
        for down in (down for down in range(radius + 1) if int(np.sqrt(radius**2 - down**2)) == half):
            if down < height:
                grown[down:] |= wide[: height - down]
                grown[: height - down] |= wide[down:]
    return grown


def _along_rows(mask: NDArray[np.bool_], half: int) -> NDArray[np.bool_]:
    """True where a pixel of the same row at most `half` columns away is."""
    width = mask.shape[1]
    before = np.zeros((mask.shape[0], width + 1), np.int32)
    np.cumsum(mask, axis=1, out=before[:, 1:])
    cols = np.arange(width)
    return before[:, np.minimum(cols + half + 1, width)] > before[:, np.maximum(cols - half, 0)]


@dataclass(frozen=True)
class ClearScene:
    """A scene seen through its cloud mask: what is clouded has no data.

    Attributes:
        scene: The scene.
        clouds: Where it shows clouds; None masks nothing.
        masked_by: Such as `SCL 1,3,8,9,10` or `QA60`; `NETWORK`, or `none`.
        warnings: What is known to be wrong with the mask.
    """

    scene: Scene
    clouds: Clouds | None = None
    masked_by: str = "none"
    warnings: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """Grid of the scene."""
        return self.scene.grid

    @property
    def info(self) -> SceneInfo:
        """What the scene says of itself."""
        return self.scene.info

    @property
    def by_network(self) -> bool:
        """True where the network that classifies the scene tells its clouds."""
        return self.masked_by == NETWORK

    def read(self, names: Sequence[str], window: Window) -> Raster:
        """Raw values and valid mask, as `Scene.read`; clouded pixels are not valid."""
        data, valid = self.scene.read(names, window)
        return Raster(data, valid if self.clouds is None else valid & ~self.clouds.read(window))

    def reflectance(self, names: Sequence[str], window: Window) -> NDArray[np.float32]:
        """Reflectance of bands and values of indices, float32 (len(names), height, width), NaN where invalid or clouded."""
        planes = self.scene.reflectance(names, window)
        if self.clouds is not None:
            planes[:, self.clouds.read(window)] = np.nan
        return planes

    def tags(self, end: str = "") -> dict[str, str]:
        """Provenance tags, `LULC_...`, of one of the scenes that an output is made of.

        Args:
            end: End of their names, which tells scenes apart, such as `_2`.
        """
        radiometry = self.scene.radiometry
        return {
            f"LULC_INPUT{end}": self.info.name,
            f"LULC_INPUT_SHA256{end}": self.scene.fingerprint(times=False),
            f"LULC_CLOUDS{end}": "" if self.masked_by == "none" else self.masked_by,
            f"LULC_OFFSET{end}": f"{radiometry.offset:g} ({radiometry.source})",
            f"LULC_QUANTIFICATION{end}": f"{radiometry.quantification:g} ({radiometry.source})",
        }
