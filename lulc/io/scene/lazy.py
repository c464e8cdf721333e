"""A scene as a lazy, dask-chunked xarray.DataArray, built on `Scene.read`."""

from typing import Any

import numpy as np
import xarray as xr
from dask import array as da
from numpy.typing import NDArray

from lulc.grid import Grid, Window
from lulc.io.scene.source import NamedPixels


def lazy_array(scene: NamedPixels, names: tuple[str, ...], side: int) -> xr.DataArray:
    """float32 (band, y, x), NaN where there is no data; see `Scene.to_xarray`."""
    import rioxarray  # noqa: F401 - gives arrays their .rio

    height, width = scene.grid.shape.height, scene.grid.shape.width
    rows, columns = da.core.normalize_chunks((side, side), shape=(height, width))  # type: ignore[no-untyped-call]

    def values(block_info: Any = None) -> NDArray[np.float32]:  # noqa: ANN401 - dask's own structure
        return scene.reflectance(names, _window(block_info[None]["array-location"]))

    def mask(block_info: Any = None) -> NDArray[np.bool_]:  # noqa: ANN401
        return scene.read(names, _window(block_info[None]["array-location"]))[1]

    data = da.map_blocks(  # type: ignore[no-untyped-call]
        values, chunks=((len(names),), rows, columns), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
    )
    valid = da.map_blocks(  # type: ignore[no-untyped-call]
        mask, chunks=(rows, columns), dtype=bool, meta=np.empty((0, 0), bool)
    )
    array = xr.DataArray(
        data,
        dims=("band", "y", "x"),
        coords={"band": list(names), **pixel_centres(scene.grid), "valid": (("y", "x"), valid)},
        name="reflectance",
        attrs={"quantification": 1.0},
    )
    array = array.rio.write_transform(scene.grid.transform)
    placed: xr.DataArray = array.rio.write_crs(scene.grid.crs) if scene.grid.crs else array
    return placed


def pixel_centres(grid: Grid) -> dict[str, NDArray[Any]]:
    """Coordinates `y` and `x`: of pixel centres on an upright grid, else rows and columns."""
    rows, columns = np.arange(grid.shape.height) + 0.5, np.arange(grid.shape.width) + 0.5
    transform = grid.transform
    if transform.b or transform.d or grid.crs is None:
        return {"y": rows, "x": columns}
    return {"y": transform.f + transform.e * rows, "x": transform.c + transform.a * columns}


def _window(location: Any) -> Window:  # noqa: ANN401
    (row, row_end), (col, col_end) = location[-2:]
    return Window(row, col, row_end - row, col_end - col)
