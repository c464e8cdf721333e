"""Which format a local file has, by its first bytes; anything that is no plain local file is refused.

GDAL chooses a driver by itself and would follow a VRT named `.tif` to other files or to the network. So the driver is
named on every open, and chosen here from what the file is, not from what it is called.
"""

import os
import re
from pathlib import Path

from lulc.errors import InputError

KINDS = "GeoTIFF, JPEG 2000, ERDAS .img, NetCDF, Zarr, a folder of band files or a Sentinel-2 SAFE product"

_HEAD_BYTES = 512
_MAGIC = (
    (b"II*\x00", "GTiff"),
    (b"MM\x00*", "GTiff"),
    (b"II+\x00", "GTiff"),
    (b"MM\x00+", "GTiff"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
    (b"EHFA_HEADER_TAG", "HFA"),
    (b"\x89HDF\r\n\x1a\n", "netCDF"),
    (b"CDF\x01", "netCDF"),
    (b"CDF\x02", "netCDF"),
    (b"CDF\x05", "netCDF"),
    (b"PK\x03\x04", "zip"),
)

_NOT_LOCAL = re.compile(r"^(/vsi|[a-z][a-z0-9+.\-]*://|vrt:|(netcdf|hdf5|gtiff_dir|jp2|sentinel2_\w+|zarr):)", re.IGNORECASE)


def local_path(given: Path | str) -> Path:
    """The absolute path of an existing local file or folder.

    Raises:
        InputError: A URL, a GDAL virtual path or subdataset name, or nothing there.
    """
    text = os.fspath(given)
    if not text or "\0" in text:
        raise InputError(f"{text!r} is no path", "give the path of a file or folder")
    path = Path(text)
    if _NOT_LOCAL.match(text) and (text.startswith("/vsi") or not path.exists()):
        raise InputError(f"{text} is not a plain local file", "download or extract it, and give the path of the file")
    if not path.exists():
        raise InputError(f"there is no {text}", "check the path")
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{text} is neither a file nor a folder", "give the path of a raster file")
    return path.absolute()


def format_of(head: bytes, label: str) -> str:
    """GDAL's name of the driver for a file that begins with these bytes, or `zip`.

    Raises:
        InputError: An empty file, a VRT, or no raster that lulc reads.
    """
    for magic, driver in _MAGIC:
        if head.startswith(magic):
            return driver
    if not head:
        raise InputError(f"{label} is empty", "fetch it again")
    if b"<VRTDataset" in head:
        raise InputError(f"{label} is a VRT, which can point anywhere", "give the files it refers to, in band order")
    raise InputError(f"{label} is not a raster that lulc reads", f"give a {KINDS}")


def head_of(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
