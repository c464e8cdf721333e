"""Detect clouds and their shadows with the networks of ukis-csmask (extra `cloud`), tile by tile.

ukis-csmask 1.0: U-Nets for Level-1C and Level-2A on blue, green, red, near infrared and, where there are, both
short-wave bands, at pixels of about 30 m (Wieland et al. 2019, doi:10.1016/j.rse.2019.05.022).
"""

import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.bands import check_bands
from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.scene.scene import Scene

_COLORS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}
_SHORT_WAVE = {"B11": "swir16", "B12": "swir22"}
_LEVELS = {"L1C": "l1c", "L2A": "l2a"}
_PIXEL_M = 30.0
_CORE = 384
_MARGIN = 64


class CloudNetwork:
    """Cloud mask of one scene, inferred on a fixed lattice of tiles; it does not depend on the windows that are read.

    Pixels are first averaged to about 30 m. Each tile is inferred once, when a window first meets it, and kept at one
    bit per coarse pixel.

    Args:
        scene: Scene with B02, B03, B04 and B08. B11 and B12 are used when both are available.

    Raises:
        InputError: ukis-csmask is not installed, a band is missing, or the product level is unknown.
    """

    def __init__(self, scene: Scene) -> None:
        self._network = _csmask()
        remedy = f"the cloud network needs {', '.join(_COLORS)}; use another --clouds"
        check_bands(scene.info.name, _COLORS, scene.names, remedy)
        if scene.info.level not in _LEVELS:
            raise InputError(
                f"{scene.info.name} does not say whether it is L1C or L2A, which the cloud network must know",
                "set its tag LEVEL, or use another --clouds",
            )
        self._scene = scene
        self._bands = _COLORS | (_SHORT_WAVE if set(_SHORT_WAVE) <= set(scene.names) else {})
        self._factor = max(1, round(_PIXEL_M / (scene.grid.pixel_size_m() or _PIXEL_M)))
        self._tiles: dict[tuple[int, int], NDArray[np.uint8]] = {}
        self._lock = threading.Lock()

    def read(self, window: Window) -> NDArray[np.bool_]:
        """Cloud mask of a window inside the scene: bool (height, width), True for a cloud or its shadow.

        Raises:
            StorageError: A block of the scene cannot be read.
        """
        clouded = np.zeros((window.height, window.width), bool)
        for index in self._indices(window):
            core = self._core(index).intersection(window)
            rows, cols = (np.arange(part.start, part.stop) // self._factor for part in core.slices())
            tile = self._tile(index)
            clouded[core.slices(window)] = tile[rows - index[0] * _CORE][:, cols - index[1] * _CORE]
        return clouded

    def _indices(self, window: Window) -> Iterator[tuple[int, int]]:
        side = _CORE * self._factor
        for row in range(window.row // side, -(-window.row_end // side)):
            for col in range(window.col // side, -(-window.col_end // side)):
                yield row, col

    def _core(self, index: tuple[int, int]) -> Window:
        side = _CORE * self._factor
        return Window(index[0] * side, index[1] * side, side, side)

    def _tile(self, index: tuple[int, int]) -> NDArray[np.bool_]:
        with self._lock:  # one tile at a time: the network uses all cores, and its memory is needed once
            if index not in self._tiles:
                self._tiles[index] = np.packbits(self._infer(index), axis=1)
            return np.unpackbits(self._tiles[index], axis=1).astype(bool)

    def _infer(self, index: tuple[int, int]) -> NDArray[np.bool_]:
        image = self._image(self._core(index))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            mask = self._network(
                img=image,
                band_order=list(self._bands.values()),
                product_level=_LEVELS[self._scene.info.level],
                invalid_buffer=1,  # 0 would grow its own buffer, which is not used, without end
                intra_op_num_threads=os.cpu_count() or 1,
                providers=["CPUExecutionProvider"],
            ).csm[..., 0]
        core: NDArray[np.bool_] = mask[_MARGIN : _MARGIN + _CORE, _MARGIN : _MARGIN + _CORE] != 0
        return core

    def _image(self, core: Window) -> NDArray[np.float32]:
        """Mean reflectance of the coarse pixels of a tile and its margin, float32 (rows, columns, bands); 0 is nodata.

        Around the scene its edge is repeated.
        """
        factor, side = self._factor, _CORE + 2 * _MARGIN
        wide = core.grown(_MARGIN * factor)
        inside = wide.intersection(self._scene.grid.window)
        planes = self._scene.reflectance(tuple(self._bands), inside)
        rows, cols = inside.slices(wide)
        around = ((rows.start, wide.height - rows.stop), (cols.start, wide.width - cols.stop))
        padded = np.pad(planes, ((0, 0), *around), mode="edge")
        parts = padded.reshape(len(planes), side, factor, side, factor)
        valid = ~np.isnan(parts)
        total = np.where(valid, parts, 0).sum(axis=(2, 4))
        mean = total / np.maximum(valid.sum(axis=(2, 4)), 1)
        return np.ascontiguousarray(np.moveaxis(mean, 0, -1), dtype=np.float32)


def _csmask() -> Any:  # noqa: ANN401 - ukis-csmask has no types
    try:
        from ukis_csmask.mask import CSmask
    except ImportError as error:
        raise InputError(
            "--clouds model needs ukis-csmask, which is not installed",
            "pip install 'lulc[cloud]', or use --clouds auto",
        ) from error
    return CSmask
