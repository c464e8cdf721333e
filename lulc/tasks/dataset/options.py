"""Options of `lulc prepare`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lulc.errors import InputError
from lulc.indices import INDICES, spectral_index
from lulc.legend import Legend, load_legend
from lulc.options import Bands, ChipFormat, Offset, Option, Options, Overwrite, Quantification


class PrepareOptions(Options):
    """Options of `lulc prepare`."""

    legend: Annotated[str, Option(metavar="NAME|PATH")]
    """Legend of the labels, such as corine-3 or worldcover, or a TOML file."""

    to: Annotated[str | None, Option(metavar="NAME|PATH", unset="that of the labels")] = None
    """Legend of the training set."""

    crosswalk: Annotated[str | None, Option(metavar="PATH", unset="the shipped one")] = None
    """Crosswalk between the two legends."""

    label_kind: Literal["auto", "codes", "colors", "shares"] = "auto"
    """How labels are coded: class codes, colours (RGB masks), or one band of fractions per class (soft labels)."""

    attribute: Annotated[str | None, Option(metavar="COLUMN")] = None
    """Column of vector labels that holds the class."""

    layer: Annotated[str | None, Option(metavar="NAME")] = None
    """Layer of vector labels."""

    tolerance: int | None = Field(default=None, ge=0, le=255)
    """Largest difference per channel between a mask's colour and its class (JPEG smears colours)."""

    select: Annotated[tuple[str, ...] | None, Option(metavar="B02,B03,...", unset="all of the first scene")] = None
    """Bands of the chips."""

    indices: Annotated[tuple[str, ...], Option(metavar="NDVI,...")] = ()
    """Spectral indices of the chips."""

    bands: Bands = None
    offset: Offset = None
    quantification: Quantification = None
    level: Literal["", "L1C", "L2A"] = ""
    """Product level of the scenes, when they do not say."""

    chip: int = Field(default=256, ge=16, le=4096)
    """Side of a chip, pixels."""

    block: float = Field(default=5120.0, ge=1, le=1e7)
    """Side of a block of ground that goes to one split as a whole, metres (pixels without georeference)."""

    gap: float = Field(default=320.0, ge=0, le=1e7)
    """Least distance between labels of different splits, the same unit; nearer labels are masked, with 0 only ground that two scenes share."""

    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Fractions of the labelled pixels in training, validation and test; they sum to 1."""

    min_labelled: float = Field(default=0.1, ge=0, le=1)
    """Least labelled fraction of a chip."""

    max_nodata: float = Field(default=0.5, ge=0, le=1)
    """Largest fraction of a chip without data."""

    files: Annotated[ChipFormat, Option(flag="--format")] = "tif"
    """Format of the chips."""

    seed: int = Field(default=0, ge=0)
    """Seed of the split."""

    overwrite: Overwrite = False

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
        """Legend of the set."""
        return load_legend(self.to or self.legend)

    def bands_of(self, available: tuple[str, ...], scene: str) -> tuple[str, ...]:
        """Bands to take from a scene.

        Raises:
            InputError: It lacks one.
        """
        wanted = self.select or tuple(name for name in available if name not in INDICES)
        missing = [name for name in wanted if name not in available]
        if missing or not wanted:
            raise InputError(
                f"{scene} has no {', '.join(missing) or 'bands'} (it has {', '.join(available)})",
                "choose with --select",
            )
        return wanted
