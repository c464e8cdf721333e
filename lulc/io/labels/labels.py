"""Labels: class codes or shares on the grid of a scene, from rasters, colour masks, arrays or polygons."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from lulc.config import parse_json
from lulc.errors import ConfigError, InputError, raised_as
from lulc.grid import Grid, Window
from lulc.io.files.georeference import check_georeference
from lulc.io.files.vector import VECTOR_SUFFIXES
from lulc.io.labels.color_mask import decode_colors
from lulc.io.labels.polygons import VectorLabels
from lulc.io.labels.values import codes_of, largest_share, normalised_shares
from lulc.io.scene.array_source import ArraySource, is_array
from lulc.io.scene.cube.kind import is_netcdf
from lulc.io.scene.raster import RasterSource, open_raster, sniff
from lulc.io.scene.source import Raster, Source, closed_on_error
from lulc.legend import NODATA_CODE, Legend

LabelKind = Literal["auto", "codes", "colors", "shares"]
"""How labels are coded."""

_COLORS = 3


class Labels(AbstractContextManager["Labels"], Protocol):
    """Labels of one legend.

    Attributes:
        kind: `codes`, `colors` or `shares`.
        grid: Where the labels lie; None for polygons, and for rasters without georeference.
    """

    kind: str
    grid: Grid | None

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
        problem = f"{path} is no regular file" if path.exists() else f"no such file: {path}"
        raise InputError(problem, "give a label raster, polygons, or a folder of masks")
    if path.suffix.lower() in VECTOR_SUFFIXES:
        return VectorLabels(path, legend, attribute, layer)
    source = _open_bands(path)
    with closed_on_error([source]):
        check_georeference(source.grid, path)
        if isinstance(source, RasterSource):
            return RasterLabels(source, legend, kind, tolerance)
        return ArrayLabels(source, legend, kind)


def _open_bands(path: Path) -> Source:
    if is_array(path):
        return ArraySource(path)
    if is_netcdf(path):
        from lulc.io.scene.cube.cube import open_cube

        return open_cube(path, choosable=False)[0]
    if sniff(path) is None:
        raise InputError(
            f"{path} is not a label raster of a known kind", "give GeoTIFF, .img, PNG, JPEG, NetCDF or .npy"
        )
    return open_raster(path, categorical=True)


class BandLabels(AbstractContextManager["BandLabels"], ABC):
    """Labels in the bands of a source: one of codes, or one of shares for each class; see `Labels`."""

    kind: str

    def __init__(self, source: Source, legend: Legend, grid: Grid | None) -> None:
        self._source, self._legend, self._path, self.grid = source, legend, source.origin.path, grid

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

    def values_on_grid(self, grid: Grid, window: Window) -> Raster:
        """Values as stored, (bands, height, width), and where there are any, on a window of a grid."""
        return self._read(grid, window)

    @abstractmethod
    def _read(self, grid: Grid, window: Window) -> Raster:
        """Values (bands, height, width) and where there are any."""


class RasterLabels(BandLabels):
    """Labels in a raster file, on any grid: the nearest is taken. They may be painted in colours, too."""

    def __init__(self, source: RasterSource, legend: Legend, kind: LabelKind, tolerance: int | None) -> None:
        made_here = _is_product(source, legend)
        own = source.grid  # labels are not georeferenced by control points
        super().__init__(
            source,
            Legend.from_table(legend.to_table()) if made_here else legend,  # a product holds lulc's own codes
            Grid(own.crs, own.transform, own.shape) if own.crs is not None else None,
        )
        self._raster, self._tolerance = source, tolerance
        self._warped: RasterSource | None = None
        self.kind = _kind_of_product(source, legend, kind) if made_here else _kind(source, legend, kind)
        first = 1 if made_here else 0  # of a product's shares: behind its classes, and before bands of other kinds
        shares = list(range(first, first + len(legend)))
        self._bands = {"codes": [0], "colors": [0, 1, 2], "shares": shares}[self.kind]
        # One channel that is 0 is a colour still, and a class without a share is no gap: all bands must be nodata.
        if self.kind == "colors" or (self.kind == "shares" and source.declared_nodata == 0):
            source.nodata_in = "all"

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self._warped is not None:
            self._warped.close()

    def on_grid(self, grid: Grid, window: Window) -> NDArray[np.uint8]:
        """Class codes, see `Labels`."""
        if self.kind != "colors":
            return super().on_grid(grid, window)
        rgb, labelled = self._read(grid, window)
        known = np.array(next(iter(self._legend)).rgb, np.uint8)[:, None, None]  # where there are no colours
        colors = np.where(labelled, rgb, known).astype(np.uint8)
        codes = decode_colors(colors, self._legend, self._tolerance, str(self._path))
        codes[~labelled] = NODATA_CODE
        return codes

    def _read(self, grid: Grid, window: Window) -> Raster:
        return self._on(grid).read(self._bands, window)

    def _on(self, grid: Grid) -> RasterSource:
        """The raster itself when it lies on the grid, else warped to it."""
        if _pixel_by_pixel(self.grid or self._raster.grid, grid, self._path):
            return self._raster
        if self._warped is None or self._warped.grid is not grid:
            if self._warped is not None:
                self._warped.close()
            self._warped = self._raster.on_grid(grid)
        return self._warped


class ArrayLabels(BandLabels):
    """Labels in a `.npy` or NetCDF file: codes (height, width), or shares (K, height, width), on the scene's own grid."""

    def __init__(self, source: Source, legend: Legend, kind: LabelKind) -> None:
        super().__init__(source, legend, source.grid if source.grid.georeferenced else None)
        planes = len(source.labels)
        fits = {"codes": planes == 1, "shares": planes == len(legend)}
        self.kind = ("codes" if fits["codes"] else "shares") if kind == "auto" else kind
        if not fits.get(self.kind):
            raise InputError(
                f"{self._path} has {planes} planes, which are no {self.kind}",
                f"give one plane of codes, or shares of the {len(legend)} classes",
            )

    def _read(self, grid: Grid, window: Window) -> Raster:
        own = self._source.grid
        upward = own.georeferenced and _mirrored(own).same_as(grid)  # rows of a NetCDF file may go from south to north
        if not upward and not _pixel_by_pixel(own, grid, self._path):
            raise InputError(
                f"{self._path} ({own.shape.width} x {own.shape.height} px) is not on the grid of its scene "
                f"({grid.shape.width} x {grid.shape.height} px): its pixels lie elsewhere, or are of another size",
                "give it as GeoTIFF, which is resampled",
            )
        here = Window(own.shape.height - window.row_end, *(window.col, window.height, window.width))
        # Not the mask of the source: of a scene's counts a 0 is no data, but a label of 0 may be a class.
        values, _ = self._source.read(range(len(self._source.labels)), here if upward else window)
        values = values[:, ::-1] if upward else values
        labelled = np.ones(values.shape[1:], dtype=bool)
        if values.dtype.kind == "f":
            labelled &= np.isfinite(values.astype(np.float32)).all(axis=0)
        return Raster(values, labelled)


def _mirrored(grid: Grid) -> Grid:
    """The same ground with its rows in the other direction."""
    return replace(grid, transform=grid.transform @ Affine(1, 0, 0, 0, -1, grid.shape.height))


def _pixel_by_pixel(own: Grid, grid: Grid, path: Path) -> bool:
    """True when labels lie on the pixels of a grid, False when they must be resampled to it.

    Raises:
        InputError: One states no place and the sizes differ, or both state one of which pixels cannot be compared.
    """
    if own.crs is not None and grid.crs is not None and not grid.gcps:
        return own.same_as(grid)
    if own.georeferenced and grid.georeferenced:
        if own.same_as(grid) and own.rpcs == grid.rpcs:
            return True
        raise InputError(
            f"{path} cannot be laid over the scene or map: control points or RPCs place one of them",
            "warp that one first, such as with gdalwarp -t_srs EPSG:N",
        )
    if own.shape != grid.shape:
        raise InputError(
            f"{path} has {own.shape.width} x {own.shape.height} pixels, "
            f"the scene {grid.shape.width} x {grid.shape.height}, "
            f"and the {'scene has' if own.georeferenced else 'labels have'} no georeference",
            "give both a CRS, or one size",
        )
    return True


def _is_product(source: RasterSource, legend: Legend) -> bool:
    """True for a product of lulc.

    Raises:
        InputError: Its classes are not those of the legend.
    """
    table, path = source.tags.get("LULC_LEGEND"), source.origin.path
    if table is None:
        return False
    problem, remedy = f"{path} has a damaged legend in its tags", "make it again with lulc classify"
    with raised_as(InputError, problem, remedy, ValueError, ConfigError):
        names = Legend.from_table(parse_json(table)).names
    if names != legend.names:
        raise InputError(f"{path} has other classes than the legend {legend.name}", "give its legend with --legend")
    return True


def _kind_of_product(source: RasterSource, legend: Legend, requested: LabelKind) -> str:
    """Shares if they are requested for and there: behind the classes lie activations, or none."""
    behind = source.labels[1 : 1 + len(legend)]
    there = len(behind) == len(legend) and (behind == legend.names or not any(behind))
    return "shares" if requested == "shares" and there else "codes"


def _kind(source: RasterSource, legend: Legend, requested: LabelKind) -> str:
    """How the raster codes its labels.

    Raises:
        InputError: Its bands do not fit.
    """
    count = len(source.labels) - source.colors.count(ColorInterp.alpha)  # that one says where there are labels
    colors = count in {_COLORS, _COLORS + 1} and source.dtype == np.uint8
    fits = {"codes": count == 1, "colors": colors, "shares": count == len(legend)}
    if requested == "auto":
        painted = colors and ColorInterp.red in source.colors
        requested = "codes" if fits["codes"] else "colors" if painted or not fits["shares"] else "shares"
    if not fits[requested]:
        raise InputError(
            f"{source.origin.path} has {len(source.labels)} bands of {source.dtype}, which are no {requested}",
            f"labels are 1 band of codes, 3 bands of colours, or {len(legend)} bands of shares",
        )
    return requested
