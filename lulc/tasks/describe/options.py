"""Options of `lulc report`."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import model_validator

from lulc.options import MapLegend, Nodata, Option, Options, Overwrite


class ReportOptions(Options):
    """Options of `lulc report`."""

    title: Annotated[str, Option(metavar="TEXT", unset="the map's file name")] = ""
    """Heading of the report."""

    legend: MapLegend = None
    nodata: Nodata = None
    zones: Annotated[Path | None, Option(metavar="POLYGONS")] = None
    """Also report the classes inside each of these polygons (.gpkg, .geojson, .shp, .fgb, any CRS), with exact parts of pixels."""

    zone_field: Annotated[str | None, Option(metavar="NAME", unset="the first column of text, else the number")] = None
    """Column of the zones' names; features of one name are one zone."""

    sample: Annotated[Path | None, Option(metavar="POINTS")] = None
    """Labelled points that `lulc sample` drew from MAP: also estimate the areas of each zone, with 95 % intervals."""

    overwrite: Overwrite = False

    @model_validator(mode="after")
    def _zones_are_given(self) -> Self:
        """What belongs to zones needs them."""
        for flag, value in (("--zone-field", self.zone_field), ("--sample", self.sample)):
            if value is not None and self.zones is None:
                raise ValueError(f"{flag} is of no use without --zones")
        return self
