"""Options of `lulc change`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lulc.options import CreationOptions, MapLegend, Nodata, Option, Options, Overwrite, Resume


class ChangedMapsOptions(Options):
    """What is known of the maps of `lulc change`, and what of them is compared."""

    legend: MapLegend = None
    nodata: Nodata = None
    labels: bool = False
    """Compare labels alone, where a map has no activations or where they shall not count: every difference is change then."""


class ChangeOptions(ChangedMapsOptions):
    """Options of `lulc change`."""

    to: Annotated[str | Path | None, Option(metavar="NAME|PATH")] = None
    """Compare in another legend: activations are summed. A change map holds at most 15 classes."""

    crosswalk: Annotated[str | Path | None, Option(metavar="PATH", unset="the shipped one")] = None
    """How the classes of the maps become those of --to."""

    threshold: Annotated[float, Option(metavar="P")] = Field(default=0.5, gt=0, le=1)
    """Probability of change from which a pixel is changed."""

    change_rate: Annotated[float, Option(metavar="R")] = Field(default=0.05, ge=0.001, le=0.4)
    """Share of the ground that is expected to change, 0.001 to 0.4: the prior."""

    mmu: Annotated[float, Option(metavar="HECTARES")] = Field(default=0.5, ge=0, le=1e9)
    """Minimum mapping unit: smaller patches of change, of whatever kinds, are none; 0 keeps them all. At most 1024 pixels: 10.24 at 10 m."""

    resume: Resume = True
    creation_options: CreationOptions = Field(default_factory=dict)
    overwrite: Overwrite = False


class ChangeReportOptions(Options):
    """What `lulc change` reports beside its map."""

    reference: Annotated[Path | None, Option(metavar="POINTS")] = None
    """Labelled points that `lulc sample` drew from this very change map (same maps, same options): also report adjusted areas."""

    folder: Annotated[Path | None, Option(flag="--out", metavar="DIR")] = None
    """Write report.json, report.md, matrix.csv and change.png there, before OUT gets its name."""
