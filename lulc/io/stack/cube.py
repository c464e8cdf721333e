"""A stack of bands and indices as NetCDF-4 or Zarr: one CF variable a channel, on the grid's x and y coordinates."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Grid, Window, map_points
from lulc.io.files.atomic import staged
from lulc.io.stack.geotiff import SOURCE, StackLayout, StackSink

_REFLECTANCE = {"quantification": 1.0, "offset": 0.0}
"""Tells a reader that the numbers are reflectance already."""

_NETCDF_CACHED_CHUNKS = 2
"""HDF5's own default keeps up to 64 MB a variable, which would be a gigabyte for a stack."""


@contextmanager
def netcdf_sink(target: Path, layout: StackLayout, *, overwrite: bool = False) -> Iterator[StackSink]:
    """A sink for a NetCDF-4 file (deflate, shuffled), published when the block ends well.

    Raises:
        InputError: The grid has no x and y coordinates (rotated, or placed by control points).
        StorageError: The target cannot be written; nothing is left there.
    """
    import netCDF4
    from xarray.backends.locks import HDF5_LOCK  # xarray holds it while the threads of a NetCDF scene read

    template = _template(layout)
    with staged(target, overwrite=overwrite) as temporary:
        template.to_netcdf(temporary, engine="netcdf4", format="NETCDF4")
        with HDF5_LOCK:
            file = netCDF4.Dataset(temporary, "a")
            for name, attributes in _channels(layout).items():
                _netcdf_variable(file, name, attributes, layout)
        try:
            yield _writer(file, layout, HDF5_LOCK)
        finally:
            with HDF5_LOCK:
                file.close()


@contextmanager
def zarr_sink(target: Path, layout: StackLayout, *, overwrite: bool = False) -> Iterator[StackSink]:
    """A sink for a Zarr folder of format 2, which GDAL reads as well, published when the block ends well.

    Raises:
        InputError: The grid has no x and y coordinates (rotated, or placed by control points).
        StorageError: The target cannot be written; nothing is left there.
    """
    import zarr

    template = _template(layout)
    with staged(target, overwrite=overwrite) as temporary:
        template.to_zarr(temporary, zarr_format=2, consolidated=False)
        group = zarr.open_group(temporary, mode="r+", zarr_format=2)
        for name, attributes in _channels(layout).items():
            _zarr_variable(group, name, attributes, layout)
        zarr.consolidate_metadata(temporary, zarr_format=2)
        yield _writer(group, layout, nullcontext())


def _writer(store: Any, layout: StackLayout, lock: AbstractContextManager[Any]) -> StackSink:  # noqa: ANN401
    """Write to the named arrays of a NetCDF file or a Zarr group, which index alike, under a lock."""

    def write(window: Window, planes: NDArray[np.float32], source: NDArray[np.uint8]) -> None:
        part = window.slices()
        with lock:
            for name, plane in zip(layout.titles, planes, strict=True):
                store[name][part] = plane
            if layout.sources:
                store[SOURCE][part] = source

    return write


def _channels(layout: StackLayout) -> dict[str, dict[str, str]]:
    """Attributes of every variable, in order."""
    common = {"units": "1"} | ({"grid_mapping": "spatial_ref"} if layout.grid.crs is not None else {})
    return {name: {"long_name": title, **common} for name, title in layout.channels.items()}


def _netcdf_variable(file: Any, name: str, attributes: dict[str, str], layout: StackLayout) -> None:  # noqa: ANN401
    height, width = _chunks(layout)
    dtype = np.dtype(np.uint8 if name == SOURCE else np.float32)
    variable = file.createVariable(
        name,
        dtype,
        ("y", "x"),
        compression="zlib",
        complevel=1,
        shuffle=True,
        chunksizes=(height, width),
        fill_value=False if name == SOURCE else np.float32(np.nan),
        chunk_cache=_NETCDF_CACHED_CHUNKS * height * width * dtype.itemsize,
    )
    variable.setncatts(attributes)


def _zarr_variable(group: Any, name: str, attributes: dict[str, str], layout: StackLayout) -> None:  # noqa: ANN401
    source = name == SOURCE
    group.create_array(
        name,
        shape=(layout.grid.shape.height, layout.grid.shape.width),
        dtype=np.uint8 if source else np.float32,
        chunks=_chunks(layout),
        fill_value=None if source else np.nan,
        attributes={"_ARRAY_DIMENSIONS": ["y", "x"], **attributes},
    )


def _chunks(layout: StackLayout) -> tuple[int, int]:
    return min(layout.chunk, layout.grid.shape.height), min(layout.chunk, layout.grid.shape.width)


def _template(layout: StackLayout) -> Any:  # noqa: ANN401 - xarray.Dataset, imported late
    """A dataset without channels: coordinates, grid mapping and provenance."""
    import rioxarray  # noqa: F401 - registers .rio
    import xarray as xr

    grid = layout.grid
    if grid.gcps or grid.rpcs is not None or not grid.transform.is_rectilinear or grid.transform.b:
        raise InputError(
            "a rotated scene, or one placed by control points, has no x and y coordinates", "write a .tif instead"
        )
    x, y = pixel_centres(grid)
    template = xr.Dataset(
        coords={"y": ("y", y), "x": ("x", x)}, attrs={"Conventions": "CF-1.8", **_REFLECTANCE, **layout.tags}
    )
    if grid.crs is None:
        return template
    return template.rio.write_crs(grid.crs).rio.write_transform(grid.transform).rio.write_coordinate_system()


def pixel_centres(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates x (width,) and y (height,) of the pixel centres of a grid that is not rotated."""
    columns, rows = np.arange(grid.shape.width) + 0.5, np.arange(grid.shape.height) + 0.5
    x, _ = map_points(grid.transform, columns, np.zeros_like(columns))
    _, y = map_points(grid.transform, np.zeros_like(rows), rows)
    return x, y
