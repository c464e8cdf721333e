"""Options of `lulc train`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lulc.options import Changes, Option, Options


class TrainOptions(Options):
    """Options of `lulc train`."""

    data: Annotated[Path | None, Option(metavar="SET")] = Field(
        default=None, description="Training set, in place of the configuration's."
    )
    changes: Changes
    resume: bool = Field(
        default=False, description="Continue the run in OUT, as if it had never stopped; start it when there is none."
    )
    overwrite: bool = Field(default=False, description="Replace the run in OUT.")
    tensorboard: Annotated[Path | None, Option(metavar="DIR")] = Field(
        default=None, description="Also write the history for TensorBoard."
    )
