"""Reading a product back: classes, activations, legend, provenance."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from lulc.errors import ConfigError, InputError, StorageError
from lulc.grid import Grid, Shape, Window
from lulc.legend import NODATA_CODE, Legend


@dataclass(frozen=True)
class ProductReader:
    """An open product.

    Attributes:
        path: Its file.
        grid: Its georeference.
        legend: Its classes.
        tags: Provenance, `LULC_...`.
    """

    path: Path
    grid: Grid
    legend: Legend
    tags: dict[str, str]
    _dataset: rasterio.DatasetReader

    @property
    def has_activations(self) -> bool:
        """False when the product was made with `--activations none`."""
        names = self._dataset.descriptions[1 : 1 + len(self.legend)]
        return bool(names == self.legend.names or (not any(names) and len(names) == len(self.legend)))

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Class codes: uint8 (height, width), 1..K, 255 nodata."""
        codes: NDArray[np.uint8] = self._read([1], window)[0].astype(np.uint8, copy=False)
        return codes

    def activations(self, window: Window) -> NDArray[np.float32]:
        """Activations: float32 (K, height, width), 0..1, NaN where there is no data."""
        stored = self.stored_activations(window)
        values = stored.astype(np.float32)
        values *= self.activation_scale
        values[stored == NODATA_CODE] = np.nan
        return values

    def stored_activations(self, window: Window) -> NDArray[np.generic]:
        """Activations as stored: uint8 or float32 (K, height, width), 255 where there is no data."""
        return self._read(list(range(2, 2 + len(self.legend))), window)

    @property
    def activation_scale(self) -> np.float32:
        """What turns stored activations into 0..1."""
        return np.float32(self._dataset.scales[1])

    def band(self, name: str, window: Window) -> NDArray[np.generic]:
        """Numbers of a band by its description, as stored: (height, width), 255 where there is no data."""
        numbers: NDArray[np.generic] = self._read([self._dataset.descriptions.index(name) + 1], window)[0]
        return numbers

    def block_rows(self) -> Iterator[Window]:
        """Full-width windows of one row of blocks each, top to bottom."""
        step = self._dataset.block_shapes[0][0]
        height, width = self._dataset.shape
        for row in range(0, height, step):
            yield Window(row, 0, min(step, height - row), width)

    def _read(self, bands: list[int], window: Window) -> NDArray[np.generic]:
        place = RasterioWindow(window.col, window.row, window.width, window.height)
        try:
            pixels: NDArray[np.generic] = self._dataset.read(bands, window=place)
        except RasterioError as error:
            raise StorageError(f"cannot read {self.path} at row {window.row}, column {window.col}: {error}") from error
        return pixels


@contextmanager
def open_product(path: Path) -> Iterator[ProductReader]:
    """Open a product that lulc made.

    Raises:
        InputError: Not a GeoTIFF, or not a product of lulc.
    """
    try:
        dataset = rasterio.open(path, driver="GTiff")
    except RasterioError as error:
        raise InputError(f"{path} is not a readable GeoTIFF", "give a product of lulc classify") from error
    with dataset:
        tags = {name: value for name, value in dataset.tags().items() if name.startswith("LULC_")}
        if tags.get("LULC_KIND") == "change":
            raise InputError(f"{path} holds two dates of lulc patches change", "give a map of one date")
        try:
            legend = Legend.from_table(json.loads(tags["LULC_LEGEND"]))
        except (KeyError, ValueError, ConfigError) as error:
            raise InputError(f"{path} was not made by lulc classify", "it has no legend in its tags") from error
        gcps, gcps_crs = dataset.gcps
        grid = Grid(
            dataset.crs,
            dataset.transform,
            Shape(*dataset.shape),
            gcps,
            gcps_crs,
            dataset.rpcs,
            point=dataset.tags().get("AREA_OR_POINT") == "Point",
        )
        yield ProductReader(Path(path), grid, legend, tags, dataset)
