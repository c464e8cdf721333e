"""What a raster file says about itself before a pixel is read: limits, band names, grid, radiometry."""

import re
from dataclasses import replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp, Interleaving

from lulc.bands import Radiometry, sensor
from lulc.errors import InputError, LimitError, raised_as
from lulc.grid import Grid, Shape
from lulc.indices import INDICES
from lulc.io.files.foreign_files import refuse_foreign_files
from lulc.io.scene.acquired import stated_date
from lulc.io.scene.platform import platform_of
from lulc.io.scene.source import ALPHA, LARGEST_BLOCK, MOST_PIXELS, Origin, canonical_name, canonical_names

_MOST_BANDS = 512
_READABLE = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"}
_LONG_INTEGERS = {"uint64", "int64"}  # of codes; float32 could not hold them as measurements
_NAME_TAGS = ("DESCRIPTION", "Domain", "long_name", "band_name", "BandName", "Band_Name")
_MASKS = {"datamask", "mask", "valid"}
"""What masks beside the one band of a file are called."""

_EO_BROWSER = re.compile(r".*Sentinel-2_L(1C|2A)_B\w\w_\(Raw\)")
_FULL_SCALE = 65535.0
EO_BROWSER = "name of the file, as EO Browser gives it"

OFFSET_SOURCE = "LULC_OFFSET_SOURCE"
"""Tag that says where the offset of a fetched scene came from."""


def check_header(dataset: Any, path: Path, *, categorical: bool) -> None:  # noqa: ANN401 - rasterio has no types
    """Refuse a raster that names other files, asks for more than is read, or holds numbers of the wrong kind.

    Raises:
        InputError: It leads to another file, or holds a type that is not read.
        LimitError: Too many bands or pixels, or blocks that fill the memory.
    """
    refuse_foreign_files(dataset, path)
    if dataset.count > _MOST_BANDS:
        raise LimitError(f"{path} declares {dataset.count} bands, at most {_MOST_BANDS} are read", "split the file")
    if dataset.width * dataset.height > MOST_PIXELS:
        raise LimitError(f"{path} declares {dataset.width} x {dataset.height} pixels", "cut it into parts")
    readable = _READABLE | _LONG_INTEGERS if categorical else _READABLE
    wrong = next((name for name in dataset.dtypes if name not in readable), None)
    if wrong:
        raise InputError(f"{path} holds {wrong} values", "convert it to uint16 or float32")
    if not categorical:
        _refuse_packed_and_palettes(dataset, path)
    together = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    block = (
        max(height * width for height, width in dataset.block_shapes) * np.dtype(dataset.dtypes[0]).itemsize * together
    )
    if block > LARGEST_BLOCK:
        raise LimitError(
            f"{path} has blocks of {block / 1e6:.0f} MB", "rewrite it tiled, such as with gdal_translate -co TILED=YES"
        )


def _refuse_packed_and_palettes(dataset: Any, path: Path) -> None:  # noqa: ANN401
    packed = [
        label
        for label, scale in zip(dataset.descriptions, dataset.scales, strict=True)
        if scale != 1.0 and canonical_name(label, sensor()) in INDICES
    ]
    if packed:
        raise InputError(f"{path} holds {packed[0]} packed with a scale", "write it as float32 values")
    if ColorInterp.palette in dataset.colorinterp:
        raise InputError(f"{path} is a palette image, not reflectance", "give the scene's spectral bands")


def band_labels(dataset: Any, path: Path) -> tuple[str | None, ...]:  # noqa: ANN401
    """What each band is called: its description, else a tag of it; a lone band may say it by the name of its file."""
    alpha = [color == ColorInterp.alpha for color in dataset.colorinterp]
    said = [dataset.descriptions[index] or _tagged(dataset, index + 1) for index in range(dataset.count)]
    lone = [index for index, label in enumerate(said) if not (alpha[index] or (label or "").lower() in _MASKS)]
    if len(lone) == 1 and canonical_name(said[lone[0]], sensor()) is None:
        said[lone[0]] = sensor().of_file(path.stem) or path.stem
    return tuple(ALPHA if transparent else label for transparent, label in zip(alpha, said, strict=True))


def _tagged(dataset: Any, index: int) -> str | None:  # noqa: ANN401
    """A band's name where openEO, FORCE and others write it instead of a description."""
    tags = dataset.tags(index) | {"Domain": dataset.tags(index, ns="FORCE").get("Domain", "")}
    return next((tags[name] for name in _NAME_TAGS if tags.get(name)), None)


def grid_of(dataset: Any) -> Grid:  # noqa: ANN401
    """Where the pixels lie; a CRS without a transform places nothing."""
    gcps, gcps_crs = dataset.gcps
    placed = not dataset.transform.is_identity
    grid = Grid(
        crs=dataset.crs if placed else None,
        transform=dataset.transform,
        shape=Shape(*dataset.shape),
        gcps=tuple(gcps),
        gcps_crs=gcps_crs,
        rpcs=dataset.rpcs,
        point=dataset.tags().get("AREA_OR_POINT") == "Point",
    )
    return grid if grid.sound or grid.crs is not None else replace(grid, transform=Affine.identity())


def origin_of(dataset: Any, path: Path, kind: str) -> Origin:  # noqa: ANN401
    """Level, date, radiometry and nodata as the tags of a scene state them.

    Raises:
        InputError: Bands differ in scale or offset, or a tag is no number.
    """
    tags = dataset.tags()
    return Origin(
        path,
        kind,
        level=tags.get("LEVEL", ""),
        acquired=stated_date(tags.get("ACQUISITION_DATE", ""), path),
        radiometry=_radiometry(dataset, tags, path) or _of_eo_browser(dataset, path),
        nodata=dataset.nodata,
        platform=platform_of(tags | dataset.tags(1, ns="FORCE")),
    )


def _of_eo_browser(dataset: Any, path: Path) -> Radiometry | None:  # noqa: ANN401
    """Raw bands of EO Browser in 16 bits: reflectance x 65535, which they say by their name alone."""
    named = _EO_BROWSER.fullmatch(path.stem) and dataset.dtypes[0] == "uint16"
    return Radiometry(_FULL_SCALE, 0.0, EO_BROWSER) if named else None


def _radiometry(dataset: Any, tags: dict[str, str], path: Path) -> Radiometry | None:  # noqa: ANN401
    """The one statement of all spectral bands; where none is named, of all bands that state something."""
    names = canonical_names(band_labels(dataset, path), sensor())
    spectral = [index for index, name in enumerate(names, 1) if name and name not in INDICES]
    stated = {_band_radiometry(dataset, tags, index) for index in spectral or dataset.indexes}
    if not spectral and len(stated) > 1:
        stated.discard(None)  # of a mask or a classification, for instance
    if len(stated) > 1:
        raise InputError(f"the bands of {path} differ in scale or offset", "bring them to one, such as with gdal_calc")
    return stated.pop()


def _band_radiometry(dataset: Any, tags: dict[str, str], index: int) -> Radiometry | None:  # noqa: ANN401
    """From tags, or from GDAL's own band scale and offset (reflectance = DN * scale + offset)."""
    band = dataset.tags(index)
    names = [name for name in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET") if name in band]
    offset = _number(band, names[0], dataset.name) if names else 0.0
    source = tags.get(OFFSET_SOURCE, "metadata") if names else "metadata, which state no offset"
    scale, shift = dataset.scales[index - 1], dataset.offsets[index - 1]
    for name in ("REFLECTANCE_SCALE", "QUANTIFICATION_VALUE"):
        if (name in tags or name in band) and (names or not shift):
            return Radiometry(_number(band | tags, name, dataset.name), offset, source)
    if (scale, shift) != (1.0, 0.0):
        if not (0 < scale < inf and isfinite(shift)):
            raise InputError(
                f"{dataset.name}, band {index}: its scale {scale:g} and offset {shift:g} give no reflectance",
                "correct them, such as with gdal_edit.py -scale -offset",
            )
        return Radiometry(1 / scale, shift / scale, "metadata")
    return Radiometry(sensor().quantification, offset, "metadata") if names else None


def _number(tags: dict[str, str], name: str, file: str) -> float:
    problem, remedy = f"{file}: its tag {name} is no number", "correct the tag, or give --quantification and --offset"
    with raised_as(InputError, problem, remedy, ValueError):
        return float(tags[name])
