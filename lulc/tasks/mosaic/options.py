"""Options of `lulc mosaic`."""

from typing import Annotated, Literal

from pydantic import Field

from lulc.options import CreationOptions, Option, Options, Overwrite, Resume, Stored

Method = Literal["activations", "confidence", "first", "latest", "majority"]


class MosaicOptions(Options):
    """Options of `lulc mosaic`."""

    method: Method = "activations"
    """Average the activations, with weights that fall to 0 at edges and holes; or choose among classes: the surest map, the first, the latest, or most maps."""

    feather: int = Field(default=128, ge=0, le=4096)
    """Distance from its edge and holes over which a map fades in, pixels."""

    crs: Annotated[str | None, Option(metavar="EPSG:N", unset="that of most pixels")] = None
    """CRS of the mosaic."""

    resolution: Annotated[float | None, Option(unset="that of the maps")] = Field(default=None, ge=1e-9, le=1e6)
    """Side of a pixel, in units of the CRS."""

    bounds: Annotated[tuple[float, float, float, float] | None, Option(metavar="W,S,E,N", unset="all maps")] = None
    """Part to make, in the CRS of the mosaic."""

    activations: Stored = "uint8"
    """How activations are stored; those of classes alone have none."""

    resume: Resume = True
    creation_options: CreationOptions = Field(default_factory=dict)
    overwrite: Overwrite = False
