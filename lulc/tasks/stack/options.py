"""Options of `lulc stack`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lulc.options import Option, Options, Overwrite, RequireData, SceneOptions

_CHUNK_STEP = 256
_MOST_FILLS = 254
"""The channel `source` is uint8: 0 is none, 1 the first scene."""

_MOST_DILATION = 200

CloudSource = Literal["none", "auto", "scl", "qa60", "model"]
"""Where the clouds of a scene are read from."""


class CloudOptions(Options):
    """How the clouds of scenes are masked."""

    clouds: str
    """Where clouds are read from: one of the words that each command offers."""

    cloud_classes: Annotated[
        tuple[str, ...] | None,
        Option(metavar="NAME|N,...", unset="saturated,shadow,cloud-medium,cloud-high,cirrus = 1,3,8,9,10"),
    ] = None
    """SCL classes to mask; also nodata, dark, vegetation, bare, water, unclassified, snow."""

    dilate: int = Field(default=0, ge=0, le=_MOST_DILATION)
    """Grow clouds by N pixels, as a disc."""

    @model_validator(mode="after")
    def _clouds_that_are_asked(self) -> Self:
        if self.cloud_classes is not None and self.clouds not in {"auto", "scl"}:
            raise ValueError("--cloud-classes names classes of SCL: give --clouds scl or auto")
        if self.dilate and self.clouds == "none":
            raise ValueError("--dilate grows clouds: leave out --clouds none")
        return self


class StackOptions(CloudOptions, SceneOptions):
    """Options of `lulc stack`."""

    clouds: CloudSource = "none"
    """Take pixels under clouds as missing, in every scene: by its band SCL or QA60 (auto: SCL, else QA60), or by the network of ukis-csmask (pip install 'lulc[cloud]')."""

    preset: Annotated[str | Path | None, Option(metavar="NAME|PATH")] = None
    """Bands and indices by name: stack14, bands9, or a TOML file. Excludes --select and --indices."""

    select: Annotated[tuple[str, ...] | None, Option(metavar="B02,B03,...", unset="all of the scene")] = None
    """Bands to write."""

    indices: Annotated[tuple[str, ...] | None, Option(metavar="NDVI,...", unset="those in the scene")] = None
    """Spectral indices to write."""

    fill: Annotated[tuple[Path, ...], Option(repeat=True, web=True, metavar="OTHER")] = Field(
        default=(), max_length=_MOST_FILLS
    )
    """Take missing pixels from this scene, on any grid; repeat for more. Adds the channel `source`: 0 none, 1 SCENE, 2 the first OTHER, ..."""

    fill_offset: Annotated[float | None, Option(auto=True)] = Field(default=None, ge=-1e6, le=1e6)
    """As --offset, for every OTHER."""

    fill_quantification: Annotated[float | None, Option(auto=True)] = Field(default=None, ge=1e-6, le=1e9)
    """As --quantification, for every OTHER."""

    composite: Literal["first", "best", "median", "max-ndvi"] = "first"
    """How SCENE and every OTHER become one: the first that has the pixel, the order being as given, or (best) by share of clear pixels; the median of all dates; all bands from the date of the largest NDVI."""

    chunk: int = Field(default=1024, ge=_CHUNK_STEP, le=8192, multiple_of=_CHUNK_STEP)
    """Side of a window and of a NetCDF or Zarr chunk, in pixels; a multiple of 256."""

    overwrite: Overwrite = False
    require_data: RequireData = False
