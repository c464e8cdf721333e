"""Does a scene look like reflectance? A few small samples tell a missing offset or a wrong scale."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lulc.bands import sensor
from lulc.grid import Window

if TYPE_CHECKING:
    from lulc.io.scene import Scene

_SIDE = 64
_PER_AXIS = 4
_VISIBLE = ("B02", "B03", "B04")
_OFFSET_DN = 1000.0
_DARKEST, _BRIGHTEST = 0.001, 1.0


def implausible(scene: "Scene") -> tuple[str, ...]:
    """Warnings, a sentence each."""
    names = [name for name in _VISIBLE if name in scene.names]
    if not names:
        return ()
    samples = _samples(scene, names)
    if not samples.size:
        return ()
    found = []
    median = float(np.median(scene.radiometry.reflectance(samples)))
    if not _DARKEST <= median <= _BRIGHTEST:
        found.append(
            f"the median visible reflectance is {median:.3g}: check --quantification (now {scene.radiometry.quantification:g})"
        )
    unstated = scene.radiometry.source not in {"metadata", "option"}
    shifted = unstated and scene.radiometry.quantification == sensor().quantification
    if shifted and len(names) == len(_VISIBLE) and np.percentile(samples, 1, axis=1).min() >= _OFFSET_DN:
        found.append(
            "no visible pixel is darker than DN 1000: from processing baseline 04.00 on, --offset -1000 is needed"
        )
    return tuple(found)


def _samples(scene: "Scene", names: list[str]) -> NDArray[np.float64]:
    """Valid digital numbers (bands, pixels) of windows spread over the scene."""
    height, width = scene.grid.shape.height, scene.grid.shape.width
    parts = []
    for row in np.linspace(0, max(0, height - _SIDE), _PER_AXIS, dtype=int):
        for col in np.linspace(0, max(0, width - _SIDE), _PER_AXIS, dtype=int):
            window = Window(int(row), int(col), min(_SIDE, height), min(_SIDE, width))
            raw, valid = scene.read(names, window)
            parts.append(raw[:, valid])
    return np.concatenate(parts, axis=1).astype(np.float64)
