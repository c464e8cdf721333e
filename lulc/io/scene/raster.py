"""Raster files through rasterio, each opened by its named driver.

The driver follows from the file's first bytes, never from its name: a VRT dressed up as .tif, which may point anywhere,
is not opened.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from lulc.errors import InputError, StorageError
from lulc.grid import Grid, Shape, Window, check_projectable
from lulc.io.files.gdal_errors import LoggedGdalError, raise_logged_errors
from lulc.io.files.georeference import warn_of_another_crs
from lulc.io.files.http import GDAL_HTTP, unsigned
from lulc.io.files.names import refuse_undecodable
from lulc.io.files.opening import opened
from lulc.io.files.tries import head_of, read_again
from lulc.io.scene.gathering import cell_shape
from lulc.io.scene.raster_header import band_labels, check_header, grid_of, origin_of
from lulc.io.scene.source import FIXED_KERNEL, Origin, Raster
from lulc.projection import GridProjection
from lulc.turns import turn_of

_MAGIC = {
    b"II*\0": ("GTiff", "GeoTIFF"),
    b"MM\0*": ("GTiff", "GeoTIFF"),
    b"II+\0": ("GTiff", "GeoTIFF"),
    b"MM\0+": ("GTiff", "GeoTIFF"),
    b"\0\0\0\x0cjP  ": ("JP2OpenJPEG", "JPEG 2000"),
    b"EHFA_HEADER_TAG": ("HFA", "ERDAS Imagine"),
    b"\xff\xd8\xff": ("JPEG", "JPEG"),
    b"\x89PNG\r\n\x1a\n": ("PNG", "PNG"),
}
_OF_BLOCKS = ("GTiff", "JP2OpenJPEG", "HFA")
"""Drivers that find and decode any block by itself."""

_ONE_THREAD = {"GDAL_NUM_THREADS": 1}
"""GDAL's own threads decode JPEG 2000 by default. What they report is printed and reaches no handler of ours, warnings of damaged blocks neither."""

_GEOREF_SOURCES = {"GDAL_GEOREF_SOURCES": "INTERNAL,PAM,WORLDFILE"}
"""What the file says of its place counts; where it says nothing, an .aux.xml beside it, then a world file."""

_EXACT = 1e-9  # pixels; 0 itself makes rasterio 1.4 forget the transformer
_HEAD_BYTES = 16


def sniff(path: Path) -> tuple[str, str] | None:
    """GDAL driver and kind of a raster file by its first bytes, or None when they are of no known kind."""
    return driver_of(head_of(path, _HEAD_BYTES))


def driver_of(head: bytes) -> tuple[str, str] | None:
    """GDAL driver and kind of a raster file that begins so, or None."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


class RasterSource:
    """One raster file.

    Args:
        path: What the user gave, for messages.
        driver: GDAL driver to open it with.
        kind: What to call it.
        location: What GDAL opens, when it is not the path itself (a member of a zip archive).
        labels: Names of its bands, when the container says them better than the file.
        origin: What the container says; None reads it from the file's tags.
        categorical: The numbers are labels, not measurements: they keep their type, are never interpolated, and 0 is
            a value like others, and it may have a palette.

    Attributes:
        tags: Of the file.
        colors: Colour interpretation of each band.
        nodata_in: Whether `any` or only `all` of the bands that are read must hold nodata for a pixel to be invalid.

    Raises:
        InputError: Not a readable raster, or of a type lulc does not take.
        LimitError: Its header asks for more than lulc reads.
    """

    def __init__(
        self,
        path: Path,
        driver: str,
        kind: str,
        *,
        location: str = "",
        labels: tuple[str | None, ...] | None = None,
        origin: Origin | None = None,
        categorical: bool = False,
    ) -> None:
        self._path, self._location, self._driver = path, location or str(path.absolute()), driver
        self._categorical = categorical
        self._local = threading.local()
        self._opened: list[Any] = []
        self._target: Grid | None = None
        refuse_undecodable(Path(self._location))
        dataset = self._first_open(path, kind)
        check_header(dataset, path, categorical=categorical)
        self.grid = self._own = grid_of(dataset)
        if not location:
            warn_of_another_crs(self.grid, path)
        self.labels = labels or band_labels(dataset, path)
        self.tags: dict[str, str] = dataset.tags()
        self.colors: tuple[ColorInterp, ...] = dataset.colorinterp
        stored = np.result_type(*dataset.dtypes)
        self.dtype = np.dtype(np.float32) if stored == np.float64 and not categorical else stored
        self.counts = stored.kind in "iu"
        self.block_shape = Shape(*max(dataset.block_shapes))
        self.declared_nodata: float | None = dataset.nodata
        self.nodata_in: Literal["any", "all"] = "any"
        own = Origin(path, kind, nodata=dataset.nodata) if categorical else None
        self.origin = origin or own or origin_of(dataset, path, kind)
        self._alpha = [index for index, color in enumerate(self.colors, 1) if color == ColorInterp.alpha]
        with _unreadable(path, kind):
            flags = _mask_flags(dataset)
        self._masked = MaskFlags.per_dataset in flags[0] and not self._alpha
        self._masked_by_band = not all(flags)
        several = len({*map(str, dataset.nodatavals)}) > 1
        self._nodata_by_band: tuple[float | None, ...] = dataset.nodatavals if origin is None and several else ()

    @property
    def cell_shape(self) -> Shape | None:
        """Cells of whole blocks; None for a warped raster, whose blocks are others', and for JPEG and PNG, which are one stream."""
        return cell_shape(self.block_shape) if self._target is None and self._driver in _OF_BLOCKS else None

    @property
    def zeros(self) -> tuple[float, ...] | None:
        """0 for each band, where nothing else says what means no data; see `Source`."""
        told = self._masked or self._masked_by_band or self._alpha or self._categorical or self._nodata_by_band
        return None if told or self.origin.nodata not in {None, 0.0} else (0.0,) * len(self.labels)

    def on_grid(self, grid: Grid) -> "RasterSource":
        """The same bands warped to a grid: bilinear, or nearest where categorical; exact at every pixel."""
        if self._nodata_by_band or self._masked_by_band:
            raise InputError(
                f"{self.origin.path} declares another nodata value, or a mask, for each band",
                "resample it first, such as with gdalwarp",
            )
        check_projectable(self._own.gcps_crs if self._own.gcps else self._own.crs, grid.crs, str(self.origin.path))
        other = copy(self)
        other._local, other._opened, other._target, other.grid = threading.local(), [], grid, grid  # noqa: SLF001
        return other

    def read(self, bands: Sequence[int], window: Window) -> Raster:
        """Raw values and valid mask inside a window; a failed read is tried again before it counts."""
        return read_again(
            lambda: self._read(bands, window),
            (RasterioError, LoggedGdalError, OSError, StorageError),
            lambda error: self._failure(bands, window, error),
            "the file is damaged or its disk fails",
            reset=self._forget,
        )

    def close(self) -> None:
        """Close every thread's handle."""
        for dataset in self._opened:
            dataset.close()
        self._opened.clear()

    def _read(self, bands: Sequence[int], window: Window) -> Raster:
        part = window.for_rasterio()
        with raise_logged_errors():
            dataset = self._dataset()
        with rasterio.Env(**_ONE_THREAD), raise_logged_errors(logging.WARNING):
            data = dataset.read([band + 1 for band in bands], window=part, out_dtype=self.dtype)
            return Raster(data, self._valid(dataset, data, bands, part))

    def _valid(
        self,
        dataset: Any,  # noqa: ANN401
        data: NDArray[Any],
        bands: Sequence[int],
        part: RasterioWindow,
    ) -> NDArray[np.bool_]:
        valid = np.ones(data.shape[1:], dtype=bool)
        for plane, band in zip(data, bands, strict=True):
            nodata = _as_held(self._nodata_by_band[band] if self._nodata_by_band else self._nodata, data.dtype)
            if data.dtype.kind == "f":
                valid &= np.isfinite(plane)
            if nodata is not None and self.nodata_in == "any":
                valid &= plane != nodata
            if self.origin.blank:
                valid &= plane != 0
        if self._nodata is not None and self.nodata_in == "all":
            valid &= (data != _as_held(self._nodata, data.dtype)).any(axis=0)
        if self._masked and self._target is None:
            valid &= dataset.dataset_mask(window=part) > 0
        elif self._adds_alpha and self._target is not None:
            valid &= dataset.read(dataset.count, window=part) > 0
        for band in bands if self._masked_by_band else ():
            valid &= dataset.read_masks(band + 1, window=part) > 0
        for band in self._alpha:
            valid &= dataset.read(band, window=part) > 0
        return valid

    @property
    def _nodata(self) -> float | None:
        """What means no data in what is read: resampled counts must not mix with an undeclared 0."""
        undeclared = self.origin.nodata is None and not self._categorical
        if undeclared and self._target is not None and not self._masked:
            return 0.0 if self.counts else float("nan")
        return self.origin.nodata

    @property
    def _adds_alpha(self) -> bool:
        """True when a warped raster says by a band of its own where it has data: of labels no value is free for that."""
        return self._masked or (self._categorical and self.origin.nodata is None and not self._alpha)

    def _dataset(self) -> Any:  # noqa: ANN401 - rasterio has no types
        dataset = getattr(self._local, "dataset", None)
        if dataset is None:
            dataset = self._warped(self._open())
            self._opened.append(dataset)
            self._local.dataset = dataset
        return dataset

    def _warped(self, dataset: Any) -> Any:  # noqa: ANN401
        grid = self._target
        if grid is None:
            return dataset
        self._opened.append(dataset)
        self._local.base = dataset
        return WarpedVRT(
            dataset,
            src_crs=dataset.crs or grid.crs,
            src_transform=self._nearer(grid, dataset.transform),
            crs=grid.crs or dataset.crs,
            transform=grid.transform,
            height=grid.shape.height,
            width=grid.shape.width,
            resampling=Resampling.nearest if self._categorical else Resampling.bilinear,
            tolerance=_EXACT,
            src_nodata=self._nodata,
            nodata=self._nodata,
            add_alpha=self._adds_alpha,
            **FIXED_KERNEL,
        )

    def _nearer(self, grid: Grid, transform: Affine) -> Affine | None:
        """The transform moved by whole turns when a raster at 170 west shall lie on a grid at 190 east; else None."""
        if grid.crs is None or self._own.crs is None or self._own.gcps or grid.gcps or not turn_of(self._own.crs):
            return None
        turns = GridProjection(grid, self._own, str(self._path)).whole_turns
        return Affine.translation(turns, 0) @ transform if turns else None

    def _open(self) -> Any:  # noqa: ANN401
        options = _GEOREF_SOURCES | (GDAL_HTTP if self._location.startswith("/vsicurl/") else {})
        with rasterio.Env(**options):
            return opened(lambda: rasterio.open(self._location, driver=self._driver), self._path)

    def _first_open(self, path: Path, kind: str) -> Any:  # noqa: ANN401
        with _unreadable(path, kind), raise_logged_errors():
            return self._dataset()

    def _forget(self) -> None:
        """Let go of this thread's handle; the next read opens the file anew."""
        for name in ("dataset", "base"):
            dataset = getattr(self._local, name, None)
            setattr(self._local, name, None)
            if dataset is not None:
                self._opened.remove(dataset)
                dataset.close()

    def _failure(self, bands: Sequence[int], window: Window, error: Exception) -> str:
        names = ", ".join(str(self.labels[band] or band + 1) for band in bands)
        reason = unsigned(str(error.__cause__ or error))
        return f"cannot read {self.origin.path}, band {names}, rows {window.row}-{window.row_end}, columns {window.col}-{window.col_end}: {reason}"


def _as_held(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """A nodata value as pixels of a type hold it: GDAL cuts a number beyond the range of float32 to its end."""
    if nodata is None or dtype.kind != "f" or not np.isfinite(nodata):
        return nodata
    return min(max(nodata, float(np.finfo(dtype).min)), float(np.finfo(dtype).max))


@contextmanager
def _unreadable(path: Path, kind: str) -> Iterator[None]:
    """Turn what GDAL says of a header into a refusal of the file."""
    try:
        yield
    except (RasterioError, LoggedGdalError) as error:
        raise InputError(
            f"{path} is not a readable {kind} file: {unsigned(str(error))}", "check that it is whole"
        ) from error


def _mask_flags(dataset: Any) -> list[list[MaskFlags]]:  # noqa: ANN401
    """What masks each band; an empty list is a mask of the band's own."""
    with raise_logged_errors():  # GDAL looks through all directories of the file and says what it thinks
        return list(dataset.mask_flag_enums)


def open_raster(path: Path, *, categorical: bool = False) -> RasterSource:
    """A raster file as a source; see `RasterSource`.

    Raises:
        InputError: Not a raster of a known kind.
    """
    kind = sniff(path)
    if kind is None:
        raise InputError(
            f"{path} is not a GeoTIFF, JPEG 2000, ERDAS Imagine, JPEG or PNG file (by its first bytes)",
            "convert it to GeoTIFF; VRT and other files that point elsewhere are not opened",
        )
    return RasterSource(path, *kind, categorical=categorical)
