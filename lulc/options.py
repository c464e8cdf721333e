"""Options of commands: fields described once, for the library, the command line and docs/reference.md."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from lulc.config import Table


class Options(Table):
    """Base of the options of a command: frozen, no unknown field, each field with its description below it."""

    model_config = ConfigDict(use_attribute_docstrings=True)


@dataclass(frozen=True, kw_only=True)
class Option:
    """How a field looks on the command line, as far as its name and type do not say it.

    Attributes:
        flag: Its name there, with dashes; empty for the name of the field.
        short: A second name of one letter.
        metavar: What stands for a value in the help.
        unset: What holds when it is not given, where the default is None or empty.
        auto: The word `auto` stands for None.
        repeat: Every value comes with an option of its own; the values of other tuples stand in a list with commas.
        size: A number of bytes such as `2G`.
        web: A path may be an http(s) address.
        text: Its text is parsed by the model itself.
        offered: False for a field of the library alone.
    """

    flag: str = ""
    short: str = ""
    metavar: str | None = None
    unset: str = ""
    auto: bool = False
    repeat: bool = False
    size: bool = False
    web: bool = False
    text: bool = False
    offered: bool = True


LIBRARY_ONLY = Option(offered=False)

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Stored = Literal["uint8", "float32", "none"]
"""How activations are stored."""

ChipFormat = Literal["tif", "npy", "nc"]
"""How the chips of a training set are stored."""

Bands = Annotated[
    tuple[str, ...] | None,
    Option(short="-b", metavar="B02,B03,..."),
    Field(description="Names of the input's bands, in their order, when the file does not say."),
]
Offset = Annotated[
    float | None,
    Option(auto=True),
    Field(
        ge=-1e6,
        le=1e6,
        description="Added to digital numbers: auto (from metadata), 0, or -1000 (Sentinel-2 from processing baseline 04.00).",
    ),
]
Quantification = Annotated[
    float | None,
    Option(auto=True),
    Field(
        ge=1e-6,
        le=1e9,
        description="Digital numbers per unit reflectance: auto (from metadata), 10000 for Sentinel-2, 255 for 8-bit pictures.",
    ),
]
Date = Annotated[
    str | None,
    Option(metavar="DATE"),
    Field(description="Date to take of a cube that holds several, such as 2021-05-27, as its coordinate gives it."),
]
Device = Annotated[
    str, Option(metavar="auto|cpu|cuda"), Field(description="Where the network runs: auto, cpu, cuda, cuda:1, ...")
]
MapLegend = Annotated[
    str | Path | None,
    Option(metavar="NAME|PATH", unset="its own, when it was made by lulc"),
    Field(description="Legend of a MAP that lulc did not make, such as worldcover, esri, or a file."),
]
Nodata = Annotated[
    int | None,
    Option(metavar="VALUE"),
    Field(
        description="Value that means no data in a MAP that lulc did not make, beside what its file and legend say; often 0."
    ),
]
Overwrite = Annotated[bool, Field(description="Replace an existing output.")]
RequireData = Annotated[
    bool,
    Field(description="Refuse a scene without a valid pixel; otherwise its output is empty, and a warning says so."),
]
Resume = Annotated[bool, Field(description="Continue an interrupted run of the same job.")]
Changes = Annotated[
    dict[str, Any],
    Option(flag="--set", metavar="KEY=VALUE"),
    Field(
        default_factory=dict,
        description="Change a key of the configuration, such as fit.seed=1; repeat for more.",
    ),
]
CreationOptions = Annotated[
    dict[str, str],
    Option(flag="--co", metavar="NAME=VALUE"),
    Field(
        description="Creation option of the output, as in GDAL: COMPRESS=ZSTD, DEFLATE or NONE, LEVEL, BLOCKSIZE, BIGTIFF."
    ),
]


class SceneOptions(Options):
    """What is known of a scene where its files do not say it."""

    bands: Bands = None
    offset: Offset = None
    quantification: Quantification = None
    date: Date = None
