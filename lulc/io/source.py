"""What every input format looks like to a scene: named planes on one grid, read window by window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError, LimitError
from lulc.grid import Grid, Shape, Window

MOST_BANDS = 512
MOST_PIXELS = 20_000_000_000
MOST_BLOCK_BYTES = 256 << 20

_INTEGERS = ("uint8", "int16", "uint16")


@dataclass(frozen=True, slots=True)
class Stated:
    """What a file says about turning its digital numbers into reflectance; None where it says nothing."""

    quantification: float | None = None
    offset: float | None = None


@dataclass(frozen=True, slots=True)
class Plane:
    """One band of a source as the file holds it.

    Attributes:
        label: What the file calls it: a description, a variable name, a file name; never empty.
        dtype: Stored type.
        nodata: Stored value that means "no data", or None.
        names: Texts that may name the band, best first.
        scale: Factor that turns stored numbers into values, 1 when the file gives none.
        shift: Added after `scale`, 0 when the file gives none.
        stated: Radiometry of this plane.
        alpha: True when the file marks it as transparency.
    """

    label: str
    dtype: np.dtype[Any]
    nodata: float | None = None
    names: tuple[str, ...] = ()
    scale: float = 1.0
    shift: float = 0.0
    stated: Stated = field(default=Stated())
    alpha: bool = False


class Source(Protocol):
    """An opened input: a raster file, one band file of a product, or a data cube. Safe to read from many threads."""

    @property
    def label(self) -> str:
        """Name of the file, for messages."""

    @property
    def kind(self) -> str:
        """Format, such as `GeoTIFF`."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files whose content the pixels come from."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""

    @property
    def planes(self) -> tuple[Plane, ...]:
        """Bands in file order."""

    @property
    def block_shape(self) -> Shape:
        """Largest native block."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Metadata of the whole file."""

    def read(self, indexes: Sequence[int], window: Window, out: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Read planes into `out` (plane, row, column), converted to its type.

        Args:
            indexes: Planes by position, from 0.
            window: Inside the grid.
            out: Filled with stored numbers; invalid pixels hold whatever the file has there.

        Returns:
            (row, column), True where every plane has data; None when that is so everywhere.

        Raises:
            StorageError: A block cannot be read, naming file, band and window.
        """

    def close(self) -> None:
        """Close every handle."""


def check_limits(label: str, bands: int, shape: Shape, block_bytes: int = 0) -> None:
    """Refuse headers that announce more than a scene can be, before anything loops over bands.

    Raises:
        InputError: No pixels.
        LimitError: More than 512 bands, 2e10 pixels, or 256 MB in one block.
    """
    if bands < 1 or shape.size == 0:
        raise InputError(f"{label} is empty: {bands} bands of {shape.height} x {shape.width} pixels", "give a raster")
    if bands > MOST_BANDS:
        raise LimitError(f"{label} declares {bands} bands, more than {MOST_BANDS}", "extract the bands you need")
    if shape.size > MOST_PIXELS:
        raise LimitError(f"{label} declares {shape.height} x {shape.width} pixels, more than 2e10", "cut it into parts")
    if block_bytes > MOST_BLOCK_BYTES:
        raise LimitError(
            f"{label} has blocks of {block_bytes >> 20} MB, more than {MOST_BLOCK_BYTES >> 20} MB",
            "rewrite it tiled, for example: rio convert --co TILED=YES",
        )


def check_dtype(label: str, band: str, dtype: str) -> None:
    """Refuse pixel types that lulc cannot take without loss or doubt.

    Raises:
        InputError: Complex numbers, 64-bit integers, or something that is no number.
    """
    remedy = "convert it to uint16 or float32 first"
    if dtype.startswith("complex"):
        raise InputError(f"{band} of {label} holds complex numbers ({dtype})", remedy)
    if dtype in ("int64", "uint64"):
        raise InputError(f"{band} of {label} holds 64-bit integers ({dtype})", remedy)
    if dtype not in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32", "float64"):
        raise InputError(f"{band} of {label} holds {dtype}, which is no kind of reflectance", remedy)


def common_dtype(planes: Sequence[Plane]) -> np.dtype[Any]:
    """Type that holds the stored numbers of all planes: uint8, int16, uint16, else float32."""
    joined = np.result_type(*(plane.dtype for plane in planes))
    if joined == np.int8:
        return np.dtype(np.int16)
    return joined if joined.name in _INTEGERS else np.dtype(np.float32)


def nodata_as(nodata: float | None, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 - a scalar of that type
    """The nodata value as a scalar of an array's type; None when no pixel of that type can equal it."""
    if nodata is None or np.isnan(nodata):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    limits = np.iinfo(dtype)
    if nodata != int(nodata) or not limits.min <= nodata <= limits.max:
        return None
    return dtype.type(int(nodata))


def valid_of(out: NDArray[Any], nodata: Sequence[float | None]) -> NDArray[np.bool_] | None:
    """Where no plane (plane, row, column) is nodata, NaN or infinite; None when nothing can be invalid."""
    valid: NDArray[np.bool_] | None = None
    for plane, value in zip(out, nodata, strict=True):
        parts = [np.isfinite(plane)] if out.dtype.kind == "f" else []
        missing = nodata_as(value, out.dtype)
        parts += [plane != missing] if missing is not None else []
        for part in parts:
            valid = part if valid is None else np.logical_and(valid, part, out=valid)
    return valid


def joined(first: NDArray[np.bool_] | None, second: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Both masks at once; None stands for "valid everywhere"."""
    if first is None or second is None:
        return second if first is None else first
    return first & second
