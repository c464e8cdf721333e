"""Options of `lulc train`."""

from pathlib import Path
from typing import Annotated

from lulc.options import Changes, Option, Options


class TrainOptions(Options):
    """Options of `lulc train`."""

    data: Annotated[Path | None, Option(metavar="SET")] = None
    """Training set, in place of the configuration's."""

    changes: Changes
    resume: bool = False
    """Continue the run in OUT, as if it had never stopped; start it when there is none."""

    overwrite: bool = False
    """Replace the run in OUT."""

    tensorboard: Annotated[Path | None, Option(metavar="DIR")] = None
    """Also write the history for TensorBoard."""
