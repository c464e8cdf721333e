"""Scene (interim): GeoTIFF only."""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window as RW

from lulc.bands import Radiometry, sensor
from lulc.errors import InputError
from lulc.grid import Grid, Shape, Window


@dataclass(frozen=True)
class SceneInfo:
    name: str
    kind: str = "GeoTIFF"
    level: str = ""
    acquired: str = ""
    dtype: str = ""
    nodata: float | None = None


class Scene:
    warnings: tuple[str, ...] = ()

    def __init__(self, path, bands, offset, quantification):
        self.path = path
        self._local = threading.local()
        with rasterio.open(path, driver="GTiff") as d:
            descriptions = list(bands or d.descriptions)
            pairs = [(sensor().canonical(t), i + 1) for i, t in enumerate(descriptions)]
            self._index = {n: i for n, i in pairs if n}
            if not self._index:
                raise InputError(f"{path} names no bands", "use --bands")
            self.names = tuple(self._index)
            self.grid = Grid(d.crs, d.transform, Shape(*d.shape), *d.gcps, d.rpcs)
            q = quantification or float(d.tags().get("REFLECTANCE_SCALE", 10000))
            self.radiometry = Radiometry(q, offset or 0.0, "metadata")
            self.dtype = np.dtype(d.dtypes[0])
            self.block_shape = Shape(*d.block_shapes[0])
            self.info = SceneInfo(Path(path).name, dtype=str(self.dtype), nodata=d.nodata)

    def _ds(self):
        if not hasattr(self._local, "ds"):
            self._local.ds = rasterio.open(self.path, driver="GTiff")
        return self._local.ds

    def read(self, names: Sequence[str], window: Window):
        raw = self._ds().read([self._index[n] for n in names], window=RW(window.col, window.row, window.width, window.height))
        valid = (raw != 0).any(0) if self.info.nodata is None else (raw != self.info.nodata).all(0)
        return raw, valid

    def fingerprint(self):
        return hashlib.sha256(str(Path(self.path).stat()).encode()).hexdigest()

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


def open_scene(paths, *, bands=None, offset=None, quantification=None):
    return Scene(paths[0], bands, offset, quantification)
