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
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from lulc.errors import ConfigError, InputError, LimitError, StorageError
from lulc.grid import Grid, Shape, Window
from lulc.io.files.gdal_errors import LoggedGdalError, raise_logged_errors
from lulc.io.labels.color_mask import decode_colors
from lulc.io.labels.polygons import VECTOR_SUFFIXES, VectorLabels
from lulc.io.labels.values import codes_of, largest_share, normalised_shares
from lulc.io.scene.array_source import ArraySource, is_array
from lulc.io.scene.cube import is_netcdf, open_cube
from lulc.io.scene.raster import sniff
from lulc.io.scene.source import LARGEST_BLOCK, Source
from lulc.legend import NODATA_CODE, Legend

LabelKind = Literal["auto", "codes", "colors", "shares"]
"""How labels are coded."""

_EXACT = 1e-9  # pixels; 0 itself makes rasterio 1.4 forget the transformer
_COLORS = 3


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
        path: GeoTIFF (products of lulc too), .img, JPEG 2000, PNG, JPEG, NetCDF, .npy, or polygons (.gpkg, .geojson,
            .shp, .fgb).
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
        return SourceLabels(ArraySource(path), legend, kind)
    if is_netcdf(path):
        return SourceLabels(open_cube(path), legend, kind)
    return RasterLabels(path, legend, kind, tolerance)


class RasterLabels(AbstractContextManager["RasterLabels"]):
    """Labels in a raster file; see `open_labels`."""

    def __init__(self, path: Path, legend: Legend, kind: LabelKind, tolerance: int | None) -> None:
        driver = sniff(path)
        if driver is None:
            raise InputError(
                f"{path} is not a label raster of a known kind", "give GeoTIFF, .img, PNG, JPEG, NetCDF or .npy"
            )
        self._path, self._tolerance = path, tolerance
        self._dataset = _opened(path, driver[0])
        self._warped: tuple[Grid, Any] | None = None
        made_here = _is_product(self._dataset, legend, path)
        self._legend = Legend.from_table(legend.to_table()) if made_here else legend  # a product holds lulc's own codes
        self.kind = _kind_of_product(self._dataset, kind) if made_here else _kind(self._dataset, legend, kind, path)
        self._masked = MaskFlags.per_dataset in self._dataset.mask_flag_enums[0] and not _alpha(self._dataset)
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
            return largest_share(self.shares_on_grid(grid, window))
        if self.kind == "colors":
            rgb, labelled = self._read([1, 2, 3], grid, window)
            codes = decode_colors(_within(rgb, labelled, self._legend), self._legend, self._tolerance, str(self._path))
        else:
            values, labelled = self._read([1], grid, window)
            return codes_of(values[0], labelled, self._legend, self._path)
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
            # One channel that is 0 is a colour still, and a class without a share is no gap: all bands must be nodata.
            whole = self.kind == "colors" or (self.kind == "shares" and nodata == 0)
            labelled &= (values != nodata).any(axis=0) if whole else (values != nodata).all(axis=0)
        for band in _alpha(source):
            labelled &= source.read(band, window=place) > 0
        if self._masked and source is self._dataset:
            labelled &= source.dataset_mask(window=place) > 0
        return labelled

    def _on(self, grid: Grid) -> Any:  # noqa: ANN401 - a dataset or a warped one
        """The raster itself when it lies on the grid, else warped to it."""
        if self.grid is None or grid.crs is None:
            if self._shape != grid.shape:
                raise InputError(
                    f"{self._path} has {self._shape.width} x {self._shape.height} pixels, "
                    f"the scene {grid.shape.width} x {grid.shape.height}, "
                    f"and the {'labels have' if self.grid is None else 'scene has'} no georeference",
                    "give both a CRS, or one size",
                )
            return self._dataset
        if self.grid.same_as(grid):
            return self._dataset
        if self._warped is None or self._warped[0] is not grid:
            if self._warped is not None:
                self._warped[1].close()
            self._warped = grid, self._warp(grid)
        return self._warped[1]

    def _warp(self, grid: Grid) -> Any:  # noqa: ANN401
        nodata = self._dataset.nodata
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
            add_alpha=self._masked or (nodata is None and not _alpha(self._dataset)),
        )


class SourceLabels(AbstractContextManager["SourceLabels"]):
    """Labels in a `.npy` or NetCDF file: codes (height, width), or shares (K, height, width), on the scene's own grid."""

    def __init__(self, source: Source, legend: Legend, kind: LabelKind) -> None:
        self._path, self._legend, self._source = source.origin.path, legend, source
        self.grid = source.grid if source.grid.georeferenced else None
        planes = len(source.labels)
        fits = {"codes": planes == 1, "shares": planes == len(legend)}
        self.kind: str = ("codes" if fits["codes"] else "shares") if kind == "auto" else kind
        if not fits.get(self.kind):
            source.close()
            raise InputError(
                f"{self._path} has {planes} planes, which are no {self.kind}",
                f"give one plane of codes, or shares of the {len(legend)} classes",
            )

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def on_grid(self, grid: Grid, window: Window) -> NDArray[np.uint8]:
        """Class codes, see `Labels`."""
        if self.kind == "shares":
            return largest_share(self.shares_on_grid(grid, window))
        values, labelled = self._read(grid, window)
        return codes_of(values[0], labelled, self._legend, self._path)

    def shares_on_grid(self, grid: Grid, window: Window) -> NDArray[np.float32]:
        """Shares, see `Labels`."""
        return normalised_shares(*self._read(grid, window))

    def _read(self, grid: Grid, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        own = self._source.grid
        placed = self.grid is not None and grid.crs is not None
        if not (own.same_as(grid) if placed else own.shape == grid.shape):
            raise InputError(
                f"{self._path} ({own.shape.width} x {own.shape.height} px) is not on the grid of its scene "
                f"({grid.shape.width} x {grid.shape.height} px)",
                "give it as GeoTIFF, which is resampled",
            )
        # Not the mask of the source: of a scene's counts a 0 is no data, but a label of 0 may be a class.
        values, _ = self._source.read(range(len(self._source.labels)), window)
        labelled = np.ones(values.shape[1:], dtype=bool)
        if values.dtype.kind == "f":
            labelled &= np.isfinite(values.astype(np.float32)).all(axis=0)
        return values, labelled


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
            dataset = rasterio.open(path, driver=driver)
    except (RasterioError, LoggedGdalError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path} is not a readable {driver} file: {reason}", "check that it is whole") from error
    _check_header(dataset, path)
    return dataset


def _check_header(dataset: Any, path: Path) -> None:  # noqa: ANN401
    """Refuse files that lead elsewhere and blocks that fill the memory."""
    strays = [file for file in map(Path, dataset.files) if not file.name.startswith(path.stem)]
    strays += [file for file in map(Path, dataset.files) if file.resolve().parent != path.resolve().parent]
    if strays:
        raise InputError(f"{path} points to another file, {strays[0]}", "give a file that holds its own pixels")
    block = max(height * width for height, width in dataset.block_shapes) * np.dtype(dataset.dtypes[0]).itemsize
    if block > LARGEST_BLOCK:
        raise LimitError(f"{path} has blocks of {block / 1e6:.0f} MB", "rewrite it tiled")


def _alpha(dataset: Any) -> list[int]:  # noqa: ANN401
    return [band for band, color in enumerate(dataset.colorinterp, 1) if color == ColorInterp.alpha]


def _is_product(dataset: Any, legend: Legend, path: Path) -> bool:  # noqa: ANN401
    """True for a product of lulc.

    Raises:
        InputError: Its classes are not those of the legend.
    """
    table = dataset.tags().get("LULC_LEGEND")
    if table is None:
        return False
    try:
        names = Legend.from_table(json.loads(table)).names
    except (ValueError, ConfigError) as error:
        raise InputError(f"{path} has a damaged legend in its tags", "make it again with lulc classify") from error
    if names != legend.names:
        raise InputError(f"{path} has other classes than the legend {legend.name}", "give its legend with --legend")
    return True


def _kind_of_product(dataset: Any, asked: LabelKind) -> str:  # noqa: ANN401
    return "shares" if asked == "shares" and dataset.count > 1 else "codes"


def _kind(dataset: Any, legend: Legend, asked: LabelKind, path: Path) -> str:  # noqa: ANN401
    """How the raster codes its labels.

    Raises:
        InputError: Its bands do not fit.
    """
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
