"""The same pixels in every format that scenes come in."""

import numpy as np
import rasterio
import rioxarray  # noqa: F401 - gives arrays their .rio
import xarray as xr
from rasterio.transform import from_origin

NAMES = ("B02", "B03", "B04", "B08")
TRANSFORM = from_origin(356040, 4835680, 10, 10)


def pixels(height=150, width=170, seed=0):
    """uint16 (4, height, width) with a wedge of nodata 0 in the upper left corner."""
    values = np.random.default_rng(seed).integers(1, 9000, (len(NAMES), height, width)).astype(np.uint16)
    rows, columns = np.indices((height, width))
    values[:, rows + columns < 40] = 0
    return values


def write_raster(path, values, names=NAMES, driver="GTiff", **profile):
    """Any driver that rasterio writes; keyword arguments go into the profile."""
    settings = {"crs": "EPSG:32631", "transform": TRANSFORM, "nodata": 0} | profile
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver=driver, count=count, height=height, width=width, dtype=values.dtype, **settings
    ) as target:
        target.write(values)
        if names:
            target.descriptions = names
    return path


def geotiff(folder, values):
    return write_raster(folder / "scene.tif", values, tiled=True, blockxsize=64, blockysize=64, compress="deflate")


def big_endian_tiff(folder, values):
    return write_raster(folder / "big.tif", values, endianness="BIG", bigtiff="YES")


def imagine(folder, values):
    return write_raster(folder / "scene.img", values, driver="HFA")


def jpeg2000(folder, values):
    path = folder / "scene.jp2"
    write_raster(path, values, names=None, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES", nodata=None)
    return path


def band_files(folder, values):
    target = folder / "bands"
    target.mkdir()
    for name, plane in zip(NAMES, values, strict=True):
        write_raster(target / f"T31TCJ_20180708T105031_{name}_10m.tif", plane[None], names=None)
    return target


def cube(values, nodata=0):
    rows, columns = np.arange(values.shape[1]) + 0.5, np.arange(values.shape[2]) + 0.5
    dataset = xr.Dataset(
        {name: (("y", "x"), plane) for name, plane in zip(NAMES, values, strict=True)},
        coords={"y": TRANSFORM.f - 10 * rows, "x": TRANSFORM.c + 10 * columns},
        attrs={"quantification": 10_000},
    )
    for name in NAMES:
        dataset[name].attrs["_FillValue"] = np.uint16(nodata)
    return dataset.rio.write_crs("EPSG:32631").rio.write_coordinate_system()


def netcdf(folder, values):
    cube(values).to_netcdf(folder / "scene.nc")
    return folder / "scene.nc"


def zarr(folder, values):
    cube(values).to_zarr(folder / "scene.zarr", zarr_format=2, consolidated=False)
    return folder / "scene.zarr"


FORMATS = {
    function.__name__: function for function in (geotiff, big_endian_tiff, imagine, jpeg2000, band_files, netcdf, zarr)
}
