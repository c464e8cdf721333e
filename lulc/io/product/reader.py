"""Read a product: classes, activations, legend and provenance."""

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from lulc.config import parse_json
from lulc.errors import ConfigError, InputError, StorageError, raised_as
from lulc.grid import Grid, Window
from lulc.io.files.foreign_files import refuse_foreign_files
from lulc.io.files.gdal_errors import LoggedGdalError, raise_logged_errors
from lulc.io.files.georeference import check_georeference
from lulc.io.files.names import refuse_undecodable
from lulc.io.files.opening import opened
from lulc.io.files.tries import read_again
from lulc.io.product.bands import ACTIVATION_SCALE, CLEAR, CLOUDS, FAMILIARITY, SKY, UNFAMILIAR
from lulc.io.scene.raster_header import grid_of
from lulc.legend import NODATA_CODE, Legend
from lulc.resources import open_regular

UNIT_TAG = "LULC_CLEANED_MMU"
"""Tag of a map with a minimum mapping unit: its activations stay what the network said, its classes do not."""

_FAILED = (RasterioError, LoggedGdalError, OSError)
_STEPS = 250
_FLOAT_SLACK = 2e-3


class NotAProductError(InputError):
    """A sound raster that lulc did not make: its tags hold no legend."""


@dataclass(frozen=True)
class ProductReader:
    """An open product.

    Attributes:
        path: File of the product.
        grid: Georeference and size.
        legend: Classes of the product.
        tags: Provenance tags, `LULC_...`.
    """

    path: Path
    grid: Grid
    legend: Legend
    tags: dict[str, str]
    _handle: "_Handle"
    _sound: bool = True

    @property
    def _dataset(self) -> rasterio.DatasetReader:
        return self._handle.dataset

    @property
    def has_activations(self) -> bool:
        """False when the product was made with `--activations none`."""
        names = self._dataset.descriptions[1 : 1 + len(self.legend)]
        return bool(names == self.legend.names or (not any(names) and len(names) == len(self.legend)))

    @property
    def extra_bands(self) -> dict[str, tuple[int, str]]:
        """Bands behind the activations: band number, counted from 1, and unit, by name."""
        known = 1 + (len(self.legend) if self.has_activations else 0)
        named = enumerate(zip(self._dataset.descriptions, self._dataset.units, strict=True), start=1)
        return {name: (number, unit or "") for number, (name, unit) in named if number > known and name}

    def scale_of(self, band: int) -> float:
        """Factor from the stored values of a band, counted from 1, to what they mean."""
        return float(self._dataset.scales[band - 1])

    @property
    def minimum_unit(self) -> str:
        """Minimum mapping unit of a map that `lulc clean` gave one, such as `0.5 ha`: there a class need not have the largest activation.

        Empty for other maps.
        """
        return self.tags.get(UNIT_TAG, "")

    @property
    def flags_clouds(self) -> bool:
        """True when it has the band `clouds`."""
        return CLOUDS.name in self.extra_bands

    @property
    def flags_unfamiliar(self) -> bool:
        """True when it has the band `familiarity`."""
        return FAMILIARITY.name in self.extra_bands

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Class codes of a window: uint8 (height, width), 1..K, 255 nodata.

        Args:
            window: Window inside the product, pixels.

        Raises:
            InputError: A code is not in the legend.
            StorageError: A block cannot be read.
        """
        codes: NDArray[np.uint8] = self._read([1], window)[0].astype(np.uint8, copy=False)
        if self._sound:
            self._check_codes(codes, window)
        return codes

    def activations(self, window: Window) -> NDArray[np.float32]:
        """Activations of a window: float32 (K, height, width), 0..1, NaN where there is no data.

        Raises:
            InputError: As `stored`.
            StorageError: A block cannot be read.
        """
        stored = self.stored_activations(window)
        values = stored.astype(np.float32)
        values *= self.activation_scale
        values[stored == NODATA_CODE] = np.nan
        return values

    def stored_activations(self, window: Window) -> NDArray[np.generic]:
        """Activations of a window as stored: uint8 or float32 (K, height, width), 255 nodata.

        Raises:
            InputError: As `stored`.
            StorageError: A block cannot be read.
        """
        return self.stored(window)[1:]

    def stored(self, window: Window) -> NDArray[np.generic]:
        """Class codes and activations of a window as stored: uint8 or float32 (1 + K, height, width), 255 nodata.

        Raises:
            InputError: A code is not in the legend, the activations of a valid pixel do not sum to 1, or one without data has some.
            StorageError: A block cannot be read.
        """
        stored = self._read(list(range(1, 2 + len(self.legend))), window)
        if self._sound:
            self._check_codes(stored[0].astype(np.uint8, copy=False), window)
            self._check_sums(stored[0] == NODATA_CODE, stored[1:], window)
        return stored

    @property
    def activation_scale(self) -> np.float32:
        """Factor from stored activations to 0..1.

        It follows from the dtype, since programs that copy a file may lose the tag.
        """
        return np.float32(ACTIVATION_SCALE if self.bytewise else 1.0)

    @property
    def bytewise(self) -> bool:
        """True when activations are stored as bytes."""
        return bool(self._dataset.dtypes[0] == "uint8")

    def sky(self, window: Window) -> NDArray[np.uint8]:
        """The band `clouds` of a window: uint8 (height, width), positions in `SKY`, 255 nodata.

        Args:
            window: Window inside a product that has the band, pixels.

        Raises:
            InputError: A code is none of `SKY`, or a pixel has one and no class, or a class and none.
            StorageError: A block cannot be read.
        """
        classes, sky = self._read([1, self.extra_bands[CLOUDS.name][0]], window)
        known = np.logical_or.reduce(
            [sky == position for position in range(len(SKY))]
        )  # np.isin takes ten times as long
        if self._sound and not np.where(classes == NODATA_CODE, sky == NODATA_CODE, known).all():
            raise InputError(
                f"the band {CLOUDS.name} of {self.path} holds what lulc does not write, at rows {window.row}-{window.row_end}",
                "it is damaged or was changed: make the map again",
            )
        codes: NDArray[np.uint8] = sky.astype(np.uint8, copy=False)
        return codes

    def unfamiliar(self, window: Window) -> NDArray[np.bool_]:
        """Pixels of a window that are unlike the training of the model: bool (height, width), False where there is no data.

        Args:
            window: Window inside a product that has the band `familiarity`, pixels.

        Raises:
            StorageError: A block cannot be read.
        """
        stored = self.band(FAMILIARITY.name, window).astype(np.float32)
        return np.asarray(stored < UNFAMILIAR / self.activation_scale)

    def flagged(self, window: Window) -> NDArray[np.bool_]:
        """Pixels of a window that are under clouds or shadows, or unfamiliar: bool (height, width), False without data.

        Args:
            window: Window inside the product, pixels.

        Raises:
            InputError: As `sky`.
            StorageError: A block cannot be read.
        """
        flagged = np.zeros((window.height, window.width), bool)
        if self.flags_clouds:
            sky = self.sky(window)
            flagged |= (sky != CLEAR) & (sky != NODATA_CODE)
        if self.flags_unfamiliar:
            flagged |= self.unfamiliar(window)
        return flagged

    def band(self, name: str, window: Window) -> NDArray[np.generic]:
        """Stored values of a band by its description: (height, width) of the file's dtype, 255 nodata.

        Args:
            name: Description of the band.
            window: Window inside the product, pixels.

        Raises:
            ValueError: There is no band of that name.
            StorageError: A block cannot be read.
        """
        numbers: NDArray[np.generic] = self._read([self._dataset.descriptions.index(name) + 1], window)[0]
        return numbers

    def block_rows(self) -> Iterator[Window]:
        """Full-width windows of one row of blocks each, top to bottom."""
        step = self._dataset.block_shapes[0][0]
        height, width = self._dataset.shape
        for row in range(0, height, step):
            yield Window(row, 0, min(step, height - row), width)

    def _check_codes(self, codes: NDArray[np.uint8], window: Window) -> None:
        strange = codes[(codes == 0) | ((codes > len(self.legend)) & (codes != NODATA_CODE))]
        if strange.size:
            raise InputError(
                f"{self.path} holds class code {strange[0]}, which its legend lacks, at rows {window.row}-{window.row_end}",
                "it is damaged or was changed: make the map again",
            )

    def _check_sums(self, empty: NDArray[np.bool_], stored: NDArray[np.generic], window: Window) -> None:
        """Refuse activations that cannot be lulc's: GDAL may decode a damaged block without an error."""
        bytewise = stored.dtype == np.uint8
        total = stored.sum(axis=0, dtype=np.uint16 if bytewise else np.float32)
        whole, slack = (_STEPS, 0) if bytewise else (1, _FLOAT_SLACK)
        nothing = NODATA_CODE * len(self.legend)
        if not np.where(empty, total == nothing, np.abs(total.astype(np.float32) - whole) <= slack).all():
            raise InputError(
                f"activations of {self.path} do not sum to 1, at rows {window.row}-{window.row_end}, columns {window.col}-{window.col_end}",
                "it is damaged or was changed: make the map again",
            )

    def _read(self, bands: list[int], window: Window) -> NDArray[np.generic]:
        """Stored values; a failed read is tried again before it counts."""
        return read_again(
            lambda: self._handle.read(bands, window),
            (*_FAILED, StorageError),
            lambda error: self._failure(bands, window, error),
            "the file is damaged or its disk fails",
            reset=self._handle.close,
        )

    def _failure(self, bands: list[int], window: Window, error: Exception) -> str:
        several = f"bands {bands[0]}-{bands[-1]}" if len(bands) > 1 else f"band {bands[0]}"
        place = f"{several}, rows {window.row}-{window.row_end}, columns {window.col}-{window.col_end}"
        return f"cannot read {self.path}, {place}: {' '.join(str(error.__cause__ or error).split())}"


def given_activation(activations: NDArray[Any], codes: NDArray[np.uint8]) -> NDArray[Any]:
    """Activation of the class that each pixel is given, (height, width); that of the first class where there is no data.

    It is the largest one, except in a map with a minimum mapping unit.

    Args:
        activations: Of any type, (K, height, width).
        codes: Class codes, uint8 (height, width), 255 nodata.
    """
    known = np.where(codes == NODATA_CODE, 1, codes).astype(np.intp)
    given: NDArray[Any] = np.take_along_axis(activations, known[None] - 1, axis=0)[0]
    return given


class _Handle:
    """A product's open file. GDAL takes blocks for empty after a failed read, so whoever meets one closes it."""

    def __init__(self, path: Path) -> None:
        self._path, self._dataset = path, _opened(path)

    @property
    def dataset(self) -> rasterio.DatasetReader:
        """The file, opened anew when it was closed."""
        if self._dataset.closed:
            self._dataset = _opened(self._path)
        return self._dataset

    def read(self, bands: list[int], window: Window) -> NDArray[np.generic]:
        with raise_logged_errors(logging.WARNING):
            pixels: NDArray[np.generic] = self.dataset.read(bands, window=window.for_rasterio())
        return pixels

    def close(self) -> None:
        self._dataset.close()


def _opened(path: Path) -> rasterio.DatasetReader:
    return opened(lambda: rasterio.open(path.absolute(), driver="GTiff"), path)


@contextmanager
def open_product(path: Path, *, sound: bool = True) -> Iterator[ProductReader]:
    """Open a product that lulc made.

    Args:
        path: File of the product.
        sound: True refuses pixels that break the format; False reads them as they are.

    Raises:
        InputError: The file is not a GeoTIFF, not a product of lulc, or a change map of two dates, or its
            georeference is none.
        StorageError: Its disk fails.
    """
    with raised_as(InputError, f"{path} is not a readable GeoTIFF", "give a product of lulc classify", *_FAILED):
        refuse_undecodable(Path(path))
        os.close(open_regular(Path(path)))  # rasterio would take an address for a file
        handle = _Handle(Path(path))
    with closing(handle):
        dataset = handle.dataset
        refuse_foreign_files(dataset, path)
        tags = {name: value for name, value in dataset.tags().items() if name.startswith("LULC_")}
        try:
            legend = Legend.from_table(parse_json(tags["LULC_LEGEND"]))
        except (KeyError, ValueError, ConfigError) as error:
            kind = NotAProductError if "LULC_LEGEND" not in tags else InputError
            raise kind(f"{path} was not made by lulc classify", "it has no legend in its tags") from error
        grid = grid_of(dataset)
        check_georeference(grid, path)
        yield ProductReader(Path(path), grid, legend, tags, handle, sound)
