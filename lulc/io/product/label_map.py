"""A classified raster that lulc did not make, read as a map: its pixel values are classes of a legend.

It offers what reports need of a product (`ProductReader`): grid, legend and classes. It has no activations, no clouds
and no provenance.
"""

import dataclasses
from collections import Counter
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
_MOST_VALUES = 1000
"""Distinct values that are counted: a raster of measurements has as many as pixels."""


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
        """The refusal of values that the legend lacks, which names the first of them and counts their pixels in the whole map."""
        known = set(self.legend.code_of_value())
        pixels: Counter[float] = Counter(dict.fromkeys(found[:_MOST_VALUES].tolist(), 0))
        for window in self.block_rows():
            values, labelled = self._labels.values_on_grid(self.grid, window)
            distinct, times = np.unique(values[0][labelled], return_counts=True)
            strange = {
                value: count
                for value, count in zip(distinct.tolist(), times.tolist(), strict=True)
                if value not in known
            }
            kept = strange.keys() if len(pixels) < _MOST_VALUES else strange.keys() & pixels.keys()
            pixels.update({value: strange[value] for value in kept})
        return _refusal(self.path, self.legend, pixels)


def _refusal(path: Path, legend: Legend, pixels: Mapping[float, int]) -> InputError:
    """The line about values that a legend lacks, from their pixels."""
    first, more = sorted(pixels)[:_SHOWN], len(pixels) - _SHOWN
    names = [*map(exact, first)]
    counts = " and ".join(f"{pixels[value]:,}" for value in first) if more <= 0 else f"{sum(pixels.values()):,}"
    unit = "pixel" if counts == "1" else "pixels"
    several = f" and {'many' if len(pixels) >= _MOST_VALUES else more} more values" if more > 0 else ""
    remedy = "choose another --legend, or one whose nodata_values lists what is no data"
    if len(first) == 1 and float(first[0]).is_integer():
        remedy = f"give --nodata {names[0]} if that is no data, or choose another --legend"
    return InputError(
        f"{path} holds {', '.join(names)}{several}, which legend {legend.name} does not know ({counts} {unit})", remedy
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
