"""A stack of bands and indices as NetCDF-4 or Zarr: one CF variable a channel, on the grid's x and y coordinates."""

import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Window
from lulc.indices import INDICES
from lulc.io.files.atomic import staged
from lulc.io.stack.coordinates import SPATIAL_REF, Coordinate, coordinates
from lulc.io.stack.geotiff import SOURCE, StackLayout, StackSink

_REFLECTANCE = {"quantification": 1.0, "offset": 0.0}
"""Tells a reader that the numbers are reflectance already."""

_NETCDF_CACHED_CHUNKS = 2
"""HDF5's own default keeps up to 64 MB a variable, which would be a gigabyte for a stack."""

_SAMPLE = 1 << 14
"""Values of the first window by which it is decided whether a channel is shuffled."""


@contextmanager
def netcdf_sink(target: Path, layout: StackLayout, *, overwrite: bool = False) -> Iterator[StackSink]:
    """A sink for a NetCDF-4 file (deflate), published when the block ends well.

    Raises:
        InputError: The grid has no x and y coordinates (rotated, or placed by control points).
        StorageError: The target cannot be written; nothing is left there.
    """
    import netCDF4

    places = coordinates(layout.grid)
    with staged(target, overwrite=overwrite) as temporary:
        lock = _hdf5_lock()
        with lock:
            file = netCDF4.Dataset(temporary, "w", format="NETCDF4")
        write = _writer(file, layout, lock)

        def first_decides(window: Window, planes: NDArray[np.float32], source: NDArray[np.uint8]) -> None:
            with lock:
                if not file.variables.keys() >= layout.channels.keys():
                    _netcdf_channels(file, layout, planes)
            write(window, planes, source)

        try:
            with lock:
                _netcdf_coordinates(file, layout, places)
            yield first_decides
        finally:
            with lock:
                file.close()


@contextmanager
def zarr_sink(target: Path, layout: StackLayout, *, overwrite: bool = False) -> Iterator[StackSink]:
    """A sink for a Zarr folder of format 2, which GDAL reads as well, published when the block ends well.

    Raises:
        InputError: The grid has no x and y coordinates (rotated, or placed by control points).
        StorageError: The target cannot be written; nothing is left there.
    """
    import zarr

    places = coordinates(layout.grid)
    with staged(target, overwrite=overwrite) as temporary:
        group = zarr.create_group(temporary, zarr_format=2, attributes=_attributes(layout))
        for name, (dimensions, values, attributes) in places.items():
            array = group.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=values.shape or "auto",
                fill_value=None,  # xarray takes a number here for one that means no data
                attributes={"_ARRAY_DIMENSIONS": list(dimensions), **attributes},
            )
            array[...] = values
        for name, attributes in _channels(layout).items():
            _zarr_variable(group, name, attributes, layout)
        zarr.consolidate_metadata(temporary, zarr_format=2)
        yield _writer(group, layout, nullcontext())


def _hdf5_lock() -> AbstractContextManager[Any]:
    """What threads that read a NetCDF scene hold: they do so by xarray, which is loaded when such a scene is open."""
    locks = sys.modules.get("xarray.backends.locks")
    return nullcontext() if locks is None else locks.HDF5_LOCK


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
    common = {"units": "1"} | ({"grid_mapping": SPATIAL_REF} if layout.grid.crs is not None else {})
    return {name: {"long_name": title, **common} for name, title in layout.channels.items()}


def _attributes(layout: StackLayout) -> dict[str, Any]:
    """Attributes of the whole stack."""
    place = {"coordinates": SPATIAL_REF} if layout.grid.crs is not None else {}
    return {"Conventions": "CF-1.8", **_REFLECTANCE, **layout.tags, **place}


def _netcdf_coordinates(file: Any, layout: StackLayout, places: dict[str, Coordinate]) -> None:  # noqa: ANN401
    file.setncatts(_attributes(layout))
    for name, (dimensions, values, attributes) in places.items():
        for dimension in dimensions:
            file.createDimension(dimension, values.size)
        variable = file.createVariable(name, values.dtype, dimensions, fill_value=False)
        variable.setncatts(attributes)
        variable[...] = values


def _netcdf_channels(file: Any, layout: StackLayout, planes: NDArray[np.float32]) -> None:  # noqa: ANN401
    """Make the variables of the channels; the planes of the first window decide how each is compressed."""
    shuffled = {name: _better_shuffled(plane, name) for name, plane in zip(layout.titles, planes, strict=True)}
    height, width = _chunks(layout)
    for name, attributes in _channels(layout).items():
        dtype = np.dtype(np.uint8 if name == SOURCE else np.float32)
        variable = file.createVariable(
            name,
            dtype,
            ("y", "x"),
            compression="zlib",
            complevel=1,
            shuffle=shuffled.get(name, False),
            chunksizes=(height, width),
            fill_value=False if name == SOURCE else np.float32(np.nan),
            chunk_cache=_NETCDF_CACHED_CHUNKS * height * width * dtype.itemsize,
        )
        variable.setncatts(attributes)


def _better_shuffled(plane: NDArray[np.float32], name: str) -> bool:
    """True where values deflate better when their first bytes come first, then their second, and so on.

    Indices and interpolated bands do (NDVI to 0.78 of the size). Copied digital numbers do not: they are few, and whole values
    repeat (bands to 1.3 to 1.9 times the size, in twice the time).
    """
    values = plane[~np.isnan(plane)][:_SAMPLE]
    if values.size < _SAMPLE:  # too little to tell
        return name in INDICES
    sorted_bytes = values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()
    return len(zlib.compress(sorted_bytes, 1)) < len(zlib.compress(values.tobytes(), 1))


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
