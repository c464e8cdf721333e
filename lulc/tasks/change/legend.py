"""The legend of a change map: one class for every pair of classes, before and after.

Code (i - 1) K + j stands for class i before and j after. A class that stays keeps its name in a pale, greyish shade of
its colour; a change is called `trees to built` and has the colour of what came, the darker the later the class that
went stands in the legend. So changes stand out, and neighbours with one target and different sources differ.
"""

from colorsys import hls_to_rgb, rgb_to_hls

import numpy as np
from numpy.typing import NDArray

from lulc.errors import UsageError
from lulc.legend import LandClass, Legend

MOST_CLASSES = 15
"""K x K codes must be below 250."""

_PALE, _GREY = 0.78, 0.45
_BRIGHTEST, _DARKEST = 0.55, 0.25
_LEAST_SATURATION = 0.55
_FULL = 255


def transition_legend(classes: Legend) -> Legend:
    """Legend of the transitions between the classes of a legend.

    Raises:
        UsageError: It has one class, or more than 15.
    """
    count = len(classes)
    if not 1 < count <= MOST_CLASSES:
        raise UsageError(
            f"legend {classes.name} has {count} class{'es' if count != 1 else ''}; a change map holds transitions between 2 and {MOST_CLASSES}",
            "bring both maps to a coarser legend, such as --to corine-1"
            if count > MOST_CLASSES
            else "compare in a legend of two classes or more",
        )
    entries = tuple(
        LandClass(transition_code(before.code, after.code, count), _name(before, after), _color(before, after, count))
        for before in classes
        for after in classes
    )
    return Legend(f"{classes.name}-transitions", f"Transitions between classes of {classes.title}", entries)


def transition_code(before: int, after: int, classes: int) -> int:
    """Code of a transition from the codes of its classes, from 1."""
    return (before - 1) * classes + after


def classes_of(codes: NDArray[np.uint8], classes: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Class before and class after, uint8 codes from 1, of valid transition codes of any shape."""
    before, after = np.divmod(codes - np.uint8(1), np.uint8(classes))
    return before + np.uint8(1), after + np.uint8(1)


def _name(before: LandClass, after: LandClass) -> str:
    return before.name if before.code == after.code else f"{before.name} to {after.name}"


def _color(before: LandClass, after: LandClass, count: int) -> str:
    """Hues of the classes; lightness and saturation say whether something changed."""
    hue, lightness, saturation = rgb_to_hls(*(part / _FULL for part in after.rgb))
    if before.code == after.code:
        lightness, saturation = _PALE + (1 - _PALE) * 0.5 * lightness, saturation * _GREY
    else:
        step = (before.code - 1) / max(count - 1, 1)
        lightness = _BRIGHTEST + (_DARKEST - _BRIGHTEST) * step
        saturation = max(saturation, _LEAST_SATURATION)
    red, green, blue = (round(_FULL * part) for part in hls_to_rgb(hue, lightness, saturation))
    return f"#{red:02x}{green:02x}{blue:02x}"
