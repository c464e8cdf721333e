"""A classified raster that lulc did not make, read as a map: its pixel values are classes of a legend.

It offers what reports need of a product (`ProductReader`): grid, legend and classes. It has no activations, no clouds
and no provenance.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError, UsageError
from lulc.grid import Grid, Window
from lulc.io.labels.labels import BandLabels, open_labels
from lulc.io.labels.values import UnknownValuesError, exact
from lulc.legend import NODATA_CODE, Legend, load_legend
from lulc.projection import GridProjection

_ROWS = 256
"""Rows that are read at once."""

_SHOWN = 5


@dataclass(frozen=True)
class LabelMap:
    """An open map of somebody else.

    Attributes:
        path: Its file.
        grid: Georeference and size.
        legend: Classes that its values stand for.
        tags: Nothing: such a map does not say how it was made.
        has_activations: False.
        flags_clouds: False.
    """

    path: Path
    grid: Grid
    legend: Legend
    _labels: BandLabels
    tags: Mapping[str, str] = field(default_factory=dict)
    has_activations: bool = False
    flags_clouds: bool = False

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Class codes of a window: uint8 (height, width), 1..K, 255 nodata.

        Args:
            window: Window inside the map, pixels.

        Raises:
            InputError: A value is none of the legend's; the message counts its pixels in the whole map.
            StorageError: A block cannot be read.
        """
        return self.on_grid(self.grid, window)

    def on_grid(self, grid: Grid, window: Window) -> NDArray[np.uint8]:
        """Class codes of a window of another grid, nearest pixel: uint8 (height, width), 1..K, 255 nodata.

        Raises:
            InputError: As `classes`, or it cannot be laid over that grid.
            StorageError: A block cannot be read.
        """
        shift = GridProjection(grid, self.grid, str(self.path)).shift if grid is not self.grid else (0, 0)
        try:
            if shift is None:
                return self._labels.on_grid(grid, window)
            return self._shifted(window, shift)
        except UnknownValuesError as error:
            raise self._unknown(error.values) from error

    def _shifted(self, window: Window, shift: tuple[int, int]) -> NDArray[np.uint8]:
        """Codes of a window of a grid that shares pixels: they are copied."""
        moved = Window(window.row + shift[0], window.col + shift[1], window.height, window.width)
        wanted = moved.intersection(self.grid.window)
        if wanted == moved:
            return self._labels.on_grid(self.grid, wanted)
        codes = np.full((window.height, window.width), NODATA_CODE, np.uint8)
        if wanted.shape.size:
            codes[wanted.slices(moved)] = self._labels.on_grid(self.grid, wanted)
        return codes

    def block_rows(self) -> Iterator[Window]:
        """Full-width windows of a few rows each, top to bottom."""
        height, width = self.grid.shape.height, self.grid.shape.width
        for row in range(0, height, _ROWS):
            yield Window(row, 0, min(_ROWS, height - row), width)

    def _unknown(self, found: NDArray[np.generic]) -> InputError:
        """The refusal of values that the legend lacks, which names all of them and counts their pixels."""
        known = np.array(sorted(self.legend.code_of_value()))
        counts: dict[float, int] = dict.fromkeys(found.tolist(), 0)
        for window in self.block_rows():
            values, labelled = self._labels.values_on_grid(self.grid, window)
            strange, times = np.unique(values[0][labelled], return_counts=True)
            for value, pixels in zip(strange.tolist(), times.tolist(), strict=True):
                if value not in known:
                    counts[value] = counts.get(value, 0) + pixels
        first = next(iter(sorted(counts)))
        more = f" and {len(counts) - _SHOWN} more values" if len(counts) > _SHOWN else ""
        shown = ", ".join(
            f"{exact(value)} ({pixels:,} pixel{'s' if pixels != 1 else ''})"
            for value, pixels in sorted(counts.items())[:_SHOWN]
        )
        return InputError(
            f"{self.path} holds {shown}{more}, which legend {self.legend.name} does not know",
            f"give --nodata {exact(first)} if that is no data, or choose another --legend"
            if len(counts) == 1
            else "choose another --legend, or one whose nodata_values lists those that are no data",
        )


@contextmanager
def open_label_map(path: Path, legend: str | Path, nodata: int | None = None) -> Iterator[LabelMap]:
    """Open a raster of classes.

    Args:
        path: GeoTIFF or whatever else `open_labels` takes, with a georeference.
        legend: Of its values, by name or path.
        nodata: A value that means no data, beside those of the legend and of the file itself.

    Raises:
        InputError: Not a readable raster of classes, or without a place.
        ConfigError: No such legend.
        UsageError: `nodata` is the value of a class.
    """
    classes = _with_nodata(load_legend(legend), nodata)
    with open_labels(path, classes) as labels:
        if labels.grid is None or not isinstance(labels, BandLabels):
            raise InputError(f"{path} has no georeference", "give a raster with a CRS as the map")
        yield LabelMap(path, labels.grid, classes, labels)


def _with_nodata(legend: Legend, nodata: int | None) -> Legend:
    """The legend with one more value that means no data."""
    if nodata is None or nodata in legend.nodata_values:
        return legend
    code = legend.code_of_value().get(nodata)
    if code is not None:
        name = legend.names[code - 1]
        raise UsageError(f"--nodata {nodata} is the value of {name!r} in legend {legend.name}", "leave it out")
    return dataclasses.replace(legend, nodata_values=(*legend.nodata_values, nodata))
