"""What every kind of input offers: bands on a grid, read by window."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lulc.bands import Radiometry, Sensor
from lulc.grid import Grid, Shape, Window
from lulc.indices import INDICES

MOST_PIXELS = 20_000_000_000
"""Largest raster that is opened; a header may declare anything."""

ALPHA = "alpha"
"""Label of a band of transparency."""

LARGEST_BLOCK = 256 << 20
"""Largest block, bytes, that is decoded at once."""


FIXED_KERNEL = {"XSCALE": 1, "YSCALE": 1}
"""Of GDAL's warper: else the kernel would follow the cut of the windows."""


class Raster(NamedTuple):
    """Pixels of a window with their mask.

    Attributes:
        data: (bands, height, width) in the dtype of the source, such as digital numbers; undefined where not valid.
        valid: bool (height, width), True where there is data.
    """

    data: NDArray[np.generic]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a source says of itself.

    Attributes:
        path: The file or folder the user gave.
        kind: `GeoTIFF`, `JPEG 2000`, `SAFE L2A`, `NetCDF`, ...
        level: Product level, such as `L1C`; empty when not said.
        acquired: Acquisition date or time, or FROM/TO of several; empty when not said.
        radiometry: How digital numbers become reflectance; None when not said.
        nodata: Value that means no data; None when not said.
        files: Where its pixels lie on this machine, when that is not `path`.
        blank: True when 0 means no data beside `nodata`.
        platform: Satellite or instrument, as it is named; empty when not said.
        stated: Text that tells this input from others where its files cannot, such as the addresses of a STAC Item.
    """

    path: Path
    kind: str
    level: str = ""
    acquired: str = ""
    radiometry: Radiometry | None = None
    nodata: float | None = None
    files: tuple[Path, ...] = ()
    blank: bool = False
    platform: str = ""
    stated: str = ""


class Source(Protocol):
    """Bands of one grid.

    Attributes:
        origin: What it says of itself.
        grid: Where its pixels lie.
        labels: What the file calls its bands, in order; None where it says nothing.
        dtype: Type of the raw values.
        counts: True when the file stores integers.
        zeros: What a stored 0 of each band has become. None when 0 is a value like others: something else is stated to
            mean no data, or a mask says where it is.
        block_shape: Size of the blocks that are decoded at once.
        cell_shape: Size of the cells in which several threads may read a window; None where one thread reads all of it.
    """

    origin: Origin
    grid: Grid
    labels: tuple[str | None, ...]
    dtype: np.dtype[Any]
    counts: bool
    block_shape: Shape

    @property
    def cell_shape(self) -> Shape | None:
        """See above."""

    @property
    def zeros(self) -> tuple[float, ...] | None:
        """See above."""

    def read(self, bands: Sequence[int], window: Window) -> Raster:
        """Read bands (counted from 0) inside a window of the grid.

        Raises:
            StorageError: The file cannot be read there.
        """

    def on_grid(self, grid: Grid) -> "Source":
        """The same bands on a finer grid, bilinear; the result does not depend on how windows are cut."""

    def close(self) -> None:
        """Release files."""


class Closable(Protocol):
    """What holds files open."""

    def close(self) -> None:
        """Release them."""


Opened = TypeVar("Opened", bound=Closable)


@contextmanager
def closed_on_error(sources: "Iterable[Closable]") -> Iterator[None]:
    """Close sources when the block fails; those that it adds to the list too."""
    try:
        yield
    except BaseException:
        for source in sources:
            source.close()
        raise


def kept(source: Opened, sources: "list[Opened]") -> Opened:
    """A source that was also put into a list, such as that of `closed_on_error`, by whichever thread opened it."""
    sources.append(source)
    return source


class NamedPixels(Protocol):
    """What a scene offers to those that look at its pixels.

    Attributes:
        grid: Where its pixels lie.
        names: Bands and indices it offers.
        radiometry: How its digital numbers become reflectance.
    """

    grid: Grid
    names: tuple[str, ...]
    radiometry: Radiometry

    def read(self, names: Sequence[str], window: Window) -> Raster:
        """Raw values of bands and indices, (names, height, width), and the valid mask of a window."""

    def reflectance(self, names: Sequence[str], window: Window) -> NDArray[np.float32]:
        """Reflectance of bands and values of indices, float32 (names, height, width), NaN where there is no data."""


def canonical_name(label: str | None, sensor: Sensor) -> str | None:
    """Name of the band or index that a label stands for, or None."""
    return canonical_names([label], sensor)[0]


def canonical_names(labels: Sequence[str | None], sensor: Sensor) -> list[str | None]:
    """Names of the bands and indices that the labels of one scene stand for; None for what is neither."""
    indices = [(label or "").strip().upper() for label in labels]
    bands = sensor.canonical_names(labels)
    return [index if index in INDICES else band for index, band in zip(indices, bands, strict=True)]
