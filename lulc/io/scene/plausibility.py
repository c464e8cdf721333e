"""Does a scene look like reflectance? A few small samples tell a missing offset or a wrong scale."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lulc.bands import Radiometry, sensor
from lulc.grid import Window
from lulc.io.scene.source import NamedPixels, Source, canonical_name

_SIDE = 64
_PER_AXIS = 4
_VISIBLE = ("B02", "B03", "B04")
_OFFSET_DN = 1000.0
_NEAR_OFFSET_DN = 1400.0
_NOISE_DN = -100.0
_MOST_NEGATIVE = 0.05
_DARKEST, _BRIGHTEST = 0.001, 1.0

CATALOGUE = "STAC: "
"""How the source of a radiometry begins that a catalogue states; its pixels are checked against it."""


def implausible(scene: NamedPixels) -> tuple[str, ...]:
    """Warnings, a sentence each."""
    names = [name for name in _VISIBLE if name in scene.names]
    if not names:
        return ()
    samples = _samples(scene, names)
    if not samples.size:
        return ()
    doubts = _doubted_offset(samples, scene.radiometry) if len(names) == len(_VISIBLE) else []
    median = float(np.median(scene.radiometry.reflectance(samples)))
    if not _DARKEST <= median <= _BRIGHTEST and not doubts:
        return (
            f"the median visible reflectance is {median:.3g}: check --quantification (now {scene.radiometry.quantification:g})",
        )
    return tuple(doubts)


def renamed(sources: Sequence[Source], bands: Sequence[str] | None) -> tuple[str, ...]:
    """A warning where the user calls bands otherwise than the files do; either may be wrong.

    Args:
        sources: The input.
        bands: What the user calls all of its bands, in order; None when nothing was said.
    """
    labels = [label for source in sources for label in source.labels]
    known = [
        (canonical_name(label, sensor()), canonical_name(given, sensor()))
        for label, given in zip(labels, bands or (), strict=False)
    ]
    others = [(label, given) for label, given in known if label and given and label != given]
    if not others:
        return ()
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    return (f"the file's {others[0][0]} is taken as {others[0][1]}{more}, because you named the bands so",)


def _doubted_offset(samples: NDArray[np.float64], radiometry: Radiometry) -> list[str]:
    """What the visible pixels say against the offset that is used.

    Land without one dark pixel sits at DN 1000 and above where the offset of processing baseline 04.00 is still in the
    digital numbers; reflectance well under 0 in many pixels shows that it was taken away twice.
    """
    if radiometry.quantification != sensor().quantification or radiometry.source in {"metadata", "option"}:
        return []
    darkest = np.percentile(samples, 1, axis=1).min()
    catalogue = radiometry.source.startswith(CATALOGUE)
    if radiometry.offset == 0 and not catalogue and darkest >= _OFFSET_DN:
        return ["no visible pixel is darker than DN 1000: from processing baseline 04.00 on, --offset -1000 is needed"]
    if radiometry.offset == 0 and _OFFSET_DN <= darkest < _NEAR_OFFSET_DN:
        finding = f"offset 0 was used ({radiometry.source}), yet the darkest visible pixels sit at DN {darkest:.0f}"
        return [f"{finding}: if the offset is still in the pixels, give --offset -1000"]
    negative = float((samples + radiometry.offset < _NOISE_DN).any(axis=0).mean())
    if radiometry.offset < 0 and negative > _MOST_NEGATIVE:
        finding = f"offset {radiometry.offset:g} was used ({radiometry.source}), yet {negative:.0%} of the pixels become negative"
        return [f"{finding}: if it was applied already, give --offset 0"]
    return []


def _samples(scene: NamedPixels, names: list[str]) -> NDArray[np.float64]:
    """Valid digital numbers (bands, pixels) of windows spread over the scene."""
    height, width = scene.grid.shape.height, scene.grid.shape.width
    parts = []
    for row in np.linspace(0, max(0, height - _SIDE), _PER_AXIS, dtype=int):
        for col in np.linspace(0, max(0, width - _SIDE), _PER_AXIS, dtype=int):
            window = Window(int(row), int(col), min(_SIDE, height), min(_SIDE, width))
            raw, valid = scene.read(names, window)
            parts.append(raw[:, valid])
    return np.concatenate(parts, axis=1).astype(np.float64)
