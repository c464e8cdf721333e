"""One window of several sources, read in several threads: cut into cells of whole blocks, then put together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Shape, Window
from lulc.io.scene.band_names import SourceBand
from lulc.io.scene.source import Raster, Source
from lulc.threads import PlacedThreads

_LEAST_CELL = 256
"""Smallest side of a cell, pixels: a call costs as much as decoding a few thousand of them."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one thread reads at once: a window of bands of one source, for these planes; `place` tells it from other parts."""

    source: Source
    bands: Sequence[int]
    planes: Sequence[int]
    window: Window
    place: tuple[int, ...]

    def read(self) -> Raster:
        return self.source.read(self.bands, self.window)


def gather(
    sources: Sequence[Source], bands: Sequence[SourceBand], window: Window, dtype: np.dtype[Any], threads: PlacedThreads
) -> Raster:
    """Planes of any sources in one array.

    Args:
        sources: All on one grid.
        bands: What to read of which source, in order.
        window: Inside the grid.
        dtype: Of the array.
        threads: Threads to read in; the result does not depend on their number.

    Raises:
        StorageError: A source cannot be read there.
    """
    several = len({band.source for band in bands}) < threads.count
    parts = list(_parts(sources, bands, window, several=several))
    if len(parts) == 1 and parts[0].source.dtype == dtype:
        return parts[0].read()
    raw = np.empty((len(bands), window.height, window.width), dtype)
    valid = np.ones((window.height, window.width), dtype=bool)
    masks = threads.run([part.place for part in parts], [partial(_fill, raw, window, part) for part in parts])
    for part, mask in zip(parts, masks, strict=True):
        valid[part.window.slices(window)] &= mask
    return Raster(raw, valid)


def _fill(raw: NDArray[Any], window: Window, part: _Part) -> NDArray[np.bool_]:
    """Read a part into the array of its window; returns its valid mask."""
    data, valid = part.read()
    for plane, pixels in zip(part.planes, data, strict=True):
        raw[plane][part.window.slices(window)] = pixels
    return valid


def _parts(sources: Sequence[Source], bands: Sequence[SourceBand], window: Window, *, several: bool) -> Iterator[_Part]:
    """What is read of each source: all of the window, or where several threads share a source, its part in each cell."""
    for number in dict.fromkeys(band.source for band in bands):
        source, planes = sources[number], [plane for plane, band in enumerate(bands) if band.source == number]
        cell = source.cell_shape if several else None
        for place, there in _cells(window, cell) if cell else [((0, 0), window)]:
            yield _Part(source, [bands[plane].band for plane in planes], planes, there, (number, *place))


def cell_shape(block: Shape) -> Shape:
    """Size of the cells of a raster: whole blocks, the fewest that are not smaller than a cell may be."""
    return Shape(*(-(-_LEAST_CELL // side) * side for side in (block.height, block.width)))


def _cells(window: Window, cell: Shape) -> list[tuple[tuple[int, int], Window]]:
    """The parts of a window in each cell of a lattice that starts at row and column 0, with row and column of the cell."""
    rows = range(window.row // cell.height, -(-window.row_end // cell.height))
    columns = range(window.col // cell.width, -(-window.col_end // cell.width))
    if window.shape.size <= _LEAST_CELL**2:
        return [((rows.start, columns.start), window)]
    return [
        ((row, column), Window(row * cell.height, column * cell.width, cell.height, cell.width).intersection(window))
        for row in rows
        for column in columns
    ]
