"""Scenes of several dates of one place, with clouds, for the tests of maps of several dates."""

import numpy as np
import rasterio
from rasterio.transform import from_origin

from tests.support.whole_runs import BANDS, texture

CORNER = (356040, 4835680)
SHAPE = (200, 280)
CLOUD, GROUND = 9, 4


def write_date(path, seed, *, shape=SHAPE, shift=(0, 0), day=None, clouds=None, offset=0, crs="EPSG:32631"):
    """Write one date; pixels of one place are alike on all dates, give or take its season.

    Args:
        path: File to write.
        seed: Season of the date.
        shape: Rows and columns.
        shift: Rows and columns by which its corner lies below and right of that of the place; may have fractions.
        day: Day of May 2021; None states no date.
        clouds: bool (height, width) for a band SCL; None writes none.
        offset: Added to reflectance x 10000 before it is written, and stated in the tags.
        crs: CRS.
    """
    height, width = shape
    top, left = (int(side) for side in shift)
    place = texture(1200, 1200, seed=99)[:, 100 + top : 100 + top + height, 100 + left : 100 + left + width]
    season = 1 + 0.4 * np.random.default_rng(seed).uniform(-1, 1, (4, 1, 1))
    pixels = np.clip(place * season, 1, 9000).astype(np.uint16) + np.uint16(-offset)
    planes = pixels if clouds is None else np.concatenate([pixels, np.where(clouds, CLOUD, GROUND)[None]])
    corner = from_origin(CORNER[0] + 10 * shift[1], CORNER[1] - 10 * shift[0], 10, 10)
    profile = {"driver": "GTiff", "dtype": "uint16", "nodata": 0, "crs": crs, "transform": corner, "tiled": True}
    with rasterio.open(path, "w", count=len(planes), height=height, width=width, **profile) as raster:
        raster.write(planes.astype(np.uint16))
        raster.descriptions = (*BANDS, *([] if clouds is None else ["SCL"]))
        raster.update_tags(REFLECTANCE_SCALE="10000", LEVEL="L2A")
        for band in range(1, len(BANDS) + 1) if offset else ():
            raster.update_tags(band, BOA_ADD_OFFSET=str(offset))
        if day:
            raster.update_tags(ACQUISITION_DATE=f"2021-05-{day:02d}")
    return path
