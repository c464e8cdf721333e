"""Cut the pixels of a chunk into the compressed tiles of the product."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Window
from lulc.io.cog.assembly import CogLayout
from lulc.io.cog.overviews import PixelTile
from lulc.io.cog.readback import pixels_checksum
from lulc.io.cog.store import EncodedTile
from lulc.legend import NODATA_CODE


def split_chunk(layout: CogLayout, window: Window, data_byx: NDArray[Any]) -> Iterator[PixelTile]:
    """Cut a chunk into full-resolution tiles, padded with nodata (255) at the scene's end.

    Args:
        layout: Layout of the product.
        window: Window of the chunk; it covers whole blocks, except at the scene's end.
        data_byx: (bands, height, width) of the product's dtype.

    Raises:
        ValueError: The dtype or shape differs, or the window cuts through blocks.
    """
    if data_byx.dtype != layout.dtype or data_byx.shape != (layout.bands, window.height, window.width):
        raise ValueError(f"{data_byx.dtype} {data_byx.shape} is not a chunk of {layout} in {window}")
    side, shape = layout.block, layout.shape
    whole = (window.row_end % side == 0 or window.row_end == shape.height) and (
        window.col_end % side == 0 or window.col_end == shape.width
    )
    if window.row % side or window.col % side or not whole:
        raise ValueError(f"{window} does not cover whole blocks of {side} px")
    for row in range(0, window.height, side):
        for col in range(0, window.width, side):
            pixels = _padded(layout, data_byx[:, row : row + side, col : col + side])
            yield PixelTile(0, (window.row + row) // side, (window.col + col) // side, pixels)


def encode_tile(layout: CogLayout, tile: PixelTile) -> EncodedTile:
    """Compress the (bands, block, block) pixels of a tile, with the checksum by which it is read back."""
    inside = layout.tile_window(tile.level, tile.row, tile.col)
    checksum = pixels_checksum(tile.data_byx[:, : inside.height, : inside.width])
    return EncodedTile(tile.level, tile.row, tile.col, checksum, tuple(map(layout.codec.encode, tile.data_byx)))


def empty_checksum(layout: CogLayout, row: int, col: int) -> int:
    """CRC-32 of a full-resolution tile whose pixels inside the scene are all nodata (255)."""
    inside = layout.tile_window(0, row, col)
    return pixels_checksum(np.full((layout.bands, inside.height, inside.width), NODATA_CODE, layout.dtype))


def _padded(layout: CogLayout, data_byx: NDArray[Any]) -> NDArray[Any]:
    below, right = (layout.block - side for side in data_byx.shape[1:])
    if not (below or right):
        return data_byx
    return np.pad(data_byx, ((0, 0), (0, below), (0, right)), constant_values=NODATA_CODE)
