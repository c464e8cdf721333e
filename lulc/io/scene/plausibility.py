"""Does a scene look like reflectance? A few small samples tell a missing offset or a wrong scale."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.bands import Radiometry, sensor
from lulc.grid import Window
from lulc.io.scene.raster_header import EO_BROWSER
from lulc.io.scene.source import NamedPixels, Source, canonical_name

_SIDE = 64
_PER_AXIS, _INNER = 4, slice(1, 3)
_VISIBLE = ("B02", "B03", "B04")
_OFFSET_DN, _NEARLY_OFFSET_DN = 1000.0, 975.0
_NEAR_OFFSET_DN = 1400.0
_NOISE_DN = -100.0
_MOST_NEGATIVE = 0.05
_IN_SHADOW, _NOT_HAZE = 1500.0, 2500.0
"""Digital numbers below which the darkest ground lies, and its blue, when the offset of 1000 is still in them."""

_NO_BRIGHTER = 1.15
"""Bright bare ground reflects more red and infrared than blue, by far more than this; water, plants and shadow do not."""

_ENOUGH_PIXELS = 128 * 128
"""Of single chips of 64 x 64 pixels 2 % with the right offset look as if it were wrong."""

_SHORT_WAVE_INFRARED = ("B11", "B12")
_INFRARED = ("B08", "B8A", "B11")
_BRIGHT_PERCENT, _DARK_LAND, _LAND_RATIO = 99, 0.1, 1.5
"""Land reflects more than a tenth of the infrared somewhere, also under a low winter sun."""

_TOO_DARK_DN, _MANY = -300.0, 0.3
_DARKEST, _BRIGHTEST = 0.001, 1.0
_IMPOSSIBLE = (-0.1, 2.0)
"""No surface reflects less or more, not even after a poor atmospheric correction or on a cloud."""

_FEW, _NEARLY_ALL = 0.001, 0.9

_PRODUCT_FILE = re.compile(r"(L\w+_)?T\d\d[A-Z]{3}_\d{8}T\d{6}_B\d[\dA](_\d\dm)?\.jp2", re.IGNORECASE)
"""Names of band files since December 2016."""

CATALOGUE = "STAC: "
"""How the source of a radiometry begins that a catalogue states; its pixels are checked against it."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """What samples of a scene say against it.

    Attributes:
        fatal: Problem and remedy when pixels without data, which nothing marks as such, pass for reflectance, or when
            pixels strongly contradict the offset.
        warnings: A sentence each.
    """

    fatal: tuple[str, str] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def refusal(self) -> tuple[str, ...]:
        """The fatal problem and its remedy as one sentence, if there is one."""
        return ("; ".join(self.fatal),) if self.fatal else ()


def doubts_of(scene: NamedPixels) -> Doubts:
    """Look at a few small samples of the visible bands, or of the first bands where these are missing.

    Of the other bands fewer are looked at, and only for numbers that cannot be reflectance.
    """
    spectral = [name for name in scene.names if sensor().has((name,))]
    names = [name for name in _VISIBLE if name in scene.names]
    first = names or spectral[: len(_VISIBLE)]
    samples = _samples(scene, first) if first else np.empty((0, 0))
    if not samples.size:
        return Doubts()
    radiometry, more = scene.radiometry, [name for name in spectral if name not in first]
    others = _samples(scene, more, _INNER) if more else np.empty((0, 0))
    if fatal := _unmarked(samples, radiometry) or _unmarked(others, radiometry) or _too_bright(samples, radiometry):
        return Doubts(fatal)
    if len(names) == len(_VISIBLE) and (fatal := _contradicted_offset(scene, samples)):
        return Doubts(fatal)
    visible = _implausible(samples, names, radiometry) if names else ()
    of_first, of_others = dict(zip(first, samples, strict=True)), dict(zip(more, others, strict=False))
    impossible = _impossible(of_others if visible else of_first | of_others, radiometry)
    dark = () if visible or impossible else _too_dark(of_first | of_others, radiometry)
    return Doubts(None, (*_assumed(radiometry), *visible, *impossible, *dark))


def _assumed(radiometry: Radiometry) -> tuple[str, ...]:
    """A warning where the scale follows from the name of a file."""
    if radiometry.source != EO_BROWSER:
        return ()
    return (f"taken as reflectance x {radiometry.quantification:g}, by the {EO_BROWSER}: else give --quantification",)


def _unmarked(samples: NDArray[np.float64], radiometry: Radiometry) -> tuple[str, str] | None:
    """Problem and remedy when one number makes nearly all impossibly dark samples: -9999, -10000, -32768."""
    low = samples[radiometry.reflectance(samples) < _IMPOSSIBLE[0]]
    if not low.size or low.size <= _FEW * samples.size:
        return None
    values, counts = np.unique(low, return_counts=True)
    most = int(counts.argmax())
    if counts[most] < _NEARLY_ALL * low.size:
        return None
    share, reflectance = counts[most] / samples.size, float(radiometry.reflectance(values[most]))
    return (
        f"{share:.1%} of the samples hold {values[most]:g}, a reflectance of {reflectance:.2f}: it must mean no data",
        f"declare it, such as with gdal_edit.py -a_nodata {values[most]:g}, or as _FillValue",
    )


def _too_bright(samples: NDArray[np.float64], radiometry: Radiometry) -> tuple[str, str] | None:
    """Problem and remedy when most samples are brighter than anything, by a scale that the user has not given."""
    median = float(np.median(radiometry.reflectance(samples)))
    if median <= _IMPOSSIBLE[1] or radiometry.source == "option":
        return None
    scale = f"quantification {radiometry.quantification:g} ({radiometry.source})"
    return f"the median reflectance is {median:.3g} by {scale}", "give --quantification, such as 10000"


def _impossible(samples: Mapping[str, NDArray[np.float64]], radiometry: Radiometry) -> tuple[str, ...]:
    """A warning where more than a few samples of a band cannot be reflectance."""
    lowest, highest = _IMPOSSIBLE
    shares = {}
    for name, values in samples.items():
        reflectance = radiometry.reflectance(values)
        shares[name] = float(((reflectance < lowest) | (reflectance > highest)).mean()) if values.size else 0.0
    names = [name for name, share in shares.items() if share > _FEW]
    if not names:
        return ()
    said = f"offset {radiometry.offset:g} and quantification {radiometry.quantification:g} ({radiometry.source})"
    which = f"{'up to ' * (len(names) > 1)}{max(shares.values()):.1%} of the samples of {', '.join(names)}"
    return (f"{which} have a reflectance below {lowest:g} or above {highest:g}: check {said}, and what means no data",)


def _too_dark(samples: Mapping[str, NDArray[np.float64]], radiometry: Radiometry) -> tuple[str, ...]:
    """A warning where everything is as dark as water, and yet brighter in the infrared than in the visible, as only land is."""
    infrared, visible = ([samples[name] for name in names if name in samples] for names in (_INFRARED, _VISIBLE))
    if radiometry.source == "option" or not (infrared and visible and all(values.size for values in samples.values())):
        return ()
    brightest = max(
        float(np.percentile(radiometry.reflectance(values), _BRIGHT_PERCENT)) for values in samples.values()
    )
    longer, shorter = (
        np.median([np.median(radiometry.reflectance(band)) for band in bands]) for bands in (infrared, visible)
    )
    if brightest > _DARK_LAND or longer < _LAND_RATIO * max(shorter, _DARKEST):
        return ()
    scale = f"quantification {radiometry.quantification:g} ({radiometry.source})"
    return (
        f"no land is as dark as {brightest:.2g} at its brightest: check {scale}; give --quantification, such as 1000",
    )


def _implausible(samples: NDArray[np.float64], names: Sequence[str], radiometry: Radiometry) -> tuple[str, ...]:
    """Warnings about visible samples that may be reflectance, a sentence each."""
    doubts = _doubted_offset(samples, radiometry) if len(names) == len(_VISIBLE) else []
    median = float(np.median(radiometry.reflectance(samples)))
    if not _DARKEST <= median <= _BRIGHTEST and not doubts:
        return (
            f"the median visible reflectance is {median:.3g}: check --quantification (now {radiometry.quantification:g})",
        )
    return tuple(doubts)


def without_metadata(sources: Sequence[Source], radiometry: Radiometry) -> tuple[str, ...]:
    """A warning about band files that were taken out of a product: dark pixels may hide a missing offset."""
    lone = [source for source in sources if _PRODUCT_FILE.fullmatch(source.origin.path.name)]
    if radiometry.source != "default" or not lone:
        return ()
    return ("band files without their product's metadata: from processing baseline 04.00 on, --offset -1000 is needed",)


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


def _settled(radiometry: Radiometry) -> bool:
    """True where the offset needs no look at pixels: the product's metadata or the user state it."""
    return radiometry.quantification != sensor().quantification or radiometry.source in {"metadata", "option"}


def _contradicted_offset(scene: NamedPixels, samples: NDArray[np.float64]) -> tuple[str, str] | None:
    """Problem and remedy when the offset of the visible samples is all but surely wrong.

    In 66 places of six continents, deserts and ice among them, no scene with the right offset is refused. Of the same
    scenes with 1000 too much, 50 are; the others, most of them deserts, get a warning (`_doubted_offset`).
    """
    radiometry = scene.radiometry
    if _settled(radiometry) or scene.grid.shape.size < _ENOUGH_PIXELS:
        return None
    used = f"offset {radiometry.offset:g} was used ({radiometry.source})"
    if radiometry.offset == 0 and _offset_is_left(scene, samples):
        problem = f"{used}, yet no pixel is darker than DN {_OFFSET_DN:g} and the dark ones look like water or plants"
        return problem, "the offset of processing baseline 04.00 is left in: give --offset -1000, or --offset 0 if not"
    share = float((samples + radiometry.offset < _TOO_DARK_DN).any(axis=0).mean())
    if radiometry.offset < 0 and share > _MANY:
        problem = f"{used}, yet {share:.0%} of the pixels become negative"
        return problem, f"if it was applied already, give --offset 0; else --offset {radiometry.offset:g}"
    return None


def _offset_is_left(scene: NamedPixels, samples: NDArray[np.float64]) -> bool:
    """True when the darkest ground lies just above the offset, and is as dark in red or infrared as in blue."""
    blue, green, red = np.percentile(samples, 1, axis=1)
    infrared = [name for name in _SHORT_WAVE_INFRARED if name in scene.names]
    if min(blue, green, red) < _NEARLY_OFFSET_DN or blue > _NOT_HAZE or not infrared:
        return False
    longer = min(red, np.percentile(_samples(scene, infrared), 1, axis=1).min())
    return bool(
        longer >= _NEARLY_OFFSET_DN and min(blue, green, longer) <= _IN_SHADOW and longer <= _NO_BRIGHTER * blue
    )


def _doubted_offset(samples: NDArray[np.float64], radiometry: Radiometry) -> list[str]:
    """What the visible pixels say against the offset that is used.

    Land without one dark pixel sits at DN 1000 and above where the offset of processing baseline 04.00 is still in the
    digital numbers; reflectance well under 0 in many pixels shows that it was taken away twice.
    """
    if _settled(radiometry):
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


def _samples(scene: NamedPixels, names: list[str], which: slice = slice(None)) -> NDArray[np.float64]:
    """Valid digital numbers (bands, pixels) of windows spread over the scene, or of some of these along each axis."""
    height, width = scene.grid.shape.height, scene.grid.shape.width
    parts = []
    for row in np.linspace(0, max(0, height - _SIDE), _PER_AXIS, dtype=int)[which]:
        for col in np.linspace(0, max(0, width - _SIDE), _PER_AXIS, dtype=int)[which]:
            window = Window(int(row), int(col), min(_SIDE, height), min(_SIDE, width))
            raw, valid = scene.read(names, window)
            parts.append(raw[:, valid])
    return np.concatenate(parts, axis=1).astype(np.float64)
