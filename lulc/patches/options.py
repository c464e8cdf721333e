"""Options of the commands on patches."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from lulc.options import Bands, Changes, Date, Device, Offset, Option, Options, Overwrite, Precision, Quantification
from lulc.resources import SHIPPED_PATCH_MODEL
from lulc.tasks.change.options import ChangeOptions
from lulc.training.options import TrainOptions

if TYPE_CHECKING:
    from lulc.io.scene.scene import Scene
    from lulc.patches.classifier import Classifier

_Model = Annotated[
    str | Path,
    Option(metavar="NAME|PATH"),
    Field(description="A patch model: a shipped one, or a bundle's folder or zip."),
]
_Precision = Annotated[
    Precision,
    Field(description="Precision of the network; auto is fp32 on a CPU, else bf16 where the hardware has it."),
]
_Turns = Annotated[
    bool, Field(description="Average over the eight turns and mirror images: surer, eight times the work.")
]

THRESHOLD = 0.8
"""Probability from which a cell is changed; pixels of `lulc change` have 0.5.

Patch models are sure of most predictions, wrong ones too. On noisy copies of two scenes 0.5 calls twice as many cells
changed that are not, and finds hardly more of the planted change (ARCHITECTURE.md, Change).
"""


class CellOptions(Options):
    """Options of `lulc patches predict --grid`."""

    model: _Model = SHIPPED_PATCH_MODEL
    cell: Annotated[int | None, Option(unset="the model's patches")] = Field(default=None, ge=8, le=2048)
    """Side of a cell, pixels."""

    step: Annotated[int | None, Option(unset="--cell")] = Field(default=None, ge=1, le=1_000_000_000)
    """Distance of cells, pixels; a smaller one than the cell gives a finer map."""

    bands: Bands = None
    offset: Offset = None
    quantification: Quantification = None
    date: Date = None
    device: Device = "auto"
    precision: _Precision = "auto"
    turns: _Turns = False
    overwrite: Overwrite = False

    def open_scene(self, inputs: Sequence[Path]) -> "Scene":
        """The scene, with its radiometry as asked."""
        from lulc.io.scene.scene import open_scene
        from lulc.patches.image import spelled_out

        return open_scene(
            inputs,
            bands=spelled_out(self.bands),
            offset=self.offset,
            quantification=self.quantification,
            date=self.date,
        )

    def classifier(self) -> "Classifier":
        """The model on its device."""
        from lulc.patches.card import load_patch_model
        from lulc.patches.classifier import Classifier

        return Classifier(load_patch_model(self.model), self.device, self.precision, turns=self.turns)


class PredictOptions(CellOptions):
    """Options of `lulc patches predict`."""

    grid: Annotated[Path | None, Option(metavar="OUT.tif")] = None
    """INPUT is a scene: classify each of its cells into this map."""

    quicklook: Annotated[Path | None, Option(metavar="PNG")] = None
    """With --grid: also draw the map."""

    table: Annotated[Path | None, Option(flag="--csv", metavar="OUT.csv")] = None
    """Also write all probabilities of all files, and the second opinions."""

    ask_url: Annotated[str, Option(flag="--ask", metavar="URL")] = ""
    """Send each image to this OpenAI-compatible endpoint as well, with the key from LULC_ASK_KEY or OPENAI_API_KEY (pip install 'lulc[ask]')."""

    ask_model: Annotated[str, Option(metavar="NAME")] = ""
    """Model to ask there."""

    ask_timeout: float = Field(default=60.0, ge=1, le=3600)
    """Seconds for one answer."""


class PatchChangeOptions(CellOptions, ChangeOptions):
    """Options of `lulc patches change`: those of cells and of `lulc change`, two with other defaults."""

    threshold: Annotated[float, Option(metavar="P")] = Field(default=THRESHOLD, gt=0, le=1)
    """Probability of change from which a cell is changed."""

    mmu: Annotated[float, Option(metavar="HECTARES")] = Field(default=0, ge=0, le=1e9)
    """Minimum mapping unit: smaller patches of change are none. At most 1024 cells; a cell of 64 pixels of 10 m is 41 ha."""


class PatchEvaluateOptions(Options):
    """Options of `lulc patches evaluate`."""

    split: Literal["test", "val", "train", "all"] = "test"
    """Patches to try: those that the model's own split lists so, or all of DATA."""

    split_file: Annotated[Path | None, Option(metavar="CSV")] = None
    """A split.csv in place of the model's own."""

    out: Annotated[Path | None, Option(metavar="DIR")] = None
    """Write report.json, report.md, predictions.csv and pictures there."""

    bands: Bands = None
    turns: _Turns = False
    device: Device = "auto"
    precision: _Precision = "auto"
    overwrite: Overwrite = False


class PatchTrainOptions(TrainOptions):
    """Options of `lulc patches train`."""

    data: Annotated[Path | None, Option(metavar="FOLDER|ZIP")] = None
    """Class folders, in place of the configuration's."""


class StudyRecipeOptions(Options):
    """The configuration by which `lulc patches bands` trains."""

    config: Annotated[str, Option(metavar="NAME|PATH")] = "eurosat-ms"
    """How to train; a patch model as its start is replaced by ImageNet, so that no band has an advantage."""

    changes: Changes


class StudyOptions(Options):
    """Options of `lulc patches bands`."""

    folds: int = Field(default=5, ge=1, le=100)
    """Parts of the patches that are tested in turn; 1 tests the test split alone."""

    combinations: Annotated[tuple[str, ...] | None, Option(metavar="NAME,...", unset="singles,RGB,CIR,SWIR,all")] = None
    """singles, RGB, CIR, SWIR, all, a band, or bands joined by +."""

    bands: Bands = None
    resume: bool = False
    """Continue the study in OUT; start it when there is none."""

    overwrite: bool = False
    """Replace the study in OUT."""
