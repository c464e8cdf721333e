"""Raster files through rasterio, each opened by its named driver.

The driver follows from the file's first bytes, never from its name: a VRT dressed up as .tif, which may point anywhere,
is not opened.
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Interleaving, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from lulc.bands import Radiometry, sensor
from lulc.errors import InputError, LimitError, StorageError
from lulc.grid import Grid, Shape, Window
from lulc.indices import INDICES
from lulc.io.files.foreign_files import refuse_foreign_files
from lulc.io.files.gdal_errors import LoggedGdalError, raise_logged_errors
from lulc.io.files.http import GDAL_HTTP, unsigned
from lulc.io.scene.source import LARGEST_BLOCK, MOST_PIXELS, Origin, Pixels, canonical_name

_log = logging.getLogger(__name__)

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
_OPEN = {"GDAL_GEOREF_SOURCES": "INTERNAL"}  # a stray world file does not move a scene; a .msk beside it counts
_MOST_BANDS = 512
_READABLE = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"}
OFFSET_SOURCE = "LULC_OFFSET_SOURCE"
"""Tag that says where the offset of a fetched scene came from."""

_EXACT = 1e-9  # pixels; 0 itself makes rasterio 1.4 forget the transformer
_TRIES = 3
_HEAD_BYTES = 16


def sniff(path: Path) -> tuple[str, str] | None:
    """GDAL driver and kind of a raster file by its first bytes, or None when they are of no known kind."""
    with path.open("rb") as file:
        return driver_of(file.read(_HEAD_BYTES))


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
    ) -> None:
        self._location, self._driver = location or str(path.absolute()), driver
        self._local = threading.local()
        self._opened: list[Any] = []
        self._target: Grid | None = None
        dataset = self._first_open(path, kind)
        _check_header(dataset, path)
        self.grid = _grid(dataset)
        self.labels = labels or _labels(dataset, path)
        wide = np.result_type(*dataset.dtypes)
        self.dtype = np.dtype(np.float32) if wide == np.float64 else wide
        self.counts = wide.kind in "iu"
        self.block_shape = Shape(*max(dataset.block_shapes))
        self.declared_nodata: float | None = dataset.nodata
        self.origin = origin or _origin(dataset, path, kind)
        self._alpha = [index for index, color in enumerate(dataset.colorinterp, 1) if color == ColorInterp.alpha]
        self._masked = MaskFlags.per_dataset in dataset.mask_flag_enums[0] and not self._alpha

    def on_grid(self, grid: Grid) -> "RasterSource":
        """The same bands warped to a grid, bilinear, exact at every pixel."""
        other: RasterSource = object.__new__(RasterSource)
        other.__dict__.update(self.__dict__)
        other._local, other._opened, other._target, other.grid = threading.local(), [], grid, grid
        return other

    def read(self, bands: Sequence[int], window: Window) -> Pixels:
        """Raw values and valid mask inside a window; a failed read is tried again before it counts."""
        for attempt in range(1, _TRIES + 1):
            try:
                with raise_logged_errors(logging.WARNING):
                    return self._read(bands, window)
            except (RasterioError, LoggedGdalError, OSError) as error:
                self._forget()
                if attempt == _TRIES:
                    raise StorageError(
                        self._place(bands, window, error), "the file is damaged or its disk fails"
                    ) from error
                _log.warning("reading again: %s", self._place(bands, window, error))
        raise AssertionError

    def close(self) -> None:
        """Close every thread's handle."""
        for dataset in self._opened:
            dataset.close()
        self._opened.clear()

    def _read(self, bands: Sequence[int], window: Window) -> Pixels:
        dataset = self._dataset()
        place = RasterioWindow(window.col, window.row, window.width, window.height)
        raw = dataset.read([band + 1 for band in bands], window=place, out_dtype=self.dtype)
        return raw, self._valid(dataset, raw, place)

    def _valid(self, dataset: Any, raw: NDArray[Any], place: RasterioWindow) -> NDArray[np.bool_]:  # noqa: ANN401
        valid = np.ones(raw.shape[1:], dtype=bool)
        nodata = self._nodata
        for plane in raw:
            if raw.dtype.kind == "f":
                valid &= np.isfinite(plane)
            if nodata is not None and not np.isnan(nodata):
                valid &= plane != nodata
            if self.origin.blank:
                valid &= plane != 0
        if self._masked and self._target is None:
            valid &= dataset.dataset_mask(window=place) > 0
        elif self._masked:
            valid &= dataset.read(dataset.count, window=place) > 0
        for band in self._alpha:
            valid &= dataset.read(band, window=place) > 0
        return valid

    @property
    def _nodata(self) -> float | None:
        """What means no data in what is read: resampled counts must not mix with an undeclared 0."""
        if self.origin.nodata is None and self._target is not None and not self._masked:
            return 0.0 if self.counts else float("nan")
        return self.origin.nodata

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
            crs=grid.crs or dataset.crs,
            transform=grid.transform,
            height=grid.shape.height,
            width=grid.shape.width,
            resampling=Resampling.bilinear,
            tolerance=_EXACT,
            src_nodata=self._nodata,
            nodata=self._nodata,
            add_alpha=self._masked,
            XSCALE=1,  # else the kernel would follow the cut of the windows
            YSCALE=1,
        )

    def _open(self) -> Any:  # noqa: ANN401
        import warnings

        options = _OPEN | (GDAL_HTTP if self._location.startswith("/vsicurl/") else {})
        with rasterio.Env(**options), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a grid without a place says so itself
            return rasterio.open(self._location, driver=self._driver)

    def _first_open(self, path: Path, kind: str) -> Any:  # noqa: ANN401
        try:
            with raise_logged_errors():
                return self._dataset()
        except (RasterioError, LoggedGdalError) as error:
            raise InputError(
                f"{path} is not a readable {kind} file: {unsigned(str(error))}", "check that it is whole"
            ) from error

    def _forget(self) -> None:
        """Let go of this thread's handle; the next read opens the file anew."""
        for name in ("dataset", "base"):
            dataset = getattr(self._local, name, None)
            setattr(self._local, name, None)
            if dataset is not None:
                self._opened.remove(dataset)
                dataset.close()

    def _place(self, bands: Sequence[int], window: Window, error: Exception) -> str:
        names = ", ".join(str(self.labels[band] or band + 1) for band in bands)
        reason = unsigned(str(error.__cause__ or error))
        return f"cannot read {self.origin.path}, band {names}, rows {window.row}-{window.row_end}, columns {window.col}-{window.col_end}: {reason}"


def open_raster(path: Path) -> RasterSource:
    """A raster file as a source.

    Raises:
        InputError: Not a raster of a known kind.
    """
    kind = sniff(path)
    if kind is None:
        raise InputError(
            f"{path} is not a GeoTIFF, JPEG 2000, ERDAS Imagine, JPEG or PNG file (by its first bytes)",
            "convert it to GeoTIFF; VRT and other files that point elsewhere are not opened",
        )
    return RasterSource(path, *kind)


def _check_header(dataset: Any, path: Path) -> None:  # noqa: ANN401
    refuse_foreign_files(dataset, path)
    if dataset.count > _MOST_BANDS:
        raise LimitError(f"{path} declares {dataset.count} bands, at most {_MOST_BANDS} are read", "split the file")
    if dataset.width * dataset.height > MOST_PIXELS:
        raise LimitError(f"{path} declares {dataset.width} x {dataset.height} pixels", "cut it into parts")
    if not dataset.width * dataset.height * dataset.count:
        raise InputError(f"{path} has no pixels", "check how it was made")
    wrong = next((name for name in dataset.dtypes if name not in _READABLE), None)
    if wrong:
        raise InputError(f"{path} holds {wrong} values", "convert it to uint16 or float32")
    packed = [
        label
        for label, scale in zip(dataset.descriptions, dataset.scales, strict=True)
        if scale != 1.0 and canonical_name(label, sensor()) in INDICES
    ]
    if packed:
        raise InputError(f"{path} holds {packed[0]} packed with a scale", "write it as float32 values")
    if ColorInterp.palette in dataset.colorinterp:
        raise InputError(f"{path} is a palette image, not reflectance", "give the scene's spectral bands")
    together = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    block = (
        max(height * width for height, width in dataset.block_shapes) * np.dtype(dataset.dtypes[0]).itemsize * together
    )
    if block > LARGEST_BLOCK:
        raise LimitError(
            f"{path} has blocks of {block / 1e6:.0f} MB", "rewrite it tiled, such as with gdal_translate -co TILED=YES"
        )


def _labels(dataset: Any, path: Path) -> tuple[str | None, ...]:  # noqa: ANN401
    """Band descriptions; a file of one band without any may say it by its name."""
    described = tuple(dataset.descriptions)
    if len(described) == 1 and canonical_name(described[0], sensor()) is None:
        return (path.stem,)
    return described


def _grid(dataset: Any) -> Grid:  # noqa: ANN401
    gcps, gcps_crs = dataset.gcps
    placed = not dataset.transform.is_identity
    return Grid(
        crs=dataset.crs if placed else None,
        transform=dataset.transform,
        shape=Shape(*dataset.shape),
        gcps=tuple(gcps),
        gcps_crs=gcps_crs,
        rpcs=dataset.rpcs,
        point=dataset.tags().get("AREA_OR_POINT") == "Point",
    )


def _origin(dataset: Any, path: Path, kind: str) -> Origin:  # noqa: ANN401
    tags = dataset.tags()
    return Origin(
        path,
        kind,
        level=tags.get("LEVEL", ""),
        acquired=tags.get("ACQUISITION_DATE", ""),
        radiometry=_radiometry(dataset, tags),
        nodata=dataset.nodata,
    )


def _radiometry(dataset: Any, tags: dict[str, str]) -> Radiometry | None:  # noqa: ANN401
    """The one statement of all spectral bands; of the first band where none is named."""
    names = [canonical_name(label, sensor()) for label in dataset.descriptions]
    spectral = [index for index, name in enumerate(names, 1) if name and name not in INDICES] or [1]
    stated = {_band_radiometry(dataset, tags, index) for index in spectral}
    if len(stated) > 1:
        raise InputError(
            f"the bands of {dataset.name} differ in scale or offset",
            "bring them to one, such as with lulc stack per band",
        )
    return stated.pop()


def _band_radiometry(dataset: Any, tags: dict[str, str], index: int) -> Radiometry | None:  # noqa: ANN401
    """From tags, or from GDAL's own band scale and offset (reflectance = DN * scale + offset)."""
    band = dataset.tags(index)
    names = [name for name in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET") if name in band]
    offset = _number(band, names[0], dataset.name) if names else 0.0
    source = tags.get(OFFSET_SOURCE, "metadata") if names else "metadata, which state no offset"
    for name in ("REFLECTANCE_SCALE", "QUANTIFICATION_VALUE"):
        if name in tags or name in band:
            return Radiometry(_number(band | tags, name, dataset.name), offset, source)
    scale, shift = dataset.scales[index - 1], dataset.offsets[index - 1]
    if (scale, shift) != (1.0, 0.0) and scale > 0:
        return Radiometry(1 / scale, shift / scale, "metadata")
    return Radiometry(sensor().quantification, offset, "metadata") if names else None


def _number(tags: dict[str, str], name: str, file: str) -> float:
    try:
        return float(tags[name])
    except ValueError as error:
        raise InputError(
            f"{file}: its tag {name} is {tags[name]!r}, not a number",
            "correct the tag, or give --quantification and --offset",
        ) from error
