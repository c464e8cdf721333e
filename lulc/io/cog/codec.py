"""Encode one block of pixels to compressed bytes and back, in the form that TIFF readers expect."""

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
    """Codec of square blocks of one band; threads may share it.

    float32 is stored with the TIFF floating-point predictor, except without compression.

    Attributes:
        block: Side of a block, pixels.
        dtype: Sample type.
        compression: `zstd`, `deflate` or `none`.
        level: Compression level: 1..22 for zstd, 1..9 for deflate.
    """

    block: int
    dtype: SampleType = "uint8"
    compression: Compression = "zstd"
    level: int = 1

    @property
    def predictor(self) -> int:
        """Value of TIFF tag 317 (Predictor): 1 for none, 3 for floating point."""
        return _FLOATING_POINT if self.dtype == "float32" and self.compression != "none" else 1

    @property
    def raw_bytes(self) -> int:
        """Bytes of a block before compression."""
        return self.block * self.block * np.dtype(self.dtype).itemsize

    def encode(self, block_yx: NDArray[Any]) -> bytes:
        """Compress a block; equal pixels always give equal bytes.

        Args:
            block_yx: Pixels, (block, block) of `dtype`.

        Raises:
            ValueError: The block has another shape or dtype.
        """
        if block_yx.shape != (self.block, self.block) or block_yx.dtype != self.dtype:
            raise ValueError(f"expected {self.dtype} {self.block} px square, got {block_yx.dtype} {block_yx.shape}")
        raw = _difference(block_yx) if self.predictor == _FLOATING_POINT else np.ascontiguousarray(block_yx)
        if self.compression == "zstd":
            return _compressor(self.level).compress(raw.data)
        return zlib.compress(raw.data, self.level) if self.compression == "deflate" else raw.tobytes()

    def decode(self, encoded: bytes) -> NDArray[Any]:
        """Decompress a block: (block, block) of `dtype`, as it was given to `encode`."""
        if self.compression == "zstd":
            encoded = zstandard.ZstdDecompressor().decompress(encoded, max_output_size=self.raw_bytes)
        elif self.compression == "deflate":
            encoded = zlib.decompress(encoded, bufsize=self.raw_bytes)
        if self.predictor == _FLOATING_POINT:
            return _integrate(np.frombuffer(encoded, np.uint8), self.block)
        return np.frombuffer(encoded, np.dtype(self.dtype).newbyteorder("<")).reshape(self.block, self.block)


_local = threading.local()


def _compressor(level: int) -> zstandard.ZstdCompressor:
    """Compressor of this thread. Compressors are costly to make and must not be shared."""
    known: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    if level not in known:
        known[level] = zstandard.ZstdCompressor(level=level)
    return known[level]


def _difference(block_yx: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Apply predictor 3 of Adobe's TIFF Technical Note 3.

    The bytes of each row are ordered by significance, highest first; each is then replaced by its difference from the
    one before.
    """
    height, width = block_yx.shape
    by_significance = block_yx.astype(">f4").view(np.uint8).reshape(height, width, 4).transpose(0, 2, 1)
    rows = by_significance.reshape(height, 4 * width)
    rows[:, 1:] -= rows[:, :-1].copy()
    return rows


def _integrate(encoded: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    rows = np.cumsum(encoded.reshape(block, 4 * block), axis=1, dtype=np.uint8)
    by_pixel = np.ascontiguousarray(rows.reshape(block, 4, block).transpose(0, 2, 1))
    return by_pixel.view(">f4").reshape(block, block).astype(np.float32)
