"""Options of `lulc classify`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lulc.options import (
    CreationOptions,
    Option,
    Options,
    Overwrite,
    Precision,
    RequireData,
    Resume,
    SceneOptions,
    Stored,
)
from lulc.resources import SHIPPED_MODEL
from lulc.tasks.stack.options import CloudOptions

_MOST_THREADS = 1024
"""No machine has more cores, and OpenMP ends the process when it cannot start as many threads as it is told to."""


class ClassifyOptions(CloudOptions, SceneOptions):
    """Options of `lulc classify`."""

    dates: bool = False
    """Take each SCENE for a date of one place, and classify the mean of their probabilities over the dates that show a pixel. Adds the band `looks`: the number of these dates."""

    clouds: Literal["auto", "network", "scl", "qa60", "model", "none"] = "auto"
    """Leave out pixels under clouds: as the model itself sees them (network; not every model does), by the scene's band SCL or QA60, or by the network of ukis-csmask (model; pip install 'lulc[cloud]'). With auto nothing is left out of one scene, and a model that sees clouds adds the band `clouds`; of each of several dates that is SCL, else QA60, else network, else every valid pixel counts."""

    model: Annotated[str | Path, Option(metavar="NAME|PATH")] = SHIPPED_MODEL
    """A shipped model, or a bundle's folder or zip."""

    window: Annotated[int | None, Option(auto=True)] = Field(default=None, ge=1, le=1_000_000_000)
    """Side of what the network sees at once, halo included, in pixels."""

    halo: Annotated[int | None, Option(auto=True)] = Field(default=None, ge=0, le=1_000_000_000)
    """Margin of each window that is thrown away, in pixels; auto follows the network's receptive field."""

    blend: Annotated[int | None, Option(auto=True)] = Field(default=None, ge=0, le=1_000_000_000)
    """Width of the cross-fade between windows, in pixels; auto is 0 when the halo is exact."""

    activations: Stored = "uint8"
    """How the activation of each class is stored."""

    trust: bool = False
    """Add bands that say how far each pixel can be trusted: `confidence` (the activation of its class), `margin` (before the second) and `familiarity` (the fraction of held-out training pixels that are less like the training; below 0.05 is flagged)."""

    calibration: Annotated[Path | None, Option(metavar="PATH", unset="the model's own temperature")] = None
    """What `lulc calibrate` has fitted for the model: its temperature, and thresholds for --sets."""

    sets: Annotated[float | None, Option(metavar="COVERAGE")] = Field(default=None, ge=0.5, le=0.99)
    """Add bands of prediction sets, such as 0.9: at least that share of the pixels of each class has it in its set. Bands `set size` and `set 1-7` and so on, a bit for each class; needs --calibration."""

    device: Annotated[str, Option(metavar="auto|cpu|cuda|all")] = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1, several GPUs of one model that share the work as in cuda:0,1, or all of them."""

    precision: Precision = "auto"
    """Precision of the network; auto is bf16 where the hardware has it."""

    batch: Annotated[int | None, Option(auto=True)] = Field(default=None, ge=1, le=1_000_000_000)
    """Windows per forward pass, halved when the device runs out of memory; auto is 1 on a CPU, and on a GPU up to 4 as its memory allows."""

    # The bytes of a map are promised for one number of threads only, so shards of one plan share it on any machine.
    threads: Annotated[int | None, Option(auto=True)] = Field(default=None, ge=1, le=_MOST_THREADS)
    """CPU threads of the network; auto is the cores that lulc may use. Equal bytes are promised for equal threads."""

    max_memory: Annotated[int | None, Option(size=True, metavar="SIZE")] = Field(default=None, ge=1)
    """Main memory the run may take, such as 2G; the window shrinks to fit, or the run is refused."""

    overwrite: Overwrite = False
    resume: Resume = True
    creation_options: CreationOptions = Field(default_factory=dict)
    allow_no_georef: bool = False
    """Accept a scene without georeference; the map has none either."""

    require_data: RequireData = False

    @model_validator(mode="after")
    def _dates_that_are_whole(self) -> Self:
        if self.dates and self.date is not None:
            raise ValueError("--date takes one date of a cube, --dates takes scenes of one date each: give one of them")
        return self

    @model_validator(mode="after")
    def _sets_that_are_calibrated(self) -> Self:
        if self.sets is not None and self.calibration is None:
            raise ValueError("--sets needs --calibration: lulc calibrate makes one from labelled pixels")
        return self

    @model_validator(mode="after")
    def _clouds_that_are_left_out(self) -> Self:
        if not self.dates and self.clouds == "auto" and (self.cloud_classes is not None or self.dilate):
            raise ValueError("--clouds auto leaves nothing out of one scene: give --clouds scl, qa60 or model")
        if self.dilate and self.clouds == "network":
            raise ValueError("--dilate does not grow the clouds of the network: leave it out, or choose other --clouds")
        return self


class ClassifyCommandOptions(Options):
    """What `lulc classify` does beside classifying, or in its place."""

    plan: bool = False
    """Print windows, cost, predicted memory and size; write nothing."""

    verify_seams: Annotated[int | None, Option(metavar="N")] = Field(default=None, ge=1, le=1_000_000_000)
    """Afterwards infer N random windows across seams again, at another phase, and report the differences."""

    scheduler: Annotated[str, Option(metavar="ADDRESS")] = ""
    """Run on a Dask cluster: tcp://HOST:PORT, local:N (processes of this machine) or slurm:SITE (jobs)."""

    quicklook: Annotated[Path | None, Option(metavar="PNG")] = None
    """Also write a picture: true colour, map, legend, areas."""

    listed: Annotated[Path | None, Option(flag="--list", metavar="FILE")] = None
    """In place of SCENE and OUT: the scenes in this file, one a line, or the files of one scene separated by tabs."""

    out: Annotated[Path | None, Option(metavar="DIR")] = None
    """With --list: folder of the maps, made when it is not there; each is named after its scene."""

    @model_validator(mode="after")
    def _of_a_list(self) -> Self:
        if (self.listed is None) != (self.out is None):
            raise ValueError("--list and --out belong together: give both, or SCENE and OUT")
        if self.listed and (self.plan or self.verify_seams or self.scheduler or self.quicklook):
            raise ValueError("--list goes without --plan, --verify-seams, --scheduler and --quicklook")
        return self
