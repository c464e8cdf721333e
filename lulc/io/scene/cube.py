"""NetCDF and Zarr through xarray: one variable per band, or one variable with a band dimension."""

import threading
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import from_origin

from lulc.bands import Radiometry
from lulc.errors import InputError, LimitError, StorageError, raised_as
from lulc.grid import Grid, Shape, Window, grids_align
from lulc.io.scene.source import LARGEST_BLOCK, MOST_PIXELS, Origin, Raster

_NETCDF_MAGIC = (b"CDF", b"\x89HDF")
_HDF5_LOCK = threading.RLock()
"""The HDF5 library under NetCDF is not safe for threads: one lock for the process."""

_UNREADABLE = (OSError, RuntimeError, ValueError)
_BLOCK = 512
_BAND_DIMENSIONS = ("band", "bands", "channel")


def is_netcdf(path: Path) -> bool:
    """True when a file begins as NetCDF 3 or HDF5 do."""
    with path.open("rb") as file:
        return file.read(4).startswith(_NETCDF_MAGIC)


def is_zarr(path: Path) -> bool:
    """True for a folder that is a Zarr group (version 2 or 3)."""
    return path.is_dir() and any((path / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata"))


class CubeSource:
    """Bands of a NetCDF or Zarr dataset, decoded to float32 with NaN where there is no data.

    Args:
        path: File or folder.
        kind: `NetCDF` or `Zarr`.
        pieces: One (height, width) variable per band.
        labels: What the dataset calls them.
        dataset: The open dataset.
    """

    def __init__(
        self, path: Path, kind: str, pieces: list[xr.DataArray], labels: tuple[str | None, ...], dataset: xr.Dataset
    ) -> None:
        self._pieces, self._dataset = pieces, dataset
        self.labels = labels
        self.grid = _grid(pieces[0], path)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.counts = all(np.dtype(piece.encoding.get("dtype", piece.dtype)).kind in "iu" for piece in pieces)
        self.block_shape = Shape(min(_BLOCK, self.grid.shape.height), min(_BLOCK, self.grid.shape.width))
        self.origin = Origin(
            path,
            kind,
            level=str(dataset.attrs.get("LEVEL", "")),
            acquired=str(dataset.attrs.get("ACQUISITION_DATE", "")),
            radiometry=_radiometry(dataset, pieces),
        )

    def read(self, bands: Sequence[int], window: Window) -> Raster:
        """Values and valid mask inside a window."""
        rows, columns = window.slices()
        where = f"{self.origin.path}, rows {window.row}-{window.row_end}, columns {window.col}-{window.col_end}"
        remedy = "the file is damaged or its disk fails"
        with raised_as(StorageError, f"cannot read {where}", remedy, *_UNREADABLE), _HDF5_LOCK:
            planes = [self._pieces[band][rows, columns].to_numpy() for band in bands]
        raw: NDArray[Any] = np.stack(planes).astype(np.float32)
        valid = np.isfinite(raw).all(axis=0)
        return Raster(raw, valid & self._counted(raw, bands) if self.counts else valid)

    def _counted(self, raw: NDArray[np.float32], bands: Sequence[int]) -> NDArray[np.bool_]:
        """Where some stored count is not 0: unpacking turns a 0 into the `add_offset` of its variable."""
        zeros = [np.float32(self._pieces[band].encoding.get("add_offset", 0.0)) for band in bands]
        counted: NDArray[np.bool_] = np.any([plane != zero for plane, zero in zip(raw, zeros, strict=True)], axis=0)
        return counted

    def on_grid(self, grid: Grid) -> "CubeSource":
        """Not possible: a cube has one grid for all its bands."""
        raise InputError(
            f"{self.origin.path} lies on a coarser grid than its companions",
            f"resample it to {grid.shape.width} x {grid.shape.height} px first",
        )

    def close(self) -> None:
        """Close the dataset."""
        with _HDF5_LOCK:
            self._dataset.close()


def open_cube(path: Path) -> CubeSource:
    """A NetCDF file or Zarr group as a source.

    Raises:
        InputError: Not readable, or without a variable of rows and columns.
    """
    kind = "Zarr" if path.is_dir() else "NetCDF"
    # Consolidated metadata only spare requests to far-away stores; looking for them warns when there are none.
    engine: dict[str, Any] = {"engine": "zarr", "consolidated": False} if path.is_dir() else {"engine": "netcdf4"}
    problem, remedy = f"{path} is not a readable {kind} dataset", "check that it is whole"
    with raised_as(InputError, problem, remedy, *_UNREADABLE, KeyError), _HDF5_LOCK:
        dataset = xr.open_dataset(path, **engine, decode_coords="all", cache=False, chunks=None)
    pieces, labels = _pieces(dataset)
    for piece in pieces:
        _check_limits(piece, path)
    if not pieces:
        raise InputError(f"{path} has no variable with rows and columns", "give variables of (y, x) or (band, y, x)")
    return CubeSource(path, kind, pieces, labels, dataset)


def _check_limits(piece: xr.DataArray, path: Path) -> None:
    chunk = piece.encoding.get("preferred_chunks") or {}
    side = prod(int(chunk.get(str(name), size)) for name, size in zip(piece.dims, piece.shape, strict=True))
    stored = bool(chunk) and side * piece.dtype.itemsize > LARGEST_BLOCK
    if stored or piece.size > MOST_PIXELS:
        raise LimitError(f"{path} has {piece.size} pixels a band in chunks of {side}", "rewrite it in smaller chunks")


def _pieces(dataset: xr.Dataset) -> tuple[list[xr.DataArray], tuple[str | None, ...]]:
    """(height, width) arrays of the largest raster shape, and their labels."""
    found: list[tuple[str | None, xr.DataArray]] = []
    for name, variable in dataset.data_vars.items():
        if variable.dtype.kind not in "iuf":
            continue
        if {"x", "y"} <= set(map(str, variable.dims)):
            variable = variable.transpose(..., "y", "x")  # noqa: PLW2901 - some tools write columns first
        if variable.ndim == 2:  # noqa: PLR2004 - rows and columns
            found.append((_label(variable, str(name)), variable))
        elif variable.ndim == 3 and variable.dims[0] in _BAND_DIMENSIONS:  # noqa: PLR2004
            found += [(label, variable[position]) for position, label in enumerate(_band_labels(variable))]
    shape = max((piece.shape for _, piece in found), default=None)
    chosen = [(label, piece) for label, piece in found if piece.shape == shape and label != "source"]
    return [piece for _, piece in chosen], tuple(label for label, _ in chosen)


def _label(variable: xr.DataArray, name: str) -> str:
    """The variable's name, unless only its long name is a band's."""
    from lulc.bands import sensor
    from lulc.io.scene.source import canonical_name

    if canonical_name(name, sensor()) is None and canonical_name(variable.attrs.get("long_name"), sensor()):
        return str(variable.attrs["long_name"])
    return name


def _band_labels(variable: xr.DataArray) -> list[str | None]:
    dimension = str(variable.dims[0])
    if dimension in variable.coords:
        return [str(value) for value in variable.coords[dimension].to_numpy()]
    return [None] * variable.shape[0]


def _grid(piece: xr.DataArray, path: Path) -> Grid:
    import rioxarray  # noqa: F401 - gives arrays their .rio

    shape = Shape(*piece.shape)
    crs = CRS.from_user_input(piece.rio.crs) if piece.rio.crs else None
    from_axes = _transform_of_axes(piece, path)
    stored = _stored_transform(piece)
    # The stored one is exact to the last bit, but cutting a dataset leaves it behind: the axes decide which is true.
    if stored is not None and (from_axes.is_identity or grids_align(stored, from_axes, shape)):
        return Grid(crs, stored, shape)
    return Grid(crs, from_axes, shape)


def _stored_transform(piece: xr.DataArray) -> Affine | None:
    mapping = piece.rio.grid_mapping
    text = piece.coords[mapping].attrs.get("GeoTransform") if mapping in piece.coords else None
    return Affine.from_gdal(*(float(value) for value in str(text).split())) if text else None


def _transform_of_axes(piece: xr.DataArray, path: Path) -> Affine:
    """From pixel-centre coordinates, which must be evenly spaced."""
    y, x = (piece.coords[str(name)].to_numpy() if name in piece.coords else None for name in piece.dims)
    if y is None or x is None or min(len(y), len(x)) < 2:  # noqa: PLR2004 - a spacing needs two
        return Affine.identity()
    steps = (x[-1] - x[0]) / (len(x) - 1), (y[-1] - y[0]) / (len(y) - 1)
    if max(np.ptp(np.diff(x)) / abs(steps[0]), np.ptp(np.diff(y)) / abs(steps[1])) > 1e-3:  # noqa: PLR2004
        raise InputError(f"{path} has unevenly spaced coordinates", "resample it to a regular grid")
    transform: Affine = from_origin(x[0] - steps[0] / 2, y[0] - steps[1] / 2, steps[0], -steps[1])
    return transform


def _radiometry(dataset: xr.Dataset, pieces: list[xr.DataArray]) -> Radiometry | None:
    """From a `quantification` attribute; values that are stored with a `scale_factor` are reflectance once unpacked."""
    for attributes in (pieces[0].attrs, dataset.attrs):
        for name in ("quantification", "REFLECTANCE_SCALE"):
            if name in attributes:
                return Radiometry(float(attributes[name]), float(attributes.get("offset", 0)), "metadata")
    if any("scale_factor" in piece.encoding for piece in pieces):
        return Radiometry(1.0, 0.0, "metadata")
    return None
