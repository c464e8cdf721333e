"""A patch: one small image with named bands, from a picture or a raster file."""

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from lulc.bands import Radiometry
from lulc.errors import InputError, LimitError, StorageError
from lulc.grid import Grid, Shape
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.scene.radiometry import RadiometryOverride
from lulc.io.scene.raster import RasterSource, driver_of
from lulc.io.scene.scene import Scene
from lulc.io.scene.true_color import COLORS

EUROSAT_MS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A")
"""Bands of EuroSAT's 13-band files in order, which the files do not state."""

KNOWN_ORDERS = {"eurosat-ms": EUROSAT_MS}
"""Orders of bands by one-word names."""

PICTURE_WHITE = 0.275
"""Reflectance that EuroSAT's pictures show as 255 (fitted to 220 pairs of both: residual 2.6 of 255, JPEG's noise)."""

MOST_SIDE, LEAST_SIDE = 2048, 8
"""Largest and smallest side of a patch, pixels."""

MOST_BYTES = 256 << 20
"""Largest file of a patch, bytes."""

_PICTURES = {"JPEG", "PNG"}
_PICTURE_MODES = {"RGB", "RGBA", "P"}
_FULL = 255.0
_SCAN, _MOST_SCANS = b"\xff\xda", 100
"""Start of a scan of a JPEG; each is decoded over the whole image, so a small file could take minutes."""

_PNG_DEPTH = 24


@dataclass(frozen=True, slots=True, eq=False)
class PatchImage:
    """A patch as stored in its file.

    Attributes:
        name: File name, or path inside a zip archive.
        values: (bands, height, width): uint8 of a picture, else digital numbers or reflectance.
        names: Band name of each plane.
        radiometry: Conversion of the values to reflectance; for a picture, to 0..1.
        grid: Georeference and size; without CRS when the file states none.
        valid: bool (height, width); False where there is no data.
        is_picture: True for stretched 8-bit colours, which are not reflectance.
        level: Product level, such as `L1C`; empty when unknown.
    """

    name: str
    values: NDArray[np.generic]
    names: tuple[str, ...]
    radiometry: Radiometry
    grid: Grid
    valid: NDArray[np.bool_]
    is_picture: bool
    level: str = ""

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.names), *self.valid.shape):
            raise ValueError(f"values {self.values.shape}, {len(self.names)} bands, valid {self.valid.shape}")

    def colors(self) -> NDArray[np.uint8]:
        """Image for display: uint8 (height, width, 3), in true colour where red, green and blue are available."""
        shown = [self.names.index(name) for name in COLORS if name in self.names]
        planes = self.values[shown if len(shown) == len(COLORS) else [0, 0, 0]]
        if self.is_picture:
            return np.ascontiguousarray(planes.transpose(1, 2, 0)).astype(np.uint8)
        reflectance = np.nan_to_num(self.radiometry.reflectance(planes.astype(np.float32)))
        stretched: NDArray[np.float32] = np.clip(reflectance / PICTURE_WHITE, 0, 1) * _FULL
        return stretched.round().astype(np.uint8).transpose(1, 2, 0)


def read_image(path: AnyPath, bands: Sequence[str] | None = None, name: str | None = None) -> PatchImage:
    """Read a patch from a file.

    Args:
        path: JPEG, PNG or GeoTIFF.
        bands: Names of the bands in order, when the file does not state them; or the one name of a known order.
        name: Name of the patch in messages and tags; None takes its path.

    Raises:
        InputError: The file is missing, is not an image, is too small or damaged, or its bands are not known.
        LimitError: The image is larger than a patch may be.
        StorageError: The file cannot be read.
    """
    path = as_path(path)
    if path.is_dir() or not path.exists():
        raise InputError(f"there is no file {path}", "check the path")
    try:
        _check_bytes(path.stat().st_size, name or str(path))
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}", "check the file and its permissions") from error
    return decode_image(data, name or str(path), bands)


def decode_image(data: bytes, name: str, bands: Sequence[str] | None = None) -> PatchImage:
    """Decode a patch from the content of a file.

    Args:
        data: Content of the file.
        name: Name of the patch in messages and tags.
        bands: As for `read_image`.

    Raises:
        InputError: As for `read_image`.
        LimitError: As for `read_image`.
    """
    _check_bytes(len(data), name)
    kind = driver_of(data[:16])
    if kind is None:
        raise InputError(f"{name} is not an image", "give JPEG, PNG or TIFF files")
    names = spelled_out(bands)
    sixteen_bit = kind[0] == "PNG" and data[_PNG_DEPTH : _PNG_DEPTH + 1] > b"\x08"
    return _raster(data, name, names, kind) if kind[0] not in _PICTURES or sixteen_bit else _picture(data, name, names)


def spelled_out(bands: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of bands in order; the one name of a known order is replaced by all its bands."""
    known = KNOWN_ORDERS.get(bands[0].lower()) if bands and len(bands) == 1 else None
    return known or (tuple(bands) if bands else None)


def _picture(data: bytes, name: str, bands: Sequence[str] | None) -> PatchImage:
    from PIL import JpegImagePlugin, PngImagePlugin

    if data.count(_SCAN) > _MOST_SCANS:
        raise LimitError(f"{name} is a JPEG of more than {_MOST_SCANS} scans", "save it anew")
    plugin = PngImagePlugin.PngImageFile if data.startswith(b"\x89PNG") else JpegImagePlugin.JpegImageFile
    try:
        with plugin(io.BytesIO(data)) as image:
            _check_size(name, image.height, image.width)
            if image.mode not in _PICTURE_MODES:
                raise InputError(f"{name} holds {image.mode} values, not colours", "give red, green and blue")
            pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGBA"))
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{name} is damaged: {reason}", "fetch it again or leave it out") from error
    valid = pixels[..., 3] > 0 if pixels.shape[2] > len(COLORS) else np.ones(pixels.shape[:2], bool)
    return PatchImage(
        name=name,
        values=np.ascontiguousarray(pixels[..., :3].transpose(2, 0, 1)),
        names=_picture_names(name, bands),
        radiometry=Radiometry(_FULL, 0.0, "picture"),
        grid=Grid(None, Affine.identity(), Shape(*pixels.shape[:2])),
        valid=valid,
        is_picture=True,
    )


def _picture_names(name: str, bands: Sequence[str] | None) -> tuple[str, ...]:
    if bands is not None and sorted(bands) != sorted(COLORS):
        raise InputError(f"{name} is a picture of 3 colours, --bands names {len(bands)} bands", "leave --bands out")
    return tuple(bands or COLORS)


def _raster(data: bytes, name: str, bands: Sequence[str] | None, kind: tuple[str, str]) -> PatchImage:
    from rasterio.io import MemoryFile

    with MemoryFile(data) as memory:
        source = RasterSource(Path(name), *kind, location=memory.name)
        try:
            shape, count = source.grid.shape, len(source.labels)
            _check_size(name, shape.height, shape.width)
            colors = source.dtype == np.uint8 and count == len(COLORS) and not any(source.labels)
            scene = _named(source, bands or (COLORS if colors else None), name)
            try:
                values, valid = scene.read(scene.names, source.grid.window)
            except StorageError as error:
                raise InputError(error.problem, "fetch it again or leave it out") from error
        finally:
            source.close()
    picture = source.dtype == np.uint8 and set(scene.names) == set(COLORS)
    return PatchImage(name, values, scene.names, scene.radiometry, source.grid, valid, picture, scene.info.level)


def _named(source: RasterSource, bands: Sequence[str] | None, name: str) -> Scene:
    """The file as a scene of one source. The error names the known order that fits when its bands have no names."""
    try:
        return Scene([source], bands, RadiometryOverride())
    except InputError as error:
        order = next((word for word, names in KNOWN_ORDERS.items() if len(names) == len(source.labels)), None)
        if bands is not None or order is None:
            raise
        raise InputError(
            f"{name} does not name its {len(source.labels)} bands",
            f"name them in order with --bands, or --bands {order} when it is one of EuroSAT's",
        ) from error


def _check_bytes(size: int, name: str) -> None:
    if size > MOST_BYTES:
        raise LimitError(f"{name} is too large for a patch", "classify a scene with --grid")


def _check_size(name: str, height: int, width: int) -> None:
    if max(height, width) > MOST_SIDE:
        raise LimitError(
            f"{name} is {height} x {width} px, a patch has at most {MOST_SIDE} a side", "classify a scene with --grid"
        )
    if min(height, width) < LEAST_SIDE:
        raise InputError(f"{name} is {height} x {width} px", f"a patch has at least {LEAST_SIDE} a side")
