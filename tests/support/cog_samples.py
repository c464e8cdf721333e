"""Random pixels in the blocks of a Cloud-Optimised GeoTIFF."""

import numpy as np

from lulc.io.cog.assembly import write_cog
from lulc.io.cog.geotags import BandInfo, geo_tags
from tests.support.product_samples import grid_of


def planes_of(layout, seed=0):
    """Random pixels for each level, as large as its tiles; 255 beyond the level's edge."""
    rng = np.random.default_rng(seed)
    planes = []
    for level in layout.levels:
        shape, tiles = layout.shapes[level], layout.tiles(level)
        plane = np.full((layout.bands, tiles.height * layout.block, tiles.width * layout.block), 255, layout.dtype)
        plane[:, : shape.height, : shape.width] = rng.integers(0, 250, (layout.bands, shape.height, shape.width)) // 50
        planes.append(plane)
    return planes


def write_planes(path, layout, planes, tags=None):
    side, codec = layout.block, layout.codec

    def tile(level, band, row, col):
        block = planes[level][band, row * side : (row + 1) * side, col * side : (col + 1) * side]
        return codec.encode(block)

    sizes = []
    for level in layout.levels:
        tiles = layout.tiles(level)
        every = np.ndindex(layout.bands, tiles.height, tiles.width)
        counts = np.array([len(tile(level, *place)) for place in every], np.int64)
        sizes.append(counts.reshape(layout.bands, tiles.height, tiles.width))
    if tags is None:
        bands = [BandInfo(f"band {number}") for number in range(layout.bands)]
        tags = geo_tags(grid_of(*planes[0].shape[1:]), bands, dtype=layout.dtype, nodata=255, tags={})
    return write_cog(path, layout, tags, sizes, tile)
