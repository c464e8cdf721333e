"""One block of pixels to compressed bytes and back, as TIFF readers expect it."""

import threading
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import zstandard
from numpy.typing import NDArray

Compression = Literal["zstd", "deflate", "none"]
SampleType = Literal["uint8", "float32"]

_FLOATING_POINT = 3


@dataclass(frozen=True)
class TileCodec:
    """Compresses square blocks of one band; may be shared by threads.

    float32 is stored with the TIFF floating-point predictor unless it is not compressed at all.

    Attributes:
        block: Side of a block, pixels.
        dtype: Sample type.
        compression: `zstd`, `deflate` or `none`.
        level: Effort: 1..22 for zstd, 1..9 for deflate.
    """

    block: int
    dtype: SampleType = "uint8"
    compression: Compression = "zstd"
    level: int = 1

    @property
    def predictor(self) -> int:
        """TIFF tag 317: 1 for none, 3 for floating point."""
        return _FLOATING_POINT if self.dtype == "float32" and self.compression != "none" else 1

    @property
    def raw_bytes(self) -> int:
        """Size of a block before compression."""
        return self.block * self.block * np.dtype(self.dtype).itemsize

    def encode(self, block_yx: NDArray[Any]) -> bytes:
        """Compressed bytes of a (block, block) array of `dtype`; the same bytes every time."""
        if block_yx.shape != (self.block, self.block) or block_yx.dtype != self.dtype:
            raise ValueError(f"expected {self.dtype} {self.block} px square, got {block_yx.dtype} {block_yx.shape}")
        raw = _difference(block_yx) if self.predictor == _FLOATING_POINT else np.ascontiguousarray(block_yx)
        if self.compression == "zstd":
            return _compressor(self.level).compress(raw.data)
        return zlib.compress(raw.data, self.level) if self.compression == "deflate" else raw.tobytes()

    def decode(self, encoded: bytes) -> NDArray[Any]:
        """The (block, block) array that `encode` was given."""
        if self.compression == "zstd":
            encoded = zstandard.ZstdDecompressor().decompress(encoded, max_output_size=self.raw_bytes)
        elif self.compression == "deflate":
            encoded = zlib.decompress(encoded, bufsize=self.raw_bytes)
        if self.predictor == _FLOATING_POINT:
            return _integrate(np.frombuffer(encoded, np.uint8), self.block)
        return np.frombuffer(encoded, np.dtype(self.dtype).newbyteorder("<")).reshape(self.block, self.block)


_local = threading.local()


def _compressor(level: int) -> zstandard.ZstdCompressor:
    """This thread's compressor: they are costly to make and must not be shared."""
    known: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    if level not in known:
        known[level] = zstandard.ZstdCompressor(level=level)
    return known[level]


def _difference(block_yx: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Predictor 3 of Adobe's TIFF Technical Note 3: each row's highest bytes first, each less the one before."""
    height, width = block_yx.shape
    by_significance = block_yx.astype(">f4").view(np.uint8).reshape(height, width, 4).transpose(0, 2, 1)
    rows = by_significance.reshape(height, 4 * width)
    rows[:, 1:] -= rows[:, :-1].copy()
    return rows


def _integrate(encoded: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    rows = np.cumsum(encoded.reshape(block, 4 * block), axis=1, dtype=np.uint8)
    by_pixel = np.ascontiguousarray(rows.reshape(block, 4, block).transpose(0, 2, 1))
    return by_pixel.view(">f4").reshape(block, block).astype(np.float32)
