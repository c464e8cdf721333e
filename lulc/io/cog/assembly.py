"""Assemble a Cloud-Optimised GeoTIFF from compressed tiles.

Each tile is compressed once, when its pixels are finished, and copied here. GDAL's writers would encode a second time,
have one overview rule for all bands, and can lose the error of a full disk. GDAL's readers check every file written
here.

Layout (https://cogeo.org, TIFF 6.0, BigTIFF): header, GDAL's structural note, all directories (full resolution first)
with their tag data, then the tiles. Tiles come smallest overview first, full resolution last, band after band. Each
tile is preceded by its size and followed by a copy of its last four bytes, as in GDAL's own files. Remote readers fetch
it in one request.
"""

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Shape, Window
from lulc.io.cog.codec import Compression, SampleType, TileCodec
from lulc.io.files.storage import storage_errors

ReadTile = Callable[[int, int, int, int], bytes]
"""Reads the compressed bytes of a tile by level (0 is full resolution), band (from 0), tile row and tile column."""

Sizes = Sequence[NDArray[np.int64]]
"""For each level, one number per tile: int64 (bands, tile rows, tile columns)."""

_SHORT, _LONG, _LONG8 = 3, 4, 16
_STORAGE = {_SHORT: "<u2", _LONG: "<u4", _LONG8: "<u8"}
_COMPRESSION_TAG = {"none": 1, "deflate": 8, "zstd": 50000}
_SAMPLE_FORMAT = {"uint8": 1, "float32": 3}
_GDAL_NODATA = 42113
_SAFE_UNCOMPRESSED = 2**31
_CLASSIC_END = 2**32
_WORST_EXPANSION, _LARGEST_HEAD = 1.01, 2**24
_STRUCTURE = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\n%sKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
_BAND_AFTER_BAND = b"INTERLEAVE=BAND\n"
_LEADER, _TRAILER = 4, 4


@dataclass(frozen=True)
class GeoTag:
    """A TIFF tag to copy unchanged.

    Attributes:
        kind: TIFF field type.
        count: Number of values.
        data: The values as little-endian bytes.
    """

    kind: int
    count: int
    data: bytes


@dataclass(frozen=True)
class CogLayout:
    """Geometry and encoding of the file.

    Attributes:
        shape: Rows and columns at full resolution, pixels.
        bands: Number of bands.
        dtype: Sample type of all bands.
        compression: `zstd`, `deflate` or `none`.
        effort: Compression level.
        block: Side of a tile, a multiple of 16 pixels.
        bigtiff: 64-bit offsets: True for always, False for never, None for where the size needs them.
    """

    shape: Shape
    bands: int
    dtype: SampleType = "uint8"
    compression: Compression = "zstd"
    effort: int = 1
    block: int = 512
    bigtiff: bool | None = None

    def __post_init__(self) -> None:
        if self.shape.size == 0 or self.bands < 1 or self.block < 1 or self.block % 16:
            raise ValueError(f"not the layout of a TIFF: {self}")

    @cached_property
    def codec(self) -> TileCodec:
        """Codec of the tiles."""
        return TileCodec(self.block, self.dtype, self.compression, self.effort)

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Rows and columns of each level: full resolution, then halves (rounded up) until one tile holds all pixels."""
        shapes = [self.shape]
        while max(shapes[-1].height, shapes[-1].width) > self.block:
            shapes.append(shapes[-1].blocks(2))
        return tuple(shapes)

    @property
    def levels(self) -> range:
        """Numbers of the levels: 0 for full resolution, 1 for the first overview, and so on."""
        return range(len(self.shapes))

    def tiles(self, level: int) -> Shape:
        """Rows and columns of tiles at one level."""
        return self.shapes[level].blocks(self.block)

    def tile_window(self, level: int, row: int, col: int) -> Window:
        """Window of the pixels of a tile that lie inside the level."""
        side = self.block
        return Window(row * side, col * side, side, side).intersection(self.shapes[level].window)

    @property
    def uncompressed_bytes(self) -> int:
        """Bytes of all tiles of all levels before compression."""
        return self.bands * sum(self.tiles(level).size for level in self.levels) * self.codec.raw_bytes

    @property
    def big(self) -> bool:
        """True for a BigTIFF: as requested, else above 2 GB before compression (GDAL's IF_SAFER)."""
        return self.uncompressed_bytes > _SAFE_UNCOMPRESSED if self.bigtiff is None else self.bigtiff

    @property
    def fits_classic(self) -> bool:
        """True when 32-bit offsets reach the end of the file even if no tile can be compressed."""
        return self.uncompressed_bytes * _WORST_EXPANSION + _LARGEST_HEAD < _CLASSIC_END


def write_cog(path: Path, layout: CogLayout, geo_tags: Mapping[int, GeoTag], sizes: Sizes, read_tile: ReadTile) -> int:
    """Write the file and flush it to the disk.

    Args:
        path: File to create. Writing is not atomic; the caller renames the file.
        layout: Geometry and encoding.
        geo_tags: Georeference and metadata tags by number; see `lulc.io.cog.geotags`.
        sizes: Compressed bytes of each tile; every tile has at least one.
        read_tile: Reads the compressed tiles.

    Returns:
        Size of the file in bytes.

    Raises:
        StorageError: The disk is full or writing failed.
    """
    head, end = _head(layout, geo_tags, sizes)
    with storage_errors(path, needed=end), path.open("wb", buffering=1 << 22) as file:
        file.write(head)
        for level in reversed(layout.levels):
            _copy_level(file, level, sizes[level], read_tile)
        file.flush()
        os.fsync(file.fileno())
    return end


def _copy_level(file: BinaryIO, level: int, sizes: NDArray[np.int64], read_tile: ReadTile) -> None:
    for band, row, col in np.ndindex(sizes.shape):
        tile = read_tile(level, band, row, col)
        if len(tile) != sizes[band, row, col]:
            raise ValueError(f"tile {(level, band, row, col)} has {len(tile)} bytes, not {sizes[band, row, col]}")
        file.write(len(tile).to_bytes(_LEADER, "little") + tile + tile[-_TRAILER:].rjust(_TRAILER, b"\0"))


def _head(layout: CogLayout, geo_tags: Mapping[int, GeoTag], sizes: Sizes) -> tuple[bytes, int]:
    """Bytes before the first tile, and the size of the whole file."""
    for level in layout.levels:
        expected = (layout.bands, layout.tiles(level).height, layout.tiles(level).width)
        if sizes[level].shape != expected or sizes[level].min() <= 0:
            raise ValueError(f"level {level} has no full set of {expected} tiles")
    length = len(_directories(layout, geo_tags, sizes, [np.zeros_like(size) for size in sizes]))
    offsets, end = _tile_offsets(sizes, length)
    if end >= _CLASSIC_END and not layout.big:
        raise ValueError("a classic TIFF ends at 4 GB")
    return _directories(layout, geo_tags, sizes, offsets), end


def _tile_offsets(sizes: Sizes, start: int) -> tuple[list[NDArray[np.int64]], int]:
    offsets: list[NDArray[np.int64]] = []
    for size in reversed(sizes):
        framed = size.ravel() + _LEADER + _TRAILER
        ends = start + np.cumsum(framed)
        offsets.insert(0, (ends - framed + _LEADER).reshape(size.shape))
        start = int(ends[-1])
    return offsets, start


def _directories(layout: CogLayout, geo_tags: Mapping[int, GeoTag], sizes: Sizes, offsets: Sizes) -> bytes:
    """Header, structural note and one directory per level, each pointing to the next."""
    structure = _STRUCTURE % (_BAND_AFTER_BAND if layout.bands > 1 else b"")
    note = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(structure) + structure
    start = (16 if layout.big else 8) + len(note)
    start += start % 2
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, start) if layout.big else struct.pack("<2sHI", b"II", 42, start)
    head = bytearray((header + note).ljust(start, b"\0"))
    nodata = {tag: value for tag, value in geo_tags.items() if tag == _GDAL_NODATA}
    for level in layout.levels:
        tags = _level_tags(layout, level, sizes[level], offsets[level]) | (nodata if level else dict(geo_tags))
        head += _directory(tags, len(head), big=layout.big, last=level == layout.levels[-1])
    return bytes(head)


def _level_tags(
    layout: CogLayout, level: int, sizes: NDArray[np.int64], offsets: NDArray[np.int64]
) -> dict[int, GeoTag]:
    shape, bands, predictor = layout.shapes[level], layout.bands, layout.codec.predictor
    bits = 8 * np.dtype(layout.dtype).itemsize
    tags = {
        254: _integers(_LONG, [int(level > 0)]),  # NewSubfileType: 1 is an overview
        256: _integers(_LONG, [shape.width]),
        257: _integers(_LONG, [shape.height]),
        258: _integers(_SHORT, [bits] * bands),  # BitsPerSample
        259: _integers(_SHORT, [_COMPRESSION_TAG[layout.compression]]),
        262: _integers(_SHORT, [1]),  # PhotometricInterpretation: black is zero
        277: _integers(_SHORT, [bands]),  # SamplesPerPixel
        284: _integers(_SHORT, [2]),  # PlanarConfiguration: band after band
        322: _integers(_LONG, [layout.block]),
        323: _integers(_LONG, [layout.block]),
        324: _integers(_LONG8 if layout.big else _LONG, offsets),
        325: _integers(_LONG, sizes),
        339: _integers(_SHORT, [_SAMPLE_FORMAT[layout.dtype]] * bands),
    }
    if bands > 1:
        tags[338] = _integers(_SHORT, [0] * (bands - 1))  # ExtraSamples: unspecified, no alpha
    if predictor > 1:
        tags[317] = _integers(_SHORT, [predictor])
    return tags


def _integers(kind: int, values: Any) -> GeoTag:  # noqa: ANN401 - a list or an array
    data = np.asarray(values).astype(_STORAGE[kind])
    return GeoTag(kind, data.size, data.tobytes())


def _directory(tags: Mapping[int, GeoTag], start: int, *, big: bool, last: bool) -> bytes:
    """One image file directory that begins at byte `start`, with its long values behind it; its length is even."""
    count, entry, pointer = ("<Q", "<HHQ", "<Q") if big else ("<H", "<HHI", "<I")
    inline = struct.calcsize(pointer)
    table = bytearray(struct.pack(count, len(tags)))
    values = bytearray()
    values_start = start + len(table) + len(tags) * (struct.calcsize(entry) + inline) + inline
    for tag in sorted(tags):
        value = tags[tag]
        table += struct.pack(entry, tag, value.kind, value.count)
        if len(value.data) <= inline:
            table += value.data.ljust(inline, b"\0")
        else:
            table += struct.pack(pointer, values_start + len(values))
            values += value.data + b"\0" * (-len(value.data) % 8)
    following = 0 if last else values_start + len(values)
    return bytes(table + struct.pack(pointer, following) + values)
