"""Rasters that GDAL reads, opened with the driver named: GeoTIFF, COG, JPEG 2000, ERDAS .img."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError

from lulc.errors import InputError
from lulc.grid import Grid, Shape, Window
from lulc.io.formats import format_of, head_of
from lulc.io.gdal_log import gdal_errors
from lulc.io.retries import ReadFailedError, describe_window, read_patiently
from lulc.io.source import Plane, Stated, check_dtype, check_limits, joined, valid_of

_KINDS = {"GTiff": "GeoTIFF", "JP2OpenJPEG": "JPEG 2000", "HFA": "ERDAS IMAGINE"}
_QUANTIFICATION_TAGS = ("REFLECTANCE_SCALE", "QUANTIFICATION_VALUE", "BOA_QUANTIFICATION_VALUE")
_OFFSET_TAGS = ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")


class RasterSource:
    """A raster file; one GDAL handle a thread.

    Args:
        path: Local file, or the archive that holds the member.
        member: Name of a file inside the zip archive `path`, checked by the caller.
        head: First bytes of the file; read from `path` when None.
        stated: Radiometry from a product's metadata, which goes before the file's own.
        nodata: Value that means "no data" when the file names none.

    Raises:
        InputError: Not a raster lulc reads, truncated, empty, or of a pixel type that it does not take.
        LimitError: The header announces too much.
    """

    def __init__(
        self,
        path: Path,
        *,
        member: str = "",
        head: bytes | None = None,
        stated: Stated | None = None,
        nodata: float | None = None,
    ) -> None:
        self.label = (member or path.name).rpartition("/")[2]
        self.files = (path,)
        self._driver = format_of(head_of(path) if head is None else head, self.label)
        if self._driver not in _KINDS:
            raise InputError(f"{self.label} is not a raster file", "give a GeoTIFF, JPEG 2000 or .img file")
        # Braces: GDAL then takes the archive's name as it is, whatever its suffix.
        self._name: Path | str = f"/vsizip/{{{path}}}/{member}" if member else path
        self._mask_file = not member and path.with_name(path.name + ".msk").is_file()
        self._handles = _Handles(self._open)
        with self._opened() as dataset:
            self._describe(dataset, stated or Stated(), nodata)

    def _describe(self, dataset: Any, stated: Stated, nodata: float | None) -> None:  # noqa: ANN401 - rasterio is untyped
        shape = Shape(*dataset.shape)
        check_limits(self.label, dataset.count, shape)
        self.block_shape = Shape(*map(max, zip(*dataset.block_shapes, strict=True)))
        interleaved = dataset.count if dataset.profile.get("interleave") == "pixel" else 1
        deepest = max(np.dtype(dtype).itemsize if dtype else 16 for dtype in map(_numpy_name, dataset.dtypes))
        check_limits(self.label, dataset.count, shape, self.block_shape.size * deepest * interleaved)
        if self._driver == "GTiff":
            _check_complete(dataset, self.files[0], self.label)
        self.grid = _grid(dataset, shape)
        self.tags: Mapping[str, str] = dataset.tags()
        self.kind = _kind(dataset, self._driver)
        self.planes = tuple(_planes(dataset, self.label, self.tags, stated, nodata))
        self._masked = _has_mask(dataset)

    def read(self, indexes: Sequence[int], window: Window, out: NDArray[Any]) -> NDArray[np.bool_] | None:
        """See `Source.read`."""
        bands = [index + 1 for index in indexes]
        place = rasterio.windows.Window(window.col, window.row, window.width, window.height)

        def attempt() -> NDArray[np.bool_] | None:
            dataset = self._handles.get()
            with _failing(self.label):
                dataset.read(bands, window=place, out=out)
                return dataset.read_masks(bands[0], window=place) != 0 if self._masked else None

        mask = read_patiently(attempt, self._handles.drop, self._what(bands, window))
        return joined(mask, valid_of(out, [self.planes[index].nodata for index in indexes]))

    def close(self) -> None:
        """Close the handles of all threads."""
        self._handles.close()

    def _what(self, bands: Sequence[int], window: Window) -> str:
        names = ", ".join(self.planes[band - 1].label for band in bands)
        return f"{names} of {self.label}, {describe_window(window)}"

    def _open(self) -> Any:  # noqa: ANN401 - rasterio is untyped
        # Side-cars are not trusted: only a mask beside the file is looked at, and no world file or .aux.xml is.
        siblings = "TRUE" if self._mask_file else "EMPTY_DIR"
        with rasterio.Env(
            GDAL_DISABLE_READDIR_ON_OPEN=siblings, GDAL_GEOREF_SOURCES="INTERNAL", GDAL_PAM_ENABLED="NO"
        ):
            dataset = rasterio.open(self._name, driver=self._driver)
            _ = dataset.count and self._mask_file and dataset.mask_flag_enums
            return dataset

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with gdal_errors() as errors:
                dataset = self._handles.get()
        except (RasterioError, OSError) as error:
            reason = errors[0] if errors else str(error)
            raise InputError(f"{self.label} cannot be opened: {reason}", "it is damaged: fetch it again") from error
        try:
            yield dataset
        except BaseException:
            self.close()
            raise


class _Handles:
    """One open dataset a thread, all closed together."""

    def __init__(self, opener: Any) -> None:  # noqa: ANN401 - a function without arguments
        self._opener = opener
        self._here = threading.local()
        self._all: set[Any] = set()
        self._lock = threading.Lock()

    def get(self) -> Any:  # noqa: ANN401 - rasterio is untyped
        dataset = getattr(self._here, "dataset", None)
        if dataset is None or dataset.closed:
            dataset = self._opener()
            self._here.dataset = dataset
            with self._lock:
                self._all.add(dataset)
        return dataset

    def drop(self) -> None:
        dataset, self._here.dataset = getattr(self._here, "dataset", None), None
        if dataset is not None:
            dataset.close()
            with self._lock:
                self._all.discard(dataset)

    def close(self) -> None:
        with self._lock:
            for dataset in self._all:
                dataset.close()
            self._all.clear()


@contextmanager
def _failing(label: str) -> Iterator[None]:
    """Everything GDAL says is wrong, raised as one kind of error."""
    with gdal_errors() as errors:
        try:
            yield
        except (RasterioError, OSError) as error:
            raise ReadFailedError(errors[0] if errors else str(error)) from error
    if errors:
        raise ReadFailedError(errors[0])


def _grid(dataset: Any, shape: Shape) -> Grid:  # noqa: ANN401 - rasterio is untyped
    gcps, gcps_crs = dataset.gcps
    return Grid(
        crs=dataset.crs,
        transform=dataset.transform,
        shape=shape,
        gcps=tuple(gcps),
        gcps_crs=gcps_crs,
        rpcs=dataset.rpcs,
        point=dataset.tags().get("AREA_OR_POINT", "").lower() == "point",
    )


def _kind(dataset: Any, driver: str) -> str:  # noqa: ANN401 - rasterio is untyped
    return "COG" if dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG" else _KINDS[driver]


def _planes(
    dataset: Any,  # noqa: ANN401 - rasterio is untyped
    label: str,
    tags: Mapping[str, str],
    stated: Stated,
    nodata: float | None,
) -> Iterator[Plane]:
    interpretations = dataset.colorinterp
    for index, description in enumerate(dataset.descriptions):
        name = description or f"band {index + 1}"
        check_dtype(label, name, dataset.dtypes[index])
        if interpretations[index] == ColorInterp.palette:
            raise InputError(f"{name} of {label} is a palette image, not reflectance", "give the scene it was made from")
        band_tags = dataset.tags(index + 1)
        scale, shift = float(dataset.scales[index]), float(dataset.offsets[index])
        own = dataset.nodatavals[index]
        yield Plane(
            label=name,
            dtype=np.dtype(dataset.dtypes[index]),
            nodata=nodata if own is None else float(own),
            names=tuple(text for text in (description, band_tags.get("BANDNAME")) if text),
            scale=scale,
            shift=shift,
            stated=_stated(stated, band_tags, tags, scale, shift),
            alpha=interpretations[index] == ColorInterp.alpha,
        )


def _stated(product: Stated, band: Mapping[str, str], file: Mapping[str, str], scale: float, shift: float) -> Stated:
    """Radiometry of a plane: the product's metadata, then tags, then GDAL's scale and offset."""
    quantification, offset = product.quantification, product.offset
    if quantification is None:
        quantification = _number(_QUANTIFICATION_TAGS, band, file)
    if offset is None:
        offset = _number(_OFFSET_TAGS, band, file)
    return completed(Stated(quantification, offset), scale, shift)


def completed(stated: Stated, scale: float, shift: float) -> Stated:
    """What metadata says, with a scale and offset of the file (value = scale * DN + shift) where it says nothing."""
    if (scale, shift) == (1.0, 0.0) or scale == 0 or stated.quantification is not None:
        return stated
    offset = _rounded(shift / scale) if stated.offset is None else stated.offset
    return Stated(_rounded(1 / scale), offset)


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


def _number(names: Sequence[str], *tables: Mapping[str, str]) -> float | None:
    for table in tables:
        for name in names:
            try:
                return float(table[name])
            except (KeyError, ValueError):
                continue
    return None


def _has_mask(dataset: Any) -> bool:  # noqa: ANN401 - rasterio is untyped
    """True when a mask band, a mask file or an alpha band marks pixels, not a nodata value."""
    flags = dataset.mask_flag_enums[0]
    if MaskFlags.alpha in flags:
        alphas = [d for d, c in zip(dataset.descriptions, dataset.colorinterp, strict=True) if c == ColorInterp.alpha]
        return not any(alphas)
    return MaskFlags.per_dataset in flags


def _numpy_name(dtype: str) -> str:
    return "" if dtype.startswith("complex_") else dtype


def _check_complete(dataset: Any, path: Path, label: str) -> None:  # noqa: ANN401 - rasterio is untyped
    """Refuse a TIFF whose first or last blocks lie beyond the end of the file. A block never stored is legal."""
    size = path.stat().st_size
    for band in dataset.indexes:
        height, width = dataset.block_shapes[band - 1]
        last = (dataset.width - 1) // width, (dataset.height - 1) // height
        for col, row in {(0, 0), last}:
            start = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
            length = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band)
            if start and length and int(start) + int(length) > size:
                raise InputError(f"{label} is truncated: {size} bytes do not hold all of band {band}", "fetch it again")
