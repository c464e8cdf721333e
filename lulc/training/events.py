"""The history of a run for TensorBoard."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lulc.errors import ConfigError
from lulc.io.files.outputs import check_folder


def write_events(history: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Write the numbers of a history as TensorBoard's event files."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for line in history:
            for name, value in line.items():
                if name != "step":
                    writer.add_scalar(name, value, line["step"])


def check_events(folder: Path) -> None:
    """Say before the training, not after it, that events cannot be written.

    Raises:
        ConfigError: TensorBoard is not installed.
        StorageError: The folder is a file, or cannot be written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "TensorBoard is not installed", "pip install 'lulc[tensorboard]', or leave --tensorboard out"
        ) from error
    check_folder(folder, ())
