"""Options of `lulc fetch`."""

from typing import Annotated

from pydantic import Field

from lulc.options import Option, Options

DEFAULT_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL")
"""What is fetched, as far as an item has it, when no bands are named: all of 10 and 20 m, and the scene classification."""


class FetchOptions(Options):
    """Options of `lulc fetch`."""

    area: Annotated[str, Option(metavar="FILE|W,S,E,N")]
    """Polygons (.geojson, .gpkg, .shp, .fgb; any CRS), or west,south,east,north in degrees. Scenes are clipped to its bounds on their own grid."""

    dates: Annotated[str, Option(metavar="FROM/TO")]
    """Such as 2021-05-01/2021-09-30, 2021-06-03, or 2021-05-01/.."""

    max_cloud: Annotated[float | None, Option(metavar="N")] = Field(default=None, ge=0, le=100)
    """Largest cloud cover that an item states, percent."""

    collection: Annotated[
        tuple[str, ...],
        Option(repeat=True, metavar="NAME", unset="sentinel-2-l2a of an API, all of a static catalogue"),
    ] = ()
    """Collection to look in; repeat for more."""

    bands: Annotated[
        tuple[str, ...] | None,
        Option(metavar="B02,...,SCL", unset="B02-B08, B8A, B11, B12 and SCL, as far as there"),
    ] = None
    """Bands to fetch."""

    limit: Annotated[int | None, Option(metavar="N")] = Field(default=None, ge=1, le=1_000_000_000)
    """Fetch N items at most, those with least cloud."""

    refresh: bool = False
    """Fetch anew what is there of another area, other bands or a changed item; keep whole files that are right."""

    plan: bool = False
    """List items and sizes; write nothing."""

    overwrite: bool = False
    """Fetch every file anew, whatever is there."""
