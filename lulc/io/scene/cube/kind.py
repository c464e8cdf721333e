"""What tells a cube from other inputs, without the libraries that read it: they take a second to load."""

from pathlib import Path

from lulc.io.files.tries import head_of

_NETCDF_MAGIC = (b"CDF", b"\x89HDF")


def is_netcdf(path: Path) -> bool:
    """True when a file begins as NetCDF 3 or HDF5 do."""
    return head_of(path, 4).startswith(_NETCDF_MAGIC)


def is_zarr(path: Path) -> bool:
    """True for a folder that is a Zarr group (version 2 or 3)."""
    return path.is_dir() and any((path / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata"))


def is_cube(path: Path) -> bool:
    """True for a NetCDF file or a Zarr group."""
    return is_zarr(path) if path.is_dir() else is_netcdf(path)
