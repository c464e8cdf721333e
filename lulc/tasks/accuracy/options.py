"""Options of `lulc sample` and of the four ways of `lulc evaluate`."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from lulc.options import LIBRARY_ONLY, Device, MapLegend, Nodata, Option, Options, Overwrite, Precision, SceneOptions

_ComparedIn = Annotated[
    str | Path | None,
    Option(metavar="NAME|PATH", unset="MAP's, else REFERENCE's"),
    Field(
        description="Legend to compare in, such as corine-1 for maps in corine-3: activations are summed, labels are not renamed."
    ),
]
_Crosswalks = Annotated[
    tuple[str | Path, ...],
    Option(repeat=True, metavar="PATH", unset="the shipped ones"),
    Field(description="How classes of one legend become those of another; repeat for more."),
]
_ACCURACY = re.compile(r"\s*(?:(?P<every>[\d.]+)|(?P<name>[^=]+)=\s*(?P<one>[\d.]+))\s*(?:,|$)")
_Seed = Annotated[int, Field(ge=0, description="Seed of the resampling.")]


class EvaluateOptions(Options):
    """Options of `lulc evaluate` for a map and labels of every pixel."""

    legend: Annotated[str | Path | None, Option(metavar="NAME|PATH", unset="its own, when it was made by lulc")] = None
    """Legend of REFERENCE; also of a MAP that lulc did not make, unless --map-legend gives another."""

    map_legend: Annotated[str | Path | None, Option(metavar="NAME|PATH", unset="that of --legend")] = None
    """Legend of a MAP not made by lulc."""

    nodata: Nodata = None
    to: _ComparedIn = None
    crosswalk: _Crosswalks = ()
    attribute: Annotated[str | None, Option(metavar="COLUMN")] = None
    """Column of polygons or points with the class. [points: reference]"""

    layer: Annotated[str | None, Option(metavar="NAME")] = None
    """Layer of polygons."""

    block_px: Annotated[int, Option(flag="--block")] = Field(default=256, ge=8, le=8192)
    """Side of the blocks that are resampled for intervals, pixels; larger than errors reach."""

    seed: _Seed = 0
    edges: bool = False
    """Also report agreement that forgives the borders between classes."""


class TrialOptions(Options):
    """Options of `lulc evaluate` for a model and a training set."""

    split: Annotated[str, Option(metavar="NAME")] = "val"
    """Part of a training set to try a MODEL on: val, test or train."""

    to: _ComparedIn = None
    crosswalk: _Crosswalks = ()
    seed: _Seed = 0


class EstimateOptions(Options):
    """Options of `lulc evaluate` for a map and labelled points."""

    attribute: str = "reference"
    """Column of points with the class."""

    legend: MapLegend = None
    nodata: Nodata = None

    allow_missing: bool = False
    """Estimate from points although some have no label."""

    other_map: bool = False
    """Points: they were drawn from another map, whose classes are the strata."""


class CalibrateOptions(Options):
    """Options of `lulc calibrate`."""

    legend: Annotated[str | Path | None, Option(metavar="NAME|PATH", unset="its own, when it was made by lulc")] = None
    """Legend of a raster or of polygons of labels."""

    crosswalk: _Crosswalks = ()
    attribute: Annotated[str | None, Option(metavar="COLUMN", unset="reference, of points")] = None
    """Column of polygons or points with the class."""

    layer: Annotated[str | None, Option(metavar="NAME")] = None
    """Layer of polygons."""

    split: Annotated[str, Option(metavar="NAME")] = "val"
    """Part of a training set to calibrate a MODEL on: val, test or train."""

    coverage: float = Field(default=0.9, ge=0.5, le=0.99)
    """Coverage at which the sets are checked, on pixels that were not fitted; in hundredths."""

    temperature: bool = True
    """Fit the temperature too; else that of the model stays."""

    seed: Annotated[int, Field(ge=0, description="Seed of the choice of pixels, and of what is fitted or checked.")] = 0
    overwrite: Overwrite = False

    @field_validator("coverage")
    @classmethod
    def _in_hundredths(cls, coverage: float) -> float:
        if round(coverage, 2) != coverage:
            raise ValueError(f"{coverage:g} is no coverage in hundredths, such as 0.9 or 0.95")
        return coverage


class RobustnessOptions(SceneOptions):
    """Options of `lulc evaluate --robustness` for a model and scenes."""

    windows: Annotated[int, Option(metavar="N")] = Field(default=16, ge=1, le=1_000_000)
    """Sample windows of each scene, evenly spread, 256 px wide; fewer where they cover the scene."""

    device: Device = "auto"
    precision: Precision = "auto"
    """Precision of the network; auto is bf16 where the hardware has it."""


class SampleOptions(Options):
    """Options of `lulc sample`."""

    expected: Annotated[float, Option(text=True, metavar="SHARE|CLASS=SHARE,...")] = Field(default=0.9, gt=0, lt=1)
    """User's accuracy that is expected, of all classes or of some; the others have 0.9."""

    expected_of: Annotated[dict[str, float], LIBRARY_ONLY] = Field(default={})
    """User's accuracy that is expected of single classes, by name."""

    target_se: float = Field(default=0.01, gt=0, lt=0.5)
    """Standard error wanted for the overall accuracy; decides how many points are drawn."""

    total: Annotated[int | None, Option(metavar="N", unset="as --target-se needs")] = Field(
        default=None, gt=0, le=1_000_000_000
    )
    """Points to draw."""

    legend: MapLegend = None
    nodata: Nodata = None
    min_per_class: int = Field(default=50, ge=2, le=1_000_000_000)
    """Fewest points of a class; 2 or more. A class with fewer pixels gives all of them."""

    seed: int = Field(default=0, ge=0)
    """One seed and one map give one sample."""

    overwrite: Overwrite = False

    @model_validator(mode="before")
    @classmethod
    def _split_expected(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A text holds `0.9` for all classes, `water=0.95,crops=0.8` for some, or both; names may hold commas."""
        text = given.get("expected")
        if not isinstance(text, str):
            return given
        start, each, of_all = 0, dict[str, float](), {}
        while start < len(text) or not start:
            found = _ACCURACY.match(text, start)
            try:
                accuracy = float((found["every"] or found["one"]) if found else "")
            except ValueError as error:
                raise ValueError(f"--expected {text!r}: write 0.9 or water=0.95,crops=0.8") from error
            assert found
            if found["every"]:
                of_all = {"expected": accuracy}
            else:
                each[found["name"].strip()] = accuracy
            start = found.end()
        return {name: value for name, value in given.items() if name != "expected"} | of_all | {"expected_of": each}
