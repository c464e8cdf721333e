"""Do bands behave as their names say? The order of the bands in a file, proven by the spectra of its patches.

Files without band names are understood by an order that somebody states, and the usual one is wrong for EuroSAT, whose
files have B8A last. Each rule compares two bands, over ground on which every Sentinel-2 image obeys it:

* B10 lies where the atmosphere lets nothing through, and B09 where water vapour takes most away (Level-1C);
* over vegetation the red edge rises from B04 to B07, B08 and B8A see the same plateau, B11 and B12 fall off;
* haze makes dark ground brighter the shorter the wave: B01 > B02 > B04 over vegetation and clear water (Level-1C);
* water is black beyond the visible.

How often each holds over real patches is measured in `tests/patches/study/test_spectra.py`. The means of B07
and B08 are too alike to be distinguished, and so are those of red and blue at Level-2A.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lulc.bands import sensor
from lulc.patches.image import EUROSAT_MS, PatchImage

Means = Mapping[str, NDArray[Any]]
"""Mean reflectance of each patch, (patches,), by band name in the order of the file."""

_CIRRUS, _LEAST_PATCHES, _MAJORITY = "B10", 3, 0.5
_GREEN, _DARK_WATER, _SPREAD = 0.4, 0.15, 0.5
_BOTH = ("L1C", "L2A")


@dataclass(frozen=True, slots=True)
class Rule:
    """What two bands do over some ground: mean of `brighter` > `factor` x mean of `darker`.

    Attributes:
        ground: `any`, `vegetation` (NDVI above 0.4) or `water` (McFeeters' NDWI above 0, green below 0.15).
        darker: Band.
        brighter: Band.
        factor: How much brighter at least.
        why: Physical reason, for people.
        levels: Product levels at which it holds.
    """

    ground: Literal["any", "vegetation", "water"]
    darker: str
    brighter: str
    factor: float
    why: str
    levels: tuple[str, ...] = _BOTH


RULES = (
    Rule("any", "B09", "B8A", 1.2, "water vapour", ("L1C",)),
    Rule("vegetation", "B04", "B05", 1.0, "red edge"),
    Rule("vegetation", "B05", "B06", 1.2, "red edge"),
    Rule("vegetation", "B06", "B07", 1.05, "red edge"),
    Rule("vegetation", "B07", "B8A", 1.0, "near-infrared plateau"),
    Rule("vegetation", "B08", "B8A", 0.9, "near-infrared plateau"),
    Rule("vegetation", "B8A", "B08", 0.75, "near-infrared plateau"),
    Rule("vegetation", "B8A", "B07", 0.7, "near-infrared plateau"),
    Rule("vegetation", "B12", "B11", 1.15, "liquid water in leaves"),
    Rule("vegetation", "B12", "B8A", 1.0, "liquid water in leaves"),
    Rule("vegetation", "B02", "B03", 1.0, "green peak", ("L2A",)),
    Rule("vegetation", "B02", "B01", 1.0, "path radiance", ("L1C",)),
    Rule("vegetation", "B04", "B02", 1.0, "path radiance", ("L1C",)),
    Rule("water", "B02", "B01", 1.0, "path radiance", ("L1C",)),
    Rule("water", "B04", "B02", 1.0, "path radiance", ("L1C",)),
    Rule("water", "B8A", "B03", 1.0, "water absorbs the infrared"),
    Rule("water", "B11", "B03", 1.2, "water absorbs the infrared"),
)
"""Broken rules are reported in this order."""


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule held.

    Attributes:
        rule: The rule.
        held: Patches that obey it.
        patches: Patches of its ground.
    """

    rule: Rule
    held: int
    patches: int

    @property
    def broken(self) -> bool:
        """True when enough patches could show it and most do not."""
        return self.patches >= _LEAST_PATCHES and self.held < _MAJORITY * self.patches


def patch_means(images: Iterable[PatchImage]) -> dict[str, NDArray[np.float64]]:
    """Mean reflectance of patches by band, over valid pixels: float64 (patches,), bands in the order of the files.

    Patches whose bands differ from those of the first, pictures, and patches without a valid pixel are left out.
    """
    rows, names = [], tuple[str, ...]()
    for image in images:
        names = names or image.names
        if image.is_picture or image.names != names or not image.valid.any():
            continue
        rows.append(image.radiometry.reflectance(image.values[:, image.valid].mean(axis=1, dtype=np.float64)))
    columns = np.array(rows).reshape(len(rows), len(names)).T
    return dict(zip(names, columns, strict=True))


def check_band_order(means: Means, level: str = "") -> tuple[str, ...]:
    """What contradicts the names of bands; empty when nothing does.

    The check abstains where it cannot know: fewer than three patches, or neither vegetation nor water among them.

    Args:
        means: Mean reflectance of many patches of various ground, by band name in the order of the file.
        level: `L1C`, `L2A`, or empty when not known: then only what holds at both is asked, and what B10 shows.

    Returns:
        One sentence each, the most telling first; that one names another order that would fit, where one does.
    """
    found = _problems(means, level)
    if not found:
        return ()
    fitting = _fitting_order(means, level)
    hint = f"; they would fit in the order {' '.join(fitting)}" if fitting else ""
    return (found[0] + hint, *found[1:])


def count_rules(means: Means, level: str = "") -> tuple[RuleCount, ...]:
    """How often each rule that can be asked of these bands and this level holds."""
    named = _finite(means)
    grounds = _grounds(named)
    counts = []
    for rule in RULES:
        if rule.levels != _BOTH and level_of(named, level) not in rule.levels:
            continue
        if {rule.darker, rule.brighter} <= set(named):
            on = grounds[rule.ground]
            held = named[rule.brighter][on] > rule.factor * named[rule.darker][on]
            counts.append(RuleCount(rule, int(held.sum()), int(on.sum())))
    return tuple(counts)


def level_of(names: Iterable[str], level: str) -> str:
    """The level given, or `L1C` when it is not known and B10 is there: no Level-2A product has it."""
    return level or ("L1C" if _CIRRUS in names else "")


def _problems(means: Means, level: str) -> tuple[str, ...]:
    counts = (_broken(count) for count in count_rules(means, level) if count.broken)
    return (*_cirrus(means, level), *counts, *_flat(means))


def _broken(count: RuleCount) -> str:
    rule = count.rule
    over = "" if rule.ground == "any" else f" over {rule.ground}"
    than = "brighter than" if rule.factor >= 1 else f"at least {rule.factor:g} of"
    return (
        f"{rule.brighter} should be {than} {rule.darker}{over} ({rule.why}), "
        f"but is so in {count.held} of {count.patches} patches"
    )


def _cirrus(means: Means, level: str) -> tuple[str, ...]:
    """What B10 says: the darkest band of Level-1C, absent from Level-2A."""
    everything = {band.name for band in sensor().bands}
    if _CIRRUS not in means:
        if level == "L1C" and everything - set(means) == {_CIRRUS}:
            return (f"{_CIRRUS} (cirrus) is missing: Level-1C has it, twelve bands without it are Level-2A",)
        return ()
    if level == "L2A":
        return (f"{_CIRRUS} (cirrus) is named, but Level-2A has no such band",)
    named = _finite(means)
    table = np.array(list(named.values()))
    if table.shape[1] < _LEAST_PATCHES:
        return ()
    darkest = np.bincount(table.argmin(axis=0), minlength=len(table))
    first = list(named)[int(darkest.argmax())]
    if first == _CIRRUS:
        return ()
    return (
        f"{_CIRRUS} (cirrus) should be the darkest band, but {first} is in {darkest.max()} of {table.shape[1]} patches",
    )


def _flat(means: Means) -> tuple[str, ...]:
    """Near infrared differs more between grounds than blue does: this needs neither vegetation nor water by name."""
    named = _finite(means)
    if not {"B02", "B08"} <= set(named) or named["B08"].size < _LEAST_PATCHES:
        return ()
    infrared, blue = float(named["B08"].std()), float(named["B02"].std())
    if infrared >= _SPREAD * blue:
        return ()
    return (f"B08 should vary more than B02 from patch to patch, but the deviations are {infrared:.3f} and {blue:.3f}",)


def _finite(means: Means) -> dict[str, NDArray[Any]]:
    """The patches of which every band is known."""
    known = np.isfinite(np.array(list(means.values()))).all(axis=0)
    return {name: np.asarray(values)[known] for name, values in means.items()}


def _grounds(named: Means) -> dict[str, NDArray[np.bool_]]:
    """Which patches are what: bool (patches,) each. B8A serves where B08 is not there."""
    everywhere = np.ones(len(next(iter(named.values()), ())), bool)
    nowhere = ~everywhere
    infrared = named.get("B08", named.get("B8A"))
    red, green = named.get("B04"), named.get("B03")
    if infrared is None:
        return {"any": everywhere, "vegetation": nowhere, "water": nowhere}
    leaves = nowhere if red is None else infrared - red > _GREEN * (infrared + red)
    water = nowhere if green is None else (green > infrared) & (green < _DARK_WATER)
    return {"any": everywhere, "vegetation": leaves, "water": water}


def _fitting_order(means: Means, level: str) -> Sequence[str] | None:
    """An order met in files in which the same values contradict nothing, or None."""
    names, values = tuple(means), list(means.values())
    stored = [name for name in EUROSAT_MS if name in means]
    natural = [band for band in sensor().bands if band.name in means]
    sharpest_first = sorted(natural, key=lambda band: band.gsd_m)
    swapped = [{"B02": "B04", "B04": "B02"}.get(name, name) for name in names]
    by_band = [[band.name for band in bands] for bands in (natural, sharpest_first)]
    for order in (stored, *by_band, swapped, names[::-1]):
        if tuple(order) != names and not _problems(dict(zip(order, values, strict=True)), level):
            return order
    return None
