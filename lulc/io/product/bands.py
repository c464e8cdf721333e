"""What the bands of a product are called and mean: class, activations, and what else is known of a pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lulc.io.cog.geotags import BandInfo
from lulc.legend import Legend

Activations = Literal["uint8", "float32", "none"]

ACTIVATION_SCALE = 0.004
"""Value of one step of a share stored as uint8: 250 steps make 1."""


@dataclass(frozen=True, slots=True)
class ExtraBand:
    """A band behind the activations, with a value wherever the class band has one.

    Attributes:
        name: Its description in the file.
        kind: `share`: 0..1, stored as activations are, averaged in overviews. `code`: whole numbers, 0..254; an overview
            pixel takes the most frequent one.
        unit: What its numbers are.
        names: What codes stand for, for the file's attribute table; may be empty.
    """

    name: str
    kind: Literal["share", "code"]
    unit: str
    names: tuple[tuple[int, str], ...] = ()


def band_infos(legend: Legend, activations: Activations, extra: Sequence[ExtraBand] = ()) -> list[BandInfo]:
    """Description, scale, offset and unit of each band of a product."""
    scale = 1.0 if activations == "float32" else ACTIVATION_SCALE
    shares = [] if activations == "none" else [BandInfo(entry.name, scale, 0.0, "probability") for entry in legend]
    others = [BandInfo(band.name, scale if band.kind == "share" else 1.0, 0.0, band.unit) for band in extra]
    return [BandInfo("class", unit="class code"), *shares, *others]
