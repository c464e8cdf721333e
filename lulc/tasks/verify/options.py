"""Options of `lulc verify`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lulc.options import Option, Options


class VerifyOptions(Options):
    """Options of `lulc verify`."""

    scene: Annotated[tuple[str, ...], Option(repeat=True, metavar="PATH")] = ()
    """Scene that the map was made of; repeat for its band files. Its content is compared with what the map states, and windows are inferred again."""

    model: Annotated[str | Path | None, Option(metavar="NAME|PATH", unset="the shipped model of that name")] = None
    """Model that the map was made with."""

    sample: Annotated[Path | None, Option(metavar="POINTS")] = None
    """Labelled points of `lulc sample` that were drawn from this map: its accuracy is estimated from them."""

    report: Annotated[Path | None, Option(metavar="DIR")] = None
    """Folder of `lulc report`: the areas that it states are compared with those of the map."""

    windows: int = Field(default=16, ge=1, le=10_000)
    """Windows to infer again, half of them across borders between windows of the run; needs --scene."""
