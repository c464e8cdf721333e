"""Options of `lulc patches explain`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lulc.options import Bands, Device, Option, Options, Overwrite, SceneOptions
from lulc.resources import SHIPPED_MODEL, SHIPPED_PATCH_MODEL

Method = Literal["grad-cam", "hirescam"]
"""How the gradient weighs the maps: by its mean over each, or place by place."""

_Model = Annotated[
    str | Path,
    Option(metavar="NAME|PATH"),
    Field(description="A patch model, or a model of `lulc classify`."),
]


class ExplainOptions(Options):
    """Options of `lulc patches explain` for a patch."""

    model: _Model = SHIPPED_PATCH_MODEL
    target: Annotated[
        str | None, Option(flag="--class", metavar="NAME", unset="the model's answer, or the most frequent")
    ] = None
    """Class to explain."""

    layer: Annotated[
        str | None,
        Option(metavar="NAME", unset="the network's last three sizes of maps; of scenes the decoder's end"),
    ] = None
    """One layer to look at."""

    method: Method = "grad-cam"
    """hirescam weighs every place by itself: more faithful for regions of scenes."""

    bands: Bands = None
    device: Device = "auto"
    overwrite: Overwrite = False


class ExplainSceneOptions(ExplainOptions, SceneOptions):
    """Options of `lulc patches explain` for a scene."""

    model: _Model = SHIPPED_MODEL
    window: Annotated[
        tuple[int, int, int, int] | None,
        Option(metavar="ROW,COL,HEIGHT,WIDTH", unset="the central square of at most 512"),
    ] = None
    """Part of a scene, in pixels from 0."""
