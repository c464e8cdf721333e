"""Options of `lulc hpc plan`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lulc.options import Option, Options


class PlanOptions(Options):
    """How `lulc hpc plan` cuts scenes into shards."""

    out: Annotated[Path, Option(metavar="DIR")]
    """Folder of the maps, made when it is not there; one a scene."""

    listed: Annotated[Path | None, Option(flag="--list", metavar="FILE")] = None
    """Also the scenes in this file: one a line, or the files of one scene separated by tabs."""

    shard_chunks: Annotated[int | None, Option(metavar="N", unset="a whole scene")] = Field(
        default=None, ge=1, le=1_000_000_000
    )
    """Chunks of a shard."""
