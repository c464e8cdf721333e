"""Polygons of arrays of classes, traced in strips of so many rows, and what an oracle makes of the same arrays."""

import numpy as np
import shapely
from affine import Affine
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import shapes
from shapely.geometry import shape

from lulc.tasks.polygons.features import polygons_of
from lulc.tasks.polygons.marks import Marks
from lulc.tasks.polygons.simplify import Simplifier
from lulc.tasks.polygons.strips import Strip
from lulc.tasks.polygons.tracer import Tracer

NODATA = 255


@st.composite
def class_arrays(draw, side=14):
    """Small arrays of up to four classes and nodata: noise, or blocks that touch at corners."""
    size = draw(st.integers(1, side)), draw(st.integers(1, side))
    codes = draw(st.sampled_from([(1, 2), (1, NODATA), (1, 2, 3), (1, 2, 3, 4, NODATA)]))
    fine = draw(arrays(np.uint8, size, elements=st.sampled_from(codes)))
    zoom = draw(st.sampled_from([(1, 1), (1, 3), (2, 2)]))
    return fine.repeat(zoom[0], axis=0).repeat(zoom[1], axis=1)


def strips_of(codes, rows):
    """An array in strips of so many rows, each pixel of area 1."""
    for row in range(0, len(codes), rows):
        part = codes[row : row + rows]
        yield Strip(row, part, np.ones((2, len(part)), np.int64))


def traced(codes, rows, limit_px=None, folder=None, transform=None):
    """Polygons in pixels, their codes and their pixels, in the order they are handed out."""
    height, width = codes.shape
    marks = None if limit_px is None else Marks(folder, height, width)
    tracer, found = Tracer(width, marks), []

    def take(whole):
        rings = whole.rings()
        if marks is not None and whole.code.size:
            rings = Simplifier(marks, limit_px).simplified(rings)
        polygons = polygons_of(rings, whole.code.size, transform or Affine.scale(1, -1))
        found.append((polygons, whole.code, whole.sums.pixels))

    for strip in strips_of(codes, rows):
        take(tracer.add(strip))
    take(tracer.finish(height))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def oracle(codes):
    """GDAL's polygons of a whole array, in pixels, and their codes."""
    found = [
        (shape(geometry), int(code))
        for geometry, code in shapes(codes, mask=codes != NODATA, connectivity=4, transform=Affine.scale(1, -1))
    ]
    return np.array([polygon for polygon, _ in found], object), np.array([code for _, code in found])


def same_ground(found, expected):
    """True when two sets of polygons cover the same ground one by one, whatever vertices lie on their edges."""
    plain = [{shapely.normalize(shapely.simplify(polygon, 0)).wkb for polygon in some} for some in (found, expected)]
    return plain[0] == plain[1] and len(found) == len(expected)
