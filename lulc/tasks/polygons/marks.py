"""Which lattice points are vertices, and where three patches or more meet: two bits a point, in a file without a name."""

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.io.files.storage import storage_errors

_BITS = 8
_VERTEX, _NODE = 0, 1


class Marks:
    """Marks of the lattice points of a map; a file holds them, so memory does not grow with the map.

    Args:
        folder: Where the file lies; it has no name and goes with the process.
        height: Rows of the map.
        width: Columns of the map.

    Raises:
        StorageError: The disk has no room for it.
    """

    def __init__(self, folder: Path, height: int, width: int) -> None:
        self._columns = width + 1
        shape = (height + 2, 2, -(-self._columns // _BITS))
        size = int(np.prod(shape))
        with storage_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk would kill a process that writes to mapped memory
            self._bits = np.frombuffer(mmap.mmap(file.fileno(), size), np.uint8).reshape(shape)

    def add(self, first: int, rows: int, points: NDArray[np.int32], nodes: NDArray[np.bool_]) -> None:
        """Mark the vertices of some lattice rows.

        Args:
            first: The first row.
            rows: How many rows.
            points: int32 (2, n) rows and columns of their vertices.
            nodes: bool (n,) three patches or more meet there.
        """
        for plane, chosen in ((_VERTEX, slice(None)), (_NODE, nodes)):
            marked = np.zeros((rows, self._columns), np.bool_)
            marked[points[0][chosen] - first, points[1][chosen]] = True
            self._bits[first : first + rows, plane] = np.packbits(marked, axis=1, bitorder="little")

    def vertices(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of some lattice points are vertices: bool (n,)."""
        return self._look(_VERTEX, rows, columns)

    def nodes(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.bool_]:
        """At which of some lattice points three patches or more meet: bool (n,)."""
        return self._look(_NODE, rows, columns)

    def _look(self, plane: int, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.bool_]:
        held = self._bits[rows, plane, columns >> 3]
        return np.asarray((held >> (columns & 7).astype(np.uint8) & 1) == 1)
