"""NetCDF and Zarr through xarray: one variable per band, or variables with a band dimension, on one grid or several."""

import logging
import re
import threading
import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject

from lulc.bands import Radiometry
from lulc.errors import InputError, LimitError, StorageError, raised_as
from lulc.grid import Grid, Shape, Window, map_points
from lulc.io.scene.acquired import stated_date
from lulc.io.scene.cube.place import grid_of_plane
from lulc.io.scene.cube.planes import Plane, is_spectral, planes_of
from lulc.io.scene.platform import platform_of
from lulc.io.scene.source import FIXED_KERNEL, LARGEST_BLOCK, MOST_PIXELS, Origin, Raster, closed_on_error

_HDF5_LOCK = threading.RLock()
"""The HDF5 library under NetCDF is not safe for threads: one lock for the process."""

_log = logging.getLogger(__name__)

_UNREADABLE = (OSError, RuntimeError, ValueError)
_NONSENSE = (*_UNREADABLE, TypeError, AttributeError, LookupError, ArithmeticError)
"""What opening a damaged file raises: zarr calls its constructors with whatever the file states."""

_BLOCK = 512
_LOOK = 64
"""Side of what is looked at to tell digital numbers from reflectance."""

_MARGIN = 2
"""Coarse pixels around a window that bilinear resampling may look at, and one more."""

_NODATA_NAMES = ("nodata", "nodatavals", "nodata_value", "no_data", "_NoData")
"""Attributes beside those that xarray decodes (`_FillValue`, `missing_value`) in which tools state it."""

_NODATA_REMEDY = "write the number that means no data there, or delete the attribute"
_SCALE_REMEDY = "correct it, or give --quantification and --offset"

_ANY_CRS = CRS.from_epsg(3857)
"""Stands on both sides of a resampling within one CRS that the file does not name."""


class CubeSource:
    """Bands of one grid in a NetCDF or Zarr dataset, decoded to float32 with NaN where there is no data.

    Args:
        path: File or folder.
        kind: `NetCDF` or `Zarr`.
        planes: One for each band, all of one shape.

    Raises:
        InputError: Coordinates, a CRS or an attribute that cannot be understood.
    """

    def __init__(self, path: Path, kind: str, planes: Sequence[Plane]) -> None:
        self._pieces = [plane.values for plane in planes]
        self._datasets = [plane.dataset for plane in planes]
        self._nodata = [_undecoded_nodata(piece, path) for piece in self._pieces]
        self.labels = tuple(plane.label for plane in planes)
        self.grid = self._own = grid_of_plane(self._pieces[0], self._datasets[0], path)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.counts = all(_counts(plane.values, path) for plane in _bands(planes))
        self.zeros = None if any(map(_states_nodata, self._pieces)) else tuple(map(_unpacked_zero, self._pieces))
        self.block_shape = Shape(min(_BLOCK, self.grid.shape.height), min(_BLOCK, self.grid.shape.width))
        self.cell_shape: Shape | None = None  # HDF5 reads in one thread at a time, Zarr in threads of its own
        attributes = self._datasets[0].attrs
        self.origin = Origin(
            path,
            kind,
            level=str(attributes.get("LEVEL", "")),
            acquired=stated_date(str(attributes.get("ACQUISITION_DATE", "")), path) or _date(self._pieces[0]),
            radiometry=_radiometry(attributes, planes, path),
            platform=platform_of(attributes),
            stated=planes[0].date,
        )

    def read(self, bands: Sequence[int], window: Window) -> Raster:
        """Values and valid mask inside a window."""
        return self._read(bands, window) if self.grid is self._own else self._resampled(bands, window)

    def _read(self, bands: Sequence[int], window: Window) -> Raster:
        rows, columns = window.slices()
        where = f"{self.origin.path}, rows {window.row}-{window.row_end}, columns {window.col}-{window.col_end}"
        remedy = "the file is damaged or its disk fails"
        with raised_as(StorageError, f"cannot read {where}", remedy, *_UNREADABLE), _HDF5_LOCK:
            planes = [self._pieces[band][rows, columns].to_numpy() for band in bands]
        raw: NDArray[Any] = np.stack(planes).astype(np.float32)
        valid = np.logical_and.reduce(np.isfinite(raw))
        for plane, band in zip(raw, bands, strict=True):
            for nodata in self._nodata[band]:
                valid &= plane != nodata
        return Raster(raw, valid)

    def _resampled(self, bands: Sequence[int], window: Window) -> Raster:
        """A window of the finer grid, bilinear between pixels that have data."""
        target = self.grid.part(window)
        part = self._part_below(target)
        raw, valid = self._read(bands, part)
        coarse = np.where(valid, raw, np.float32("nan"))
        crs = self._own.crs or _ANY_CRS
        fine = np.full((len(bands), window.height, window.width), np.nan, np.float32)
        for source, plane in zip(coarse, fine, strict=True):
            reproject(
                source,
                plane,
                src_transform=self._own.part(part).transform,
                dst_transform=target.transform,
                src_crs=crs,
                dst_crs=crs,
                src_nodata=np.nan,
                dst_nodata=np.nan,
                resampling=Resampling.bilinear,
                **FIXED_KERNEL,
            )
        return Raster(fine, np.logical_and.reduce(np.isfinite(fine)))

    def _part_below(self, target: Grid) -> Window:
        """The pixels of this cube under a part of the finer grid, with a margin."""
        across, down = np.array([0, target.shape.width]), np.array([0, target.shape.height])
        cols, rows = map_points(~self._own.transform, *map_points(target.transform, across, down))
        row, col = int(np.floor(rows.min())), int(np.floor(cols.min()))
        height, width = int(np.ceil(rows.max())) - row, int(np.ceil(cols.max())) - col
        return Window(row, col, height, width).grown(_MARGIN).intersection(self._own.window)

    def on_grid(self, grid: Grid) -> "CubeSource":
        """The same bands on a finer grid, bilinear."""
        other = copy(self)
        other.grid = grid
        return other

    def close(self) -> None:
        """Close the datasets."""
        with _HDF5_LOCK:
            for dataset in self._datasets:
                dataset.close()


def open_cube(path: Path, date: str | None = None, *, choosable: bool = True) -> list[CubeSource]:
    """A NetCDF file or Zarr group as sources: one for each grid of its bands, the finest first.

    Args:
        path: File or folder.
        date: Which to take where there are several, or the beginning of its text, such as `2021-05-27`.
        choosable: Whether the user can choose a date; for messages.

    Raises:
        InputError: Not readable, without a variable of rows and columns, or of several dates of which none was chosen.
        LimitError: More pixels, or larger chunks, than lulc reads.
    """
    kind = "Zarr" if path.is_dir() else "NetCDF"
    problem, remedy = f"{path} is not a readable {kind} dataset", "check that it is whole"
    refused = raised_as(InputError, problem, remedy, *_NONSENSE)
    with refused, _HDF5_LOCK, warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        groups = _open_groups(path)
    for doubt in doubts:
        _log.warning("%s: %s", path, doubt.message)
    with closed_on_error(groups.values()):
        grids = planes_of(groups, path, date, choosable=choosable)
        for plane in (plane for planes in grids for plane in planes):
            _check_limits(plane.values, path)
        return [CubeSource(path, kind, planes) for planes in grids]


def _open_groups(path: Path) -> Mapping[str, xr.Dataset]:
    """The dataset at the root, or those of all groups when that holds no variables."""
    # Consolidated metadata only spare requests to far-away stores; looking for them warns when there are none.
    engine: dict[str, Any] = {"engine": "zarr", "consolidated": False} if path.is_dir() else {"engine": "netcdf4"}
    options: dict[str, Any] = {**engine, "decode_coords": "all", "cache": False, "chunks": None}
    root = xr.open_dataset(path, **options)
    if not root.data_vars:
        root.close()
        return {name: _in_order(group, path) for name, group in sorted(xr.open_groups(path, **options).items())}
    return {"": _in_order(root, path)}


def _in_order(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """The variables of a Zarr group by their names: their own order is that in which the folder was written."""
    return dataset[sorted(dataset.data_vars, key=str)] if path.is_dir() else dataset


def _check_limits(piece: xr.DataArray, path: Path) -> None:
    chunk = piece.encoding.get("preferred_chunks") or {}
    side = prod(int(chunk.get(str(name), size)) for name, size in zip(piece.dims, piece.shape, strict=True))
    stored = bool(chunk) and side * piece.dtype.itemsize > LARGEST_BLOCK
    if stored or piece.size > MOST_PIXELS:
        raise LimitError(f"{path} has {piece.size} pixels a band in chunks of {side}", "rewrite it in smaller chunks")


def _undecoded_nodata(piece: xr.DataArray, path: Path) -> tuple[np.float32, ...]:
    """What attributes that xarray does not decode state as no data, in the values that it gives."""
    scale, shift = piece.encoding.get("scale_factor", 1.0), piece.encoding.get("add_offset", 0.0)
    stated = [(name, value) for name in _NODATA_NAMES for value in np.atleast_1d(piece.attrs.get(name, []))]
    numbers = {_number(value, f"{name} of {piece.name}", path, _NODATA_REMEDY) for name, value in stated}
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, as in the pixels
        return tuple(np.float32(number * scale + shift) for number in numbers if np.isfinite(number))


def _states_nodata(piece: xr.DataArray) -> bool:
    """True when some value other than 0 is declared to mean no data."""
    decoded = [piece.encoding[name] for name in ("_FillValue", "missing_value") if name in piece.encoding]
    stated = [*decoded, *(piece.attrs[name] for name in _NODATA_NAMES if name in piece.attrs)]
    return any(str(value) not in {"0", "0.0"} for each in stated for value in np.atleast_1d(each))


def _counts(piece: xr.DataArray, path: Path) -> bool:
    """True where integers are stored, or floats with a scale of 1 that are all whole numbers, by a look at the middle."""
    if np.dtype(piece.encoding.get("dtype", piece.dtype)).kind in "iu":
        return True
    if piece.encoding.get("scale_factor") != 1:
        return False
    height, width = piece.shape
    middle = piece[height // 2 : height // 2 + _LOOK, width // 2 : width // 2 + _LOOK]
    with (
        raised_as(StorageError, f"cannot read {path}", "the file is damaged or its disk fails", *_UNREADABLE),
        _HDF5_LOCK,
    ):
        values = middle.to_numpy()
    values = values[np.isfinite(values)]
    return bool(values.size and (values == np.round(values)).all() and values.max() > 1)


def _unpacked_zero(piece: xr.DataArray) -> float:
    """What unpacking makes of a stored 0: the `add_offset` of its variable, as float32."""
    return float(np.float32(piece.encoding.get("add_offset", 0.0)))


def _date(piece: xr.DataArray) -> str:
    """The one date that a coordinate gives: a day, or a time to the second."""
    dates = [value.to_numpy() for value in piece.coords.values() if value.ndim == 0 and value.dtype.kind == "M"]
    if len(dates) != 1 or np.isnat(dates[0]):
        return ""
    return str(np.datetime_as_string(dates[0], "s")).removesuffix("T00:00:00")


def _bands(planes: Sequence[Plane]) -> Sequence[Plane]:
    """Those that are named as spectral bands; all where none is."""
    return [plane for plane in planes if is_spectral(plane.label)] or planes


def _radiometry(attributes: Mapping[Any, Any], planes: Sequence[Plane], path: Path) -> Radiometry | None:
    """What all bands state.

    Raises:
        InputError: Some of them state something else than the others.
    """
    said = {plane.label: _radiometry_of(attributes, plane.values, path) for plane in _bands(planes)}
    first, *others = dict.fromkeys(said.values())
    if others:
        one, other = (next(label for label in said if said[label] == each) for each in (first, others[0]))
        problem = f"{path}: the numbers of {one} and {other} are of different scales"
        raise InputError(problem, "store all bands with the same scale_factor or quantification")
    return first


def _radiometry_of(attributes: Mapping[Any, Any], piece: xr.DataArray, path: Path) -> Radiometry | None:
    """From a `quantification` attribute; values stored with a `scale_factor` are reflectance once unpacked.

    A scale of 1 is what writers put where they know nothing, and states none.
    """
    for stated in (piece.attrs, attributes):
        for name in ("quantification", "REFLECTANCE_SCALE"):
            if name in stated:
                offset = _number(stated.get("offset", 0), "offset", path)
                return Radiometry(_number(stated[name], name, path), offset, "metadata")
    return None if piece.encoding.get("scale_factor", 1) == 1 else Radiometry(1.0, 0.0, "metadata")


def _number(value: object, name: str, path: Path, remedy: str = _SCALE_REMEDY) -> float:
    """A number, also as text with a unit behind it (`10000 DN`)."""
    text = re.match(r"\s*([-+.\w]+)", str(value))
    try:
        return float(text[1] if text else "")
    except ValueError:
        problem = f"{path}: its attribute {name} is no number: {str(value)[:40]}"
        raise InputError(problem, remedy) from None
