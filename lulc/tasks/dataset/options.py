"""Options of `lulc prepare`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lulc.config import Table
from lulc.errors import InputError
from lulc.indices import INDICES, spectral_index
from lulc.io.labels.chip_files import ChipFormat
from lulc.legend import Legend, load_legend


class PrepareOptions(Table):
    """Options of `lulc prepare`.

    Attributes:
        legend: Legend of the labels, by name or path.
        to: Legend of the set; None keeps the legend of the labels.
        crosswalk: TOML file of a crosswalk between the two; None takes the shipped one.
        label_kind: Coding of the labels; `auto` finds it out.
        attribute: Column of vector labels that holds the class.
        layer: Layer of vector labels.
        tolerance: Largest difference per channel, 0..255, between a colour and its class; None takes the decoder's own.
        select: Bands of the chips; None takes all named bands of the first scene.
        indices: Spectral indices of the chips.
        bands: Names of the scenes' bands in order, when the files do not state them.
        offset: Added to digital numbers; None reads it from metadata.
        quantification: Digital numbers per unit reflectance; None reads it from metadata.
        level: Product level of the scenes; empty reads it from metadata.
        chip: Side of a chip, pixels.
        block: Side of a block that goes to one split, metres (pixels without georeference).
        gap: Least distance between chips of different splits, in the same unit.
        fractions: Fraction of the labelled pixels in training, validation and test; they sum to 1.
        min_labelled: Least labelled fraction of a chip, 0..1.
        max_nodata: Largest fraction of a chip without data, 0..1.
        files: Format of the chips.
        seed: Seed of the split.
        overwrite: Replace an existing set.
    """

    legend: str
    to: str | None = None
    crosswalk: str | None = None
    label_kind: Literal["auto", "codes", "colors", "shares"] = "auto"
    attribute: str | None = None
    layer: str | None = None
    tolerance: int | None = Field(default=None, ge=0, le=255)
    select: tuple[str, ...] | None = None
    indices: tuple[str, ...] = ()
    bands: tuple[str, ...] | None = None
    offset: float | None = None
    quantification: float | None = Field(default=None, gt=0)
    level: Literal["", "L1C", "L2A"] = ""
    chip: int = Field(default=256, ge=16, le=4096)
    block: float = Field(default=5120.0, ge=1, le=1e7)
    gap: float = Field(default=320.0, ge=0, le=1e7)
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    min_labelled: float = Field(default=0.1, ge=0, le=1)
    max_nodata: float = Field(default=0.5, ge=0, le=1)
    files: ChipFormat = "tif"
    seed: int = Field(default=0, ge=0)
    overwrite: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        whole = abs(sum(self.fractions) - 1) < 1e-6  # noqa: PLR2004 - rounding; False for NaN
        if not whole or min(self.fractions) < 0 or not self.fractions[0]:
            raise ValueError("fractions of train, val and test must be positive and sum to 1, such as 0.7,0.15,0.15")
        for name in self.indices:
            spectral_index(name)
        return self

    @property
    def target(self) -> Legend:
        """Legend of the set.

        Raises:
            ConfigError: There is no such legend.
        """
        return load_legend(self.to or self.legend)

    def bands_of(self, available: tuple[str, ...], scene: str) -> tuple[str, ...]:
        """Bands to take from a scene.

        Args:
            available: Names of the bands and indices of the scene.
            scene: Name of the scene in messages.

        Raises:
            InputError: The scene lacks one, or has no bands.
        """
        wanted = self.select or tuple(name for name in available if name not in INDICES)
        missing = [name for name in wanted if name not in available]
        if missing or not wanted:
            raise InputError(
                f"{scene} has no {', '.join(missing) or 'bands'} (it has {', '.join(available)})",
                "choose with --select",
            )
        return wanted
