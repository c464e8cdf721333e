"""Names and units of a product's bands: class, activations, and extra bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lulc.io.cog.geotags import BandInfo
from lulc.legend import Legend
from lulc.options import Stored

ACTIVATION_SCALE = 0.004
"""Value of one step of an activation stored as uint8: 250 steps make 1."""


@dataclass(frozen=True, slots=True)
class ExtraBand:
    """A band behind the activations, valid wherever the class band is.

    Attributes:
        name: Description of the band in the file.
        kind: `share` is a fraction 0..1, stored as activations are and averaged in overviews. `code` is a whole number
            0..254; an overview pixel takes the most frequent one.
        unit: Unit of the values.
        names: Codes and their meanings, for the file's attribute table; may be empty.
    """

    name: str
    kind: Literal["share", "code"]
    unit: str
    names: tuple[tuple[int, str], ...] = ()


SKY = ("clear", "cloud", "shadow")
"""What a cloud head tells apart, in the order of its outputs."""

CLEAR = SKY.index("clear")
"""Its position."""

CLOUDS = ExtraBand("clouds", "code", "sky", tuple(enumerate(SKY)))
"""Extra band of a map whose clouds and shadows are flagged: positions in `SKY`."""


TRUST_TAG = "LULC_TRUST"
"""Tag of a map with bands that say how far it can be trusted: their names."""

SETS_TAG = "LULC_SETS"
"""Tag of a map with prediction sets: their coverage."""

CONFIDENCE = ExtraBand("confidence", "share", "probability")
"""Extra band: the activation of the class given."""

MARGIN = ExtraBand("margin", "share", "probability")
"""Extra band: the largest activation less the second."""

FAMILIARITY = ExtraBand("familiarity", "share", "fraction of training")
"""Extra band: the fraction of held-out training pixels that are less like the training than this one."""

UNFAMILIAR = 0.05
"""A familiarity below this flags a pixel: one in twenty held-out training pixels lies below."""

SET_SIZE = ExtraBand("set size", "code", "number of classes")
"""Extra band: how many classes are in the prediction set of a pixel."""

SET_BITS = 7
"""Classes in a band of sets: an eighth bit would make 255, which is nodata."""


def set_bands(classes: int) -> tuple[ExtraBand, ...]:
    """Extra bands of prediction sets of K classes: `set size`, then bits. Bit b of band `set 8-14` is the class 8 + b."""
    ranges = [(first, min(first + SET_BITS - 1, classes)) for first in range(1, classes + 1, SET_BITS)]
    return (SET_SIZE, *(ExtraBand(f"set {first}-{last}", "code", "bits of classes") for first, last in ranges))


def band_infos(legend: Legend, activations: Stored, extra: Sequence[ExtraBand] = ()) -> list[BandInfo]:
    """Description, scale, offset and unit of each band of a product: class, activations, extra bands.

    Args:
        legend: Classes of the product.
        activations: `uint8`, `float32` or `none`.
        extra: Bands behind the activations.
    """
    scale = 1.0 if activations == "float32" else ACTIVATION_SCALE
    probabilities = (
        [] if activations == "none" else [BandInfo(entry.name, scale, 0.0, "probability") for entry in legend]
    )
    others = [BandInfo(band.name, scale if band.kind == "share" else 1.0, 0.0, band.unit) for band in extra]
    return [BandInfo("class", unit="class code"), *probabilities, *others]
