"""Chips: small images and label arrays as files of their own, GeoTIFF, .npy or NetCDF."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from lulc.errors import InputError, StorageError, raised_as
from lulc.grid import Grid
from lulc.io.files.gdal_errors import LoggedGdalError, raise_logged_errors
from lulc.io.files.opening import opened
from lulc.io.files.storage import storage_errors

_VARIABLE = "chip"
_DAMAGES = (OSError, ValueError, KeyError, EOFError, RasterioError, LoggedGdalError)


def write_chip(path: Path, planes: NDArray[Any], names: Sequence[str], grid: Grid | None = None) -> None:
    """Write one chip; the suffix of `path` decides the format.

    Args:
        path: Ends in .tif, .npy or .nc; its folder exists.
        planes: (len(names), height, width), float32 with NaN or uint8 with 255 where there is no data.
        names: Names of the planes, kept as band descriptions (not in .npy).
        grid: Where the chip lies; None leaves it without georeference.

    Raises:
        StorageError: The disk is full or refuses.
    """
    with storage_errors(path, planes.nbytes):
        if path.suffix == ".npy":
            np.save(path, planes)
        elif path.suffix == ".nc":
            _write_netcdf(path, planes, names, grid)
        else:
            _write_geotiff(path, planes, names, grid)


def read_chip(path: Path) -> NDArray[Any]:
    """Planes of a chip that `write_chip` wrote: (planes, height, width).

    Raises:
        StorageError: Missing or not readable.
    """
    with raised_as(StorageError, f"cannot read the chip {path}", "prepare the training set again", *_DAMAGES):
        if path.suffix == ".npy":
            planes: NDArray[Any] = np.load(path, allow_pickle=False)
        elif path.suffix == ".nc":
            planes = _read_netcdf(path)
        else:
            with opened(lambda: rasterio.open(path, driver="GTiff"), path) as source, raise_logged_errors():
                planes = source.read()
    if planes.ndim != 3:  # noqa: PLR2004 - plane, row, column
        raise InputError(f"{path} has the shape {planes.shape}", "a chip is (planes, height, width)")
    return planes


def _write_geotiff(path: Path, planes: NDArray[Any], names: Sequence[str], grid: Grid | None) -> None:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": planes.shape[0],
        "height": planes.shape[1],
        "width": planes.shape[2],
        "dtype": planes.dtype,
        "nodata": float("nan") if planes.dtype.kind == "f" else 255,
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 3 if planes.dtype.kind == "f" else 1,
        "crs": grid.crs if grid else None,
        # A chip without georeference counts rows from its lower edge: the identity would make every reader warn.
        "transform": grid.transform if grid and grid.crs else Affine(1, 0, 0, 0, -1, planes.shape[1]),
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(planes)
        for band, name in enumerate(names, 1):
            target.set_band_description(band, name)


def _write_netcdf(path: Path, planes: NDArray[Any], names: Sequence[str], grid: Grid | None) -> None:
    import rioxarray  # noqa: F401 - registers .rio
    import xarray as xr

    chip = xr.DataArray(planes, dims=("band", "y", "x"), coords={"band": list(names)}, name=_VARIABLE)
    if grid is not None and grid.crs is not None:
        chip = chip.rio.write_crs(grid.crs).rio.write_transform(grid.transform)
    chip.to_dataset().to_netcdf(path, engine="netcdf4", encoding={_VARIABLE: {"zlib": True, "complevel": 1}})


def _read_netcdf(path: Path) -> NDArray[Any]:
    from netCDF4 import Dataset

    with Dataset(path) as dataset:
        dataset.set_auto_maskandscale(False)
        return np.asarray(dataset.variables[_VARIABLE][:])
