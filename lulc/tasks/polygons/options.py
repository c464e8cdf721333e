"""Options of `lulc polygons`."""

from typing import Annotated

from pydantic import Field

from lulc.options import Option, Options, Overwrite


class PolygonsOptions(Options):
    """Options of `lulc polygons`."""

    classes: Annotated[tuple[str, ...] | None, Option(metavar="NAME,NAME,...", unset="all of the map")] = None
    """Classes to draw; pixels of others count as without data."""

    min_ha: Annotated[float, Option(metavar="HECTARES")] = Field(default=0.0, ge=0, le=1e9)
    """Leave out smaller polygons, and say how much ground they hold: gaps stay where they lay. `lulc clean --mmu` gives such patches to their neighbours first."""

    simplify: Annotated[float, Option(metavar="METRES")] = Field(default=0.0, ge=0, le=1e6)
    """Straighten borders: what a vertex cuts off is at most the square of this, and neighbours share the result. The areas stay those of the pixels. 0 keeps the edges of pixels; the size of a pixel removes single steps."""

    overwrite: Overwrite = False
