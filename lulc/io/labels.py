"""Labels: class codes or shares on the grid of a scene, from rasters, colour masks, arrays or polygons."""

import json
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from lulc.errors import InputError, StorageError
from lulc.grid import Grid, Shape, Window
from lulc.io.array_source import ArraySource, is_array
from lulc.io.color_mask import decode_colors
from lulc.io.gdal_errors import LoggedGdalError, raise_logged_errors
from lulc.io.raster import sniff
from lulc.io.vector_labels import VECTOR_SUFFIXES, VectorLabels
from lulc.legend import NODATA_CODE, Legend

LabelKind = Literal["auto", "codes", "colors", "shares"]
"""How labels are coded."""

_EXACT = 1e-9  # pixels; 0 itself makes rasterio 1.4 forget the transformer
_COLORS = 3
_SHOWN = 5


class Labels(Protocol):
    """Labels of one legend.

    Attributes:
        kind: `codes`, `colors` or `shares`.
        grid: Where the labels lie; None for polygons, and for rasters without georeference.
    """

    kind: str
    grid: Grid | None

    def __enter__(self) -> Self:
        """The labels."""

    def __exit__(self, *_: object) -> None:
        """Release files."""

    def on_grid(self, grid: Grid, window: Window) -> NDArray[np.uint8]:
        """Class codes on a window of a grid, nearest label: uint8 (height, width), 255 where not labelled.

        Raises:
            InputError: A value or colour that the legend does not know, or labels that cannot be placed.
            StorageError: The file cannot be read there.
        """

    def shares_on_grid(self, grid: Grid, window: Window) -> NDArray[np.float32]:
        """Shares of the classes: float32 (K, height, width), summing to 1, NaN where not labelled."""


def open_labels(
    path: Path,
    legend: Legend,
    *,
    kind: LabelKind = "auto",
    attribute: str | None = None,
    layer: str | None = None,
    tolerance: int | None = None,
) -> Labels:
    """Open labels.

    Args:
        path: GeoTIFF, .img, JPEG 2000, PNG, JPEG, .npy, or polygons (.gpkg, .geojson, .shp).
        legend: Classes, with their pixel values and colours.
        kind: How classes are coded; `auto` looks at the number of bands.
        attribute: Column of polygons that holds the class.
        layer: Layer of polygons.
        tolerance: Largest difference per channel between a colour and its class.

    Raises:
        InputError: Not readable, or not labels of this legend.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}", "give a label raster, polygons, or a folder of masks")
    if path.suffix.lower() in VECTOR_SUFFIXES:
        return VectorLabels(path, legend, attribute, layer)
    if is_array(path):
        return ArrayLabels(path, legend, kind)
    return RasterLabels(path, legend, kind, tolerance)


class RasterLabels(AbstractContextManager["RasterLabels"]):
    """Labels in a raster file; see `open_labels`."""

    def __init__(self, path: Path, legend: Legend, kind: LabelKind, tolerance: int | None) -> None:
        driver = sniff(path)
        if driver is None:
            raise InputError(f"{path} is not a label raster of a known kind", "give GeoTIFF, .img, PNG, JPEG or .npy")
        self._path, self._legend, self._tolerance = path, legend, tolerance
        self._dataset = _opened(path, driver[0])
        self._warped: tuple[Grid, Any] | None = None
        self.kind = _kind(self._dataset, legend, kind, path)
        placed = self._dataset.crs is not None and not self._dataset.transform.is_identity
        shape = Shape(*self._dataset.shape)
        self._shape = shape
        self.grid = Grid(self._dataset.crs, self._dataset.transform, shape) if placed else None

    def __exit__(self, *_: object) -> None:
        if self._warped is not None:
            self._warped[1].close()
        self._dataset.close()

    def on_grid(self, grid: Grid, window: Window) -> NDArray[np.uint8]:
        """Class codes, see `Labels`."""
        if self.kind == "shares":
            shares = self.shares_on_grid(grid, window)
            codes = np.nan_to_num(shares, nan=-1.0).argmax(axis=0).astype(np.uint8) + np.uint8(1)
            return np.where(np.isnan(shares[0]), NODATA_CODE, codes).astype(np.uint8)
        if self.kind == "colors":
            rgb, labelled = self._read([1, 2, 3], grid, window)
            codes = decode_colors(_within(rgb, labelled, self._legend), self._legend, self._tolerance, str(self._path))
        else:
            values, labelled = self._read([1], grid, window)
            codes = codes_of(values[0], labelled, self._legend, self._path)
        codes[~labelled] = NODATA_CODE
        return codes

    def shares_on_grid(self, grid: Grid, window: Window) -> NDArray[np.float32]:
        """Shares, see `Labels`."""
        bands = list(range(self._dataset.count - len(self._legend) + 1, self._dataset.count + 1))
        values, labelled = self._read(bands, grid, window)
        return normalised_shares(values, labelled)

    def _read(self, bands: Sequence[int], grid: Grid, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Values (bands, height, width) and where there are any."""
        place = RasterioWindow(window.col, window.row, window.width, window.height)
        try:
            with raise_logged_errors(logging.WARNING):
                source = self._on(grid)
                values: NDArray[np.generic] = source.read(list(bands), window=place)
                labelled = self._labelled(source, values, place)
        except (RasterioError, LoggedGdalError, OSError) as error:
            raise StorageError(f"cannot read {self._path}: {error}", "the file is damaged or its disk fails") from error
        return values, labelled

    def _labelled(self, source: Any, values: NDArray[Any], place: RasterioWindow) -> NDArray[np.bool_]:  # noqa: ANN401
        labelled = np.ones(values.shape[1:], dtype=bool)
        if values.dtype.kind == "f":
            labelled &= np.isfinite(values).all(axis=0)
        nodata = self._dataset.nodata
        if nodata is not None and not np.isnan(nodata):
            labelled &= (values != nodata).all(axis=0) if self.kind != "colors" else (values != nodata).any(axis=0)
        alpha = [band for band, color in enumerate(source.colorinterp, 1) if color == ColorInterp.alpha]
        for band in alpha:
            labelled &= source.read(band, window=place) > 0
        return labelled

    def _on(self, grid: Grid) -> Any:  # noqa: ANN401 - a dataset or a warped one
        """The raster itself when it lies on the grid, else warped to it."""
        if self.grid is None or grid.crs is None:
            if self._shape != grid.shape:
                raise InputError(
                    f"{self._path} has {self._shape.width} x {self._shape.height} pixels and no georeference, "
                    f"the scene {grid.shape.width} x {grid.shape.height}",
                    "give labels of the scene's size, or with a CRS",
                )
            return self._dataset
        if self.grid.same_as(grid):
            return self._dataset
        if self._warped is None or self._warped[0] is not grid:
            self._warped = grid, self._warp(grid)
        return self._warped[1]

    def _warp(self, grid: Grid) -> Any:  # noqa: ANN401
        nodata = self._dataset.nodata
        has_alpha = ColorInterp.alpha in self._dataset.colorinterp
        return WarpedVRT(
            self._dataset,
            crs=grid.crs,
            transform=grid.transform,
            height=grid.shape.height,
            width=grid.shape.width,
            resampling=Resampling.nearest,
            tolerance=_EXACT,
            src_nodata=nodata,
            nodata=nodata,
            add_alpha=nodata is None and not has_alpha,
        )


class ArrayLabels(AbstractContextManager["ArrayLabels"]):
    """Labels in a `.npy` file: codes (height, width), or shares (K, height, width)."""

    grid: Grid | None = None

    def __init__(self, path: Path, legend: Legend, kind: LabelKind) -> None:
        self._path, self._legend = path, legend
        self._source = ArraySource(path)
        bands = len(self._source.labels)
        if bands not in {1, len(legend)} or kind == "colors":
            raise InputError(f"{path} has {bands} planes", f"give codes, or shares of the {len(legend)} classes")
        self.kind = "codes" if bands == 1 else "shares"

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def on_grid(self, grid: Grid, window: Window) -> NDArray[np.uint8]:
        """Class codes, see `Labels`."""
        values, labelled = self._read(grid, window)
        if self.kind == "codes":
            codes = codes_of(values[0], labelled, self._legend, self._path)
        else:
            codes = values.argmax(axis=0).astype(np.uint8) + np.uint8(1)
        codes[~labelled] = NODATA_CODE
        return codes

    def shares_on_grid(self, grid: Grid, window: Window) -> NDArray[np.float32]:
        """Shares, see `Labels`."""
        return normalised_shares(*self._read(grid, window))

    def _read(self, grid: Grid, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        if self._source.grid.shape != grid.shape:
            raise InputError(
                f"{self._path} is of {self._source.grid.shape}, its scene of {grid.shape}", "give one size"
            )
        return self._source.read(range(len(self._source.labels)), window)


def codes_of(values: NDArray[Any], labelled: NDArray[np.bool_], legend: Legend, path: Path) -> NDArray[np.uint8]:
    """Class codes of pixel values: uint8 of the same shape, 255 where the value means "not labelled".

    Raises:
        InputError: A value that the legend does not know.
    """
    known = legend.code_of_value()
    found, place = np.unique(np.where(labelled, values, next(iter(known))), return_inverse=True)
    strange = [value for value in found.tolist() if value not in known]
    if strange:
        count = int(np.isin(values[labelled], strange).sum())
        shown = ", ".join(f"{value:g}" for value in strange[:_SHOWN])
        raise InputError(
            f"{path} holds {shown}, which legend {legend.name} does not know ({count} pixels of one chip)",
            "choose another --legend, or add the value to its nodata_values",
        )
    codes = np.array([known[value] for value in found.tolist()], np.uint8)
    result: NDArray[np.uint8] = codes[place].reshape(values.shape)
    return result


def normalised_shares(values: NDArray[Any], labelled: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Shares that sum to 1: float32 (K, height, width), NaN where not labelled or where all are 0."""
    shares = values.astype(np.float32)
    total = shares.sum(axis=0)
    total[~labelled | ~(total > 0)] = np.nan
    result: NDArray[np.float32] = shares / total
    return result


def _within(rgb: NDArray[Any], labelled: NDArray[np.bool_], legend: Legend) -> NDArray[np.uint8]:
    """The colours, with a known one where there are none."""
    known = np.array(next(iter(legend)).rgb, np.uint8)
    return np.where(labelled, rgb, known[:, None, None]).astype(np.uint8)


def _opened(path: Path, driver: str) -> Any:  # noqa: ANN401
    import warnings

    from rasterio.errors import NotGeoreferencedWarning

    try:
        with raise_logged_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # masks often have no place
            return rasterio.open(path, driver=driver)
    except (RasterioError, LoggedGdalError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path} is not a readable {driver} file: {reason}", "check that it is whole") from error


def _kind(dataset: Any, legend: Legend, asked: LabelKind, path: Path) -> str:  # noqa: ANN401
    """How the raster codes its labels.

    Raises:
        InputError: Its bands do not fit.
    """
    product = dataset.tags().get("LULC_LEGEND")
    if product is not None:
        names = tuple(entry["name"] for entry in json.loads(product)["classes"])
        if names != legend.names:
            raise InputError(f"{path} has other classes than the legend {legend.name}", "give its legend with --legend")
        return "shares" if asked == "shares" and dataset.count > 1 else "codes"
    colors = dataset.count in {_COLORS, _COLORS + 1} and set(dataset.dtypes) == {"uint8"}
    fits = {"codes": dataset.count == 1, "colors": colors, "shares": dataset.count == len(legend)}
    if asked == "auto":
        painted = colors and ColorInterp.red in dataset.colorinterp
        asked = "codes" if fits["codes"] else "colors" if painted or not fits["shares"] else "shares"
    if not fits[asked]:
        raise InputError(
            f"{path} has {dataset.count} bands of {dataset.dtypes[0]}, which are no {asked}",
            f"labels are 1 band of codes, 3 bands of colours, or {len(legend)} bands of shares",
        )
    return asked
