"""Options of `lulc clean`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lulc.options import CreationOptions, Option, Options, Overwrite, Resume
from lulc.tasks.clean.smooth import Smoothing
from lulc.tasks.clean.unit import MinimumUnit

Rule = Literal["activation", "majority"]


class CleanOptions(Options):
    """Options of `lulc clean`; at least one of --to, --merge, --smooth and --mmu."""

    to: Annotated[str | Path | None, Option(metavar="NAME|PATH")] = None
    """Bring the map to another legend: activations are summed."""

    crosswalk: Annotated[str | Path | None, Option(metavar="PATH", unset="the shipped one")] = None
    """How the classes of the map become those of --to."""

    merge: Annotated[tuple[str, ...], Option(repeat=True, metavar="CLASS,...=NAME")] = ()
    """Make one class of several, such as crops,grass=open, in the colour of the first; repeat for more. Not with --to."""

    smooth: Literal["bayes"] | None = None
    """Smooth the activations: each is drawn to the likeliest half of its neighbourhood, by empirical Bayes."""

    smooth_window: Annotated[int, Option(metavar="PIXELS")] = Field(default=5, ge=3, le=15)
    """Side of the neighbourhood, pixels; odd."""

    smooth_strength: Annotated[float, Option(metavar="S2")] = Field(default=10.0, ge=0.01, le=1000)
    """Variance that a logit is taken to have: the larger, the more a pixel follows its neighbourhood."""

    mmu: Annotated[str | None, Option(metavar="AREA")] = None
    """Minimum mapping unit in hectares or pixels, such as 0.5ha (or 0.5), 25ha or 10px: smaller patches go into their neighbours."""

    mmu_by: Rule = "activation"
    """What a patch below the unit becomes: of the classes around it that of the greatest mean activation over its pixels, or that of the longest border."""

    connectivity: Literal["4", "8"] = "8"
    """Pixels of one patch touch at their sides (4), or at their corners too (8)."""

    resume: Resume = True
    creation_options: CreationOptions = Field(default_factory=dict)
    overwrite: Overwrite = False

    @property
    def unit(self) -> MinimumUnit | None:
        """The minimum mapping unit; None where none is asked for."""
        return None if self.mmu is None else MinimumUnit.parse(self.mmu)

    @property
    def smoothing(self) -> Smoothing | None:
        """How activations are smoothed; None where they are not."""
        return None if self.smooth is None else Smoothing(self.smooth_window, self.smooth_strength)

    @property
    def corners(self) -> bool:
        """True where pixels of one patch may touch at their corners alone."""
        return self.connectivity == "8"

    @field_validator("mmu", mode="before")
    @classmethod
    def _known_unit(cls, given: Any) -> str | None:  # noqa: ANN401 - a number is hectares
        return None if given is None else str(MinimumUnit.parse(str(given)))

    @field_validator("connectivity", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> str:  # noqa: ANN401 - 4 as well as "4"
        return str(given)

    @field_validator("smooth_window")
    @classmethod
    def _odd(cls, given: int) -> int:
        if given % 2 == 0:
            raise ValueError(f"a window of {given} pixels has no middle; give an odd number")
        return given

    @model_validator(mode="after")
    def _asks_for_something(self) -> "CleanOptions":
        if self.to is not None and self.merge:
            raise ValueError("--to and --merge both say which classes there are; give one")
        if self.to is None and self.crosswalk is not None:
            raise ValueError("--crosswalk leads to no legend; say which with --to NAME|PATH")
        if self.to is None and not (self.merge or self.smooth or self.mmu):
            raise ValueError("nothing to do; give at least one of --mmu, --smooth, --to and --merge")
        return self
