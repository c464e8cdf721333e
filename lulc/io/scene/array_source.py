"""Images in `.npy` files: an array of planes without names or georeference."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from lulc.errors import InputError, StorageError, raised_as
from lulc.grid import Grid, Shape, Window
from lulc.io.files.tries import head_of
from lulc.io.scene.source import MOST_PIXELS, Origin, Raster

_READABLE = "uif"


class ArraySource:
    """A `.npy` file of planes (bands, height, width), or one plane (height, width).

    Args:
        path: The file.

    Raises:
        InputError: Not such an array.
    """

    def __init__(self, path: Path) -> None:
        problem, remedy = f"{path} is not a readable .npy file", "check that it is whole"
        with raised_as(InputError, problem, remedy, OSError, ValueError, EOFError):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.ndim == 2:  # noqa: PLR2004 - one plane
            array = array[None]
        if array.ndim != 3 or array.dtype.kind not in _READABLE or not 0 < array.size <= MOST_PIXELS:  # noqa: PLR2004
            raise InputError(
                f"{path} holds {array.dtype} of shape {array.shape}", "give numbers as (bands, height, width)"
            )
        self._array: NDArray[np.generic] = array
        self.origin = Origin(path, "NumPy array")
        self.grid = Grid(None, Affine.identity(), Shape(*array.shape[1:]))
        self.labels: tuple[str | None, ...] = (None,) * len(array)
        self.dtype = np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype
        self.counts = array.dtype.kind in "iu"
        self.zeros: tuple[float, ...] | None = (0.0,) * len(array)
        self.block_shape = Shape(256, 256)
        self.cell_shape: Shape | None = None  # nothing is decoded

    def read(self, bands: Sequence[int], window: Window) -> Raster:
        """Raw values, and valid where they are finite."""
        rows, columns = window.slices()
        with raised_as(StorageError, f"cannot read {self.origin.path}", "check the disk", OSError):
            raw = np.asarray(self._array[list(bands), rows, columns], dtype=self.dtype)
        valid: NDArray[np.bool_] = (
            np.isfinite(raw).all(axis=0) if raw.dtype.kind == "f" else np.ones(raw.shape[1:], bool)
        )
        return Raster(raw, valid)

    def on_grid(self, grid: Grid) -> "ArraySource":
        """Not possible: an array has no georeference."""
        raise InputError(
            f"{self.origin.path} has another size than the scene ({grid.shape})", "give arrays of one size"
        )

    def close(self) -> None:
        """Nothing is held open."""


def is_array(path: Path) -> bool:
    """True for a `.npy` file, by its first bytes."""
    return head_of(path, 6) == b"\x93NUMPY"
